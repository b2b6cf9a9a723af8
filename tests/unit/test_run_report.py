"""The report of a run, a test or a retrieval: its numbers, its commands, what may be missing."""

import dataclasses
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from picture_records import gabor_classes, video_classes, write_run
from utils.config import command_line
from utils.config.flags import Config
from utils.errors import RunError
from utils.plots import going_on
from utils.plots.account import ROOT
from utils.plots.captions import PARTS
from utils.plots.draw import draw_all, list_pictures
from utils.plots.report import NAME, write_report
from utils.plots.tables import read_records
from utils.runs.folder import write_config
from utils.runs.records import EpochRow

ODD = 'an "odd" <b>näme & $x #1 %2'
ENVIRONMENT = {
    "command": ["run_model.py", "--dataset", "gabors", "--suffix", "<i> 'x'"],
    "started": "2026-01-02 03:04:05 +0000",
    "device": "cpu (a <u>chip</u>, 2 threads)",
    "processes": 1,
    "git_commit": None,
    "versions": {"python": "3.11.0", "torch": "2.9"},
}
GABORS = {"dataset": "Gabors", "num_epochs": 2, "unexp_epoch": 2, "seed": 3, "img_dim": 64}
VIDEOS = {"model": "lc-rnn", "dataset": "UCF101", "num_epochs": 3, "seed": 3, "train_what": "ft"}


class Page(HTMLParser):
    """What a page shows: its text, rows of its tables, commands, references and headings."""

    def __init__(self, path: Path):
        super().__init__()
        self.html = path.read_text()
        self.open: list[str] = []
        self.refers: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.commands: list[str] = []
        self.text = ""
        self.feed(self.html)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.refers += [told[name] for name in ("src", "href", "action", "data") if name in told]
        self.ids += [told["id"]] if "id" in told else []
        self.rows += [[]] if tag == "tr" else []
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "pre":
            self.commands.append("")
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if "pre" in self.open:
            self.commands[-1] += data

    def row(self, *start: str) -> list[str]:
        """The one row that begins so."""
        (found,) = [row for row in self.rows if tuple(row[: len(start)]) == start]
        return found[len(start) :]


def configure(folder: Path, **flags) -> None:
    config = dataclasses.replace(Config(), output_dir=str(folder.parent), **flags)
    write_config(folder, config, flags, ENVIRONMENT)


def checkpoints(folder: Path, *names: str) -> None:
    (folder / "model").mkdir()
    for name in names:
        (folder / "model" / name).write_bytes(bytes(2**20))


def reported(folder: Path, *pictures: str) -> Page:
    """The page of a folder whose pictures are single points."""
    paths = [folder / f"{name}.png" for name in pictures]
    for path in paths:
        Image.new("RGB", (1, 1)).save(path)
    records = None if (folder / "retrieval_shown.npz").exists() else read_records(folder)
    return Page(write_report(folder, records, paths))


@pytest.fixture
def gabors(tmp_path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    write_run(folder, gabor_classes(), {"train": [0, 1, 2], "val": [0, 1, 2]}, 2)
    configure(folder, **GABORS)
    checkpoints(folder, "epoch1.pth.tar", "epoch2_unexp.pth.tar", "best_epoch0.pth.tar")
    return folder


@pytest.fixture
def videos(tmp_path) -> Path:
    folder = tmp_path / ODD
    folder.mkdir()
    write_run(folder, video_classes(4), {"val": [0, 1, 2]})
    configure(folder, **VIDEOS)
    checkpoints(folder, "epoch2.pth.tar", "last.pth.tar", "best_epoch1.pth.tar")
    return folder


@pytest.fixture
def tested(videos) -> Path:
    folder = videos / "test_best_epoch1"
    folder.mkdir()
    write_run(folder, video_classes(4), {"test": [0]}, epoch_modes=("test",))
    configure(folder, **VIDEOS, test=str(videos / "model" / "best_epoch1.pth.tar"))
    (folder / "accuracies.csv").write_text(
        "level,name,top1,top3,top5,evaluated,total\nvideo,all classes,0.6875,0.9375,,16,17\n"
        'video,"<i>dive",0.5,1.0,,4,5\nclip,all classes,0.125,0.5,,32,\n'
    )
    return folder


@pytest.fixture
def retrieved(videos) -> Path:
    folder = videos / "retrieve_best_epoch1"
    folder.mkdir()
    (folder / "retrieval_shown.npz").touch()
    configure(folder, **VIDEOS, retrieve=str(videos / "model" / "best_epoch1.pth.tar"))
    (folder / "evaluations.csv").write_text(
        "measure,value,chance,evaluated,gallery\nR@1,0.875,0.25,16,32\nR@50,,,16,32\n"
        "probe_top1,0.625,0.25,16,32\n"
    )
    return folder


def test_the_numbers_are_those_of_the_records(gabors):
    rows = pd.read_csv(gabors / "epochs.csv")
    rows["top1"] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.35]
    rows.to_csv(gabors / "epochs.csv", index=False)
    page = reported(gabors)
    # losses of the epochs are 2, 1.9 and 1.8; chance is 1/11, its loss ln 11
    rest = ["2.40", "{}", "40.0", "9.09"]
    best = [*rest[:1], "40.0", *rest[2:]]
    assert page.row("Validation, best top-1", "expected") == ["1", "1.90", *best]
    last = ["2", "1.80", "2.40", "35.0", "40.0", "9.09"]
    assert page.row("Validation, last", "unexpected") == last
    assert page.row("Training, last", "unexpected")[3] == "50.0"
    assert page.row("2", "Validation", "unexpected")[:2] == ["1.80", "35.0"]
    assert "The run is finished: all 2 epochs" in page.text
    assert "top-1 is 40.0% (chance 9.1%), in epoch 1." in page.text
    assert page.row("model/best_epoch0.pth.tar") == ["0", "1.00"]


def test_what_a_run_is_and_where_it_ran_is_told(gabors):
    page = reported(gabors)
    assert "Dense predictive coding (dpc-rnn)" in page.text
    assert "Gabor stimuli (design dpc), 64 × 64 pixels, 5 blocks of 5 frames seen" in page.text
    assert "The seed is 3." in page.text
    for told in ("2026-01-02 03:04:05", "python 3.11.0, torch 2.9", "cpu (a <u>chip</u>, 2 thre"):
        assert told in page.text
    changed = [row for row in page.rows if row[0] == "--img_dim"]
    assert changed[0] == ["--img_dim", "64", "128"]
    assert page.html.count('<td class="long">') > 5  # the help of a flag
    names = {row[0] for row in page.rows if row[0].startswith("--")}
    assert names == {f"--{field.name}" for field in dataclasses.fields(Config)}
    assert shlex.split(page.commands[-1]) == ["python", *ENVIRONMENT["command"]]


def test_the_accuracies_of_a_test_have_their_chance(tested):
    page = reported(tested)
    assert page.row("video", "68.8") == ["93.8", "25.0", "16", "17"]
    assert page.row("clip", "12.5") == ["50.0", "25.0", "32", "–"]
    assert page.row("video", "<i>dive", "50.0") == ["100", "25.0", "4", "5"]
    assert "A test with the weights in" in page.text
    assert "Checkpoints" not in page.text
    assert "--resume" not in " ".join(page.commands)


def test_the_measures_of_a_retrieval_have_their_chance(retrieved):
    page = reported(retrieved, "retrieval")
    assert page.row("R@1") == ["87.5", "25.0", "16", "32"]
    assert page.row("R@50") == ["–", "–", "16", "32"]
    assert page.row("Linear probe on stored features, top-1") == ["62.5", "25.0", "16", "32"]
    assert "A retrieval with the weights in" in page.text


def flags_of(command: str) -> dict:
    """What the program understands of a command; its paths are absolute in these tests."""
    words = shlex.split(command)
    assert words[:2] == ["python", "run_model.py"]
    return command_line.parse(words[2:])


def test_the_commands_of_a_run_say_to_the_program_what_they_should(gabors):
    *commands, redraw, _ = reported(gabors).commands
    weights = str(gabors / "model" / "best_epoch0.pth.tar")
    resume, classify, extract, analyse = map(flags_of, commands)
    assert resume == {"resume": str(gabors), "num_epochs": 2 + going_on.MORE_EPOCHS}
    own = {"dataset": "Gabors", "net": "resnet18", "img_dim": 64, "unexp_epoch": 2}
    learns = {"model": "lc-rnn", "train_what": "ft", "output_dir": str(gabors.parent)}
    assert classify == {**own, **learns, "pretrained": weights}
    assert extract == {"extract": weights}
    assert analyse == {"analysed": str(gabors)}
    assert shlex.split(redraw) == ["python", "-m", "utils.plots", str(gabors)]


def test_the_commands_name_folders_with_odd_names(videos):
    *commands, redraw, _ = reported(videos).commands
    weights = str(videos / "model" / "best_epoch1.pth.tar")
    assert [flags_of(one) for one in commands] == [
        {"resume": str(videos)},
        {"test": weights},
        {"retrieve": weights},
        {"extract": weights},
        {"analysed": str(videos)},
    ]
    assert shlex.split(redraw)[-1] == str(videos)


def test_the_commands_of_an_evaluation_use_its_checkpoint(tested, retrieved):
    weights = str(tested.parent / "model" / "best_epoch1.pth.tar")
    _, retrieve, redraw, _ = reported(tested).commands
    assert flags_of(retrieve) == {"retrieve": weights}
    assert shlex.split(redraw)[-1] == str(tested)
    _, extract, _, _ = reported(retrieved).commands
    assert flags_of(extract) == {"extract": weights}


def test_paths_within_the_program_s_folder_are_relative_to_it():
    account = going_on.Account({}, {}, [], config=Config(num_epochs=5))
    (step, *_) = going_on.list_steps(ROOT / "output_dir" / "a b", account, done=2)
    assert step.line == "python run_model.py --resume 'output_dir/a b'"
    (step, *_) = going_on.list_steps(ROOT / "-x", account, done=2)
    assert flags_of(step.line) == {"resume": "./-x"}


def test_names_are_text_and_nothing_comes_from_elsewhere(videos, tested):
    (videos / "more #1 ?.csv").touch()
    (videos / "analysis").mkdir()
    (videos / "analysis" / NAME).touch()
    reported(tested)
    page = reported(videos, "loss_and_accuracy", "confusion")
    assert not page.open
    assert "<b>" not in page.html
    assert "<i>" not in page.html
    assert ODD.replace(" %", "\N{NO-BREAK SPACE}%") in page.text
    assert "<script" not in page.html
    assert not re.search(r"url\(|@import|https?://", page.html)
    links = [one for one in page.refers if not one.startswith(("#", "data:image/png;base64,"))]
    assert {"test_best_epoch1/report.html", "analysis/report.html"} <= set(links)
    assert "more%20%231%20%3F.csv" in links
    for one in links:
        assert (videos / re.sub("%(..)", lambda code: chr(int(code[1], 16)), one)).exists()
    assert {one[1:] for one in page.refers if one.startswith("#")} <= set(page.ids)
    assert sum(one.startswith("data:") for one in page.refers) == 2
    assert "../report.html" in reported(tested).refers


@pytest.mark.slow
def test_drawing_twice_gives_the_same_bytes(gabors):
    first = draw_all(gabors)[-1]
    content = first.read_bytes()
    first.unlink()
    assert draw_all(gabors)[-1].read_bytes() == content
    names = {path.name for path in gabors.iterdir()}
    assert not [name for name in names if name.endswith((".part", ".tmp"))]
    assert all(f"({name})" in content.decode() for name in names if name.endswith(".png"))


def test_every_picture_has_its_place_in_the_page(gabors, videos):
    placed = [name for part in PARTS for name in part.pictures]
    assert len(placed) == len(set(placed))
    for folder in (gabors, videos):
        assert {name for name, _ in list_pictures(read_records(folder))} <= set(placed)


def test_a_run_that_stopped_before_its_first_epoch_says_so_and_how_to_start_it_again(tmp_path):
    (tmp_path / "epochs.csv").write_text(",".join(EpochRow._fields) + "\n")
    (tmp_path / "classes.csv").write_text("index,name,image,orientation\n")
    (tmp_path / "model").mkdir()
    configure(tmp_path, **GABORS)
    assert [path.name for path in draw_all(tmp_path)] == [NAME]
    page = Page(tmp_path / NAME)
    assert "No epoch is done" in page.text
    assert "There are no checkpoints" in page.text
    assert flags_of(page.commands[0]) == {"resume": str(tmp_path)}
    assert len(page.commands) == 3


def test_a_run_that_is_not_finished_says_where_it_is(videos):
    page = reported(videos)
    assert "Epoch 2 of 3 is done" in page.text
    assert "A position within the next epoch is saved (model/last.pth.tar)" in page.text


def test_a_pass_without_its_validation_is_no_whole_epoch(gabors):
    lines = (gabors / "epochs.csv").read_text().splitlines()
    (gabors / "epochs.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert "Epoch 1 of 2 is done" in reported(gabors).text


def test_the_folder_of_an_older_version_lacks_columns_flags_and_versions(gabors):
    old = pd.read_csv(gabors / "epochs.csv").drop(columns=["data_seconds"])
    assert "score_positive" not in old
    old.to_csv(gabors / "epochs.csv", index=False)
    kept = json.loads((gabors / "config.json").read_text())
    del kept["resolved"]["label_share"]
    kept["starts"] = [{"typed": {}}]
    (gabors / "config.json").write_text(json.dumps(kept))
    page = reported(gabors)
    assert "Scores" not in page.text
    assert "Memory" not in page.text
    assert "Seconds" in page.text
    assert "Where it ran" in page.text
    assert page.commands[0].startswith("python run_model.py --resume")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "config.json is not there."),
        ("{", "config.json: can't be read as JSON"),
        ("[1]", "config.json does not hold the flags."),
        ('{"typed": 1, "resolved": {"lr": "<x>"}, "starts": [2]}', "lr is '<x>'"),
        ('{"typed": {}, "resolved": {"later": 1}, "starts": {}}', "unknown fields later"),
    ],
)
def test_without_its_configuration_a_page_shows_the_rest_and_says_why(gabors, content, told):
    (gabors / "config.json").unlink()
    if content is not None:
        (gabors / "config.json").write_text(content)
    page = reported(gabors)
    assert told in page.text
    assert page.row("Validation, last", "unexpected")
    assert [shlex.split(one)[:3] for one in page.commands] == [["python", "-m", "utils.plots"]]


def test_tables_that_no_run_writes_are_told_and_end_nothing(tested):
    (tested / "accuracies.csv").write_text("a,b\n1,2\n")
    (tested / "faults.csv").write_text("a,b\n1,2\n")
    page = reported(tested)
    assert "accuracies.csv does not hold the records of a run" in page.text
    assert "The faults can't be shown: faults.csv does not hold" in page.text


def test_unreadable_files_are_counted_once_and_listed(videos):
    (videos / "faults.csv").write_text(
        "epoch,mode,item,path,reason\n1,train,4,/data/<a>.jpg,is cut off\n"
        "2,train,4,/data/<a>.jpg,is cut off\n2,val,1,/data/b.jpg,is missing\n"
    )
    page = reported(videos)
    assert "2 files could not be read" in page.text
    assert page.row("/data/<a>.jpg") == ["is cut off", "1", "train"]


def test_a_full_disk_ends_with_one_line_and_leaves_the_old_page(gabors, monkeypatch):
    old = reported(gabors).html

    def fail(path, *_, **__):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(RunError, match=rf"can't write {gabors / NAME}: No space left"):
        write_report(gabors, read_records(gabors), [])
    assert (gabors / NAME).read_text() == old
    assert not list(gabors.glob(".*"))
