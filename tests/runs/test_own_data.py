"""A folder of videos becomes a data set of its own name, and a tested classifier, by commands."""

import glob
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import verify
import write_csvs
from forked import ROOT
from run_records import only
from small_runs import narrow, run
from utils.config.described import FILE
from utils.runs.folder import read_config
from video_files import write_video

NAME = "Haus tiere"
CLASSES = {"Hund": 10, "große Katze": 10, "犬 (klein)": 1}
SMALL = [
    *("--img_dim", 32, "--seq_len", 2, "--num_seq_in", 2, "--pred_step", 1, "--num_epochs", 1),
    *("--ucf_hmdb_ms_ds", 2, "--batch_size", 4, "--num_workers", 0),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The page's five commands: split files, a check, pretraining, a classifier, and its test.

    The runs are smaller. Returns the folder of videos, split files and runs, not to be changed.
    """
    root = tmp_path_factory.mktemp("own data ü")
    for name, count in CLASSES.items():
        for number in range(count):
            write_video(root / NAME / "videos" / name / f"Clip {number}, é.avi", 24, (40, 32))
    (root / "data" / NAME).mkdir(parents=True)
    (root / "data" / NAME / FILE).write_text('{"short_side": 32}')  # which is faster
    for script, *arguments in commands(root):
        if script == "run_model.py":
            small = [] if "--test" in arguments else [*SMALL, "--data_path_dir", root / "data"]
            with narrow():
                assert run(*arguments, *small) == 0
        else:
            prepare = {"write_csvs.py": write_csvs, "verify.py": verify}[Path(script).name]
            own = ["--csv_root", str(root / "data"), "--num_workers", "0"]
            assert prepare.main([*arguments, *own]) == 0
    return root


def commands(root: Path) -> Iterator[list[str]]:
    """Yield the arguments of the page's commands, with this data set's name and folders."""
    text = (ROOT / "process_data/README.md").read_text().split("Five commands go from there")[1]
    lines = text.split("```bash\n")[1].split("```")[0].replace("\\\n", " ").splitlines()
    places = {"DIR": str(root), "Pets": NAME}
    for line in lines:
        words = shlex.split(line.replace("epoch10", "epoch1"), comments=True)[1:]
        paths = [places.get(word, word.replace("OUT", str(root / "runs"))) for word in words]
        yield [only_match(path) if "*" in path else path for path in paths]


def only_match(pattern: str) -> str:
    (found,) = glob.glob(pattern)
    return found


def flags(root: Path) -> list:
    places = ["--data_path_dir", root / "data", "--output_dir", root / "runs"]
    return ["--dataset", NAME, "--seed", 1, *places, *SMALL]


def weights(root: Path, name: str) -> Path:
    return Path(only_match(f"{root}/runs/*{name}*/model/epoch1.pth.tar"))


def test_names_with_spaces_and_of_other_scripts_come_through(made):
    lc = weights(made, "second").parents[1]
    assert lc.name.startswith(f"{NAME}-32_r18_lc-rnn_bs4_lr0.001_nseq2_len2_ds2_train-ft_seed1_")
    classes = pd.read_csv(lc / "classes.csv")
    assert classes["name"].tolist() == ["Hund", "große_Katze", "犬_klein"]
    tested = pd.read_csv(lc / "test_epoch1/predictions.csv")
    assert tested["name"].str.rsplit("/").str[-2].tolist() == ["Hund"] * 2 + ["große_Katze"] * 2


def test_the_stride_of_the_description_takes_the_place_of_the_flag(made, tmp_path, small):
    shutil.copytree(made / "data", tmp_path / "data")
    (tmp_path / "data" / NAME / FILE).write_text('{"stride": 3, "augmentation": "crop only"}')
    other = ["--data_path_dir", tmp_path / "data", "--output_dir", tmp_path / "runs"]
    assert run(*flags(made), *other) == 0
    folder = only(tmp_path / "runs")
    assert "_ds" not in folder.name
    assert "train: frames 3 apart, as dataset.json says" in (folder / "log.txt").read_text()
    [start] = read_config(folder)["starts"]
    assert (start["data"]["stride"], start["data"]["augmentation"]) == (3, "crop only")
    (tmp_path / "data" / NAME / FILE).write_text('{"stride": 2, "augmentation": "crop only"}')
    assert run("--resume", folder, "--num_epochs", 2) == 0
    told = f"--dataset {NAME}: stride is 2, in the run 3"
    assert told in (folder / "log.txt").read_text()
    assert "augmentation is" not in (folder / "log.txt").read_text()


def test_a_few_labels_are_told_and_are_in_the_name(made, tmp_path, small):
    classifier = ["--model", "lc-rnn", "--label_share", 0.5, "--output_dir", tmp_path]
    assert run(*flags(made), *classifier, "--not_save_best") == 0
    folder = only(tmp_path)
    assert "_share0.5_" in folder.name
    log = (folder / "log.txt").read_text()
    assert "--label_share 0.5: 9 of 17 training videos remain" in log  # 4, 4 and the only one


@pytest.mark.parametrize("share", ["0", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(share, made, tmp_path, capsys):
    classifier = ["--model", "lc-rnn", "--label_share", share, "--output_dir", tmp_path / "runs"]
    assert run(*flags(made), *classifier) == 2
    assert f"--label_share {share}: must" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_outlives_its_split_files(made, tmp_path, small, capsys):
    """It starts other runs, and says what is missing where its data are asked for."""
    shutil.copytree(made, tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved/data")
    shutil.copytree(made / "data" / NAME, tmp_path / "moved/data/Pets")
    lc, dpc = (weights(tmp_path / "moved", runs) for runs in ("second", "first"))
    data = ["--data_path_dir", tmp_path / "moved/data"]
    assert run("--test", lc, *data) == 2
    assert f"--dataset {NAME}: unknown; take one of UCF101" in capsys.readouterr().err
    assert run("--test", lc, *data, "--dataset", "Pets") == 0
    start = ["--dataset", "Pets", "--model", "lc-rnn", "--pretrained", dpc]
    assert run(*flags(made), *data, *start, "--output_dir", tmp_path / "new") == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["--dataset", "haus tiere"], "did you mean Haus tiere?"),
        (["--dataset", "Autos"], "Autos: unknown; take one of UCF101"),
        (["--dataset", "../data/Haus tiere"], "must be the name of a folder"),
        (["--split", "2"], "--split 2: Haus tiere has 1 alone"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_made(typed, told, made, tmp_path, capsys):
    assert run(*flags(made), *typed, "--output_dir", tmp_path / "runs") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
