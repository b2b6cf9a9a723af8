"""A run's folder: how it is made and replaced, and what lies in the place of its files."""

import errno
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from run_records import only
from small_runs import TINY, run
from utils.errors import RunError, UsageError
from utils.runs import folder as folders
from utils.runs.folder import make_folder
from utils.runs.locks import RunInUseError, RunLocks, held
from utils.runs.records import EPOCHS, EpochRow, append_rows, drop_rows_after, start_records

pytestmark = pytest.mark.usefixtures("small")


def fill(folder: Path) -> None:
    (folder / "config.json").write_text("new")


def make(parent: Path, fill=fill, overwrite: bool = True) -> Path:
    with RunLocks() as locks:
        return make_folder(parent, "run", overwrite, fill, locks)


@pytest.fixture
def old(tmp_path) -> Path:
    """A run folder that is to be replaced."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text("old")
    return folder


def content(folder: Path) -> str:
    return (folder / "config.json").read_text()


def network_disk(monkeypatch, hidden: list) -> None:
    """Files that are removed while open get another name in their folder, which then stays."""
    remove = shutil.rmtree

    def rmtree(folder, ignore_errors=False):
        for handle in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{handle}"
            if os.path.lexists(path) and os.readlink(path).startswith(f"{folder}/"):
                hidden.append(os.readlink(path))
        remove(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", rmtree)


@pytest.mark.parametrize("fails", [False, True])
def test_no_file_is_open_in_a_folder_that_is_removed(fails, old, monkeypatch):
    open_ones = []
    network_disk(monkeypatch, open_ones)

    def failing(folder: Path) -> None:
        raise RunError("can't write it")

    if fails:
        with pytest.raises(UsageError, match="can't write it"):
            make(old.parent, failing)
    else:
        assert make(old.parent) == old
    assert content(old) == ("old" if fails else "new")
    assert open_ones == []
    assert os.listdir(old.parent) == ["run"]


def test_a_disk_that_leaves_files_of_the_old_run_stops_nothing(old, monkeypatch):
    def leaving(folder, ignore_errors=False):
        if Path(folder).exists():
            (Path(folder) / ".nfs0001").touch()
            (Path(folder) / "config.json").unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", leaving)
        assert make(old.parent) == old
        assert content(old) == "new"
        assert len(os.listdir(old.parent)) == 2
        make(old.parent)
    assert make(old.parent, overwrite=False).name == "run_001"
    assert sorted(os.listdir(old.parent)) == ["run", "run_001"]  # a later start has tidied up


@pytest.mark.parametrize("step", ["fill", "first rename", "second rename"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_replacement_that_fails_leaves_the_old_run(step, error, old, monkeypatch):
    calls = []
    rename = Path.rename

    def failing(*arguments: object) -> Path:
        calls.append(arguments)
        if step == "fill" or len(calls) == (1 if step == "first rename" else 2):
            raise error
        return rename(*arguments)

    if step != "fill":
        monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((UsageError, KeyboardInterrupt)):
        make(old.parent, failing if step == "fill" else fill)
    assert content(old) == "old"
    assert set(os.listdir(old.parent)) == {"run"}


def test_a_kill_between_the_renames_loses_no_run(old):
    old.rename(old.parent / ".run.12345678.old")
    made = make(old.parent, overwrite=False)
    assert (content(old), made.name) == ("old", "run_001")


def test_a_run_that_another_program_is_just_replacing_is_left_to_it(old, monkeypatch):
    hidden = old.rename(old.parent / ".run.12345678.old")

    def in_use(_: Path) -> None:
        raise RunInUseError("is being run")

    monkeypatch.setattr(folders, "held", in_use)
    folders.settle_replaced(old.parent, "run")
    assert os.listdir(old.parent) == [hidden.name]


def test_a_lock_on_a_run_that_was_replaced_meanwhile_is_none(old, monkeypatch):
    other = old.parent / "other"
    other.mkdir()
    (other / ".lock").touch()
    opener = os.open

    def slow(path, *arguments):
        handle = opener(path, *arguments)
        if str(path) == str(old / ".lock"):
            os.replace(other / ".lock", path)
        return handle

    monkeypatch.setattr(os, "open", slow)
    with pytest.raises(RunInUseError, match="has just been replaced"), held(old):
        pass


@pytest.mark.parametrize("kind", ["file", "foreign folder", "link to a run"])
def test_only_run_folders_are_replaced(kind, old, tmp_path):
    there = tmp_path / "elsewhere"
    old.rename(there)
    if kind == "file":
        old.touch()
    elif kind == "foreign folder":
        old.mkdir()
    else:
        old.symlink_to(there)
    with pytest.raises(UsageError, match="run is not a run folder; remove it by hand"):
        make(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "run"]


@pytest.mark.parametrize("kind", ["dangling", "circle", "file"])
def test_an_output_dir_that_is_no_folder_gets_one_line(kind, tmp_path):
    parent = tmp_path / "output"
    parent.touch() if kind == "file" else parent.symlink_to(kind if kind == "dangling" else parent)
    with pytest.raises(UsageError, match=r"--output_dir .*output: can't write there \("):
        make(parent)


def test_a_name_that_is_too_long_for_the_disk_is_no_fault_of_output_dir(tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def short(path, *arguments, **named):
        if path.name.startswith("."):
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        mkdir(path, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", short)
    with pytest.raises(UsageError, match="--suffix: the folder's name run is too long"):
        make(tmp_path)


def started(tmp_path: Path, *flags: object) -> Path:
    assert run(*TINY, "--num_epochs", 0, "--not_save_best", "--output_dir", tmp_path, *flags) == 0
    return only(tmp_path)


def test_a_run_with_rows_but_no_checkpoint_starts_again(tmp_path, capsys):
    folder = started(tmp_path)
    for path in (folder / "model").iterdir():
        path.unlink()
    (folder / "model").rmdir()
    rows = (folder / EPOCHS).read_text().splitlines()
    later = [",".join(["1", *row.split(",")[1:]]) for row in rows[1:]]  # of the epoch after
    (folder / EPOCHS).write_text("\n".join([*rows, *later, ""]))
    flags = [*TINY, "--num_epochs", 1, "--not_save_best", "--output_dir", tmp_path]
    assert run(*flags, "--resume", "auto") == 0
    assert "stopped before its first checkpoint; starting it again" in capsys.readouterr().err
    assert only(tmp_path) == folder
    epochs = [line.split(",")[0] for line in (folder / EPOCHS).read_text().splitlines()]
    assert epochs == ["epoch", "0", "1"]


def test_a_run_of_which_only_the_best_is_left_is_not_started_again(
    pretrained_run, tmp_path, capsys
):
    folder = shutil.copytree(pretrained_run, tmp_path / "run")
    for path in (folder / "model").glob("epoch*"):
        path.unlink()
    records = (folder / EPOCHS).read_text()
    assert run("--resume", folder) == 2
    assert "is left in model/; start a new run, with --pretrained" in capsys.readouterr().err
    assert (folder / EPOCHS).read_text() == records


@pytest.mark.parametrize("odd", ["pipe", "folder", "text", "deep", "wrong types", "other flags"])
def test_odd_neighbours_are_left_out_of_resume_auto(odd, tmp_path, capsys):
    path = tmp_path / "neighbour" / "config.json"
    path.parent.mkdir()
    if odd == "pipe":
        os.mkfifo(path)
    elif odd == "folder":
        path.mkdir()
    else:
        texts = {
            "text": "hello",
            "deep": "[" * 100_000,
            "wrong types": json.dumps({"typed": 3, "resolved": [], "starts": {}}),
            "other flags": json.dumps({"typed": {"seed": [1]}, "resolved": {}, "starts": []}),
        }
        path.write_text(texts[odd])
    for name, target in (("circle", "circle"), ("dangling", "nothing")):
        (tmp_path / name).symlink_to(target)
    flags = [*TINY, "--num_epochs", 0, "--not_save_best", "--output_dir", tmp_path]
    assert run(*flags, "--resume", "auto") == 0
    told = capsys.readouterr().err
    assert ("; left out" in told) == (odd != "other flags")
    assert "starting it" in told


@pytest.mark.parametrize("value", [0, None, ["0"], "first"])
def test_a_stored_gpu_that_is_no_text_gets_one_line(value, tmp_path, capsys):
    folder = started(tmp_path)
    kept = json.loads((folder / "config.json").read_text())
    kept["resolved"]["gpu"] = value
    (folder / "config.json").write_text(json.dumps(kept))
    assert run("--resume", folder) == 2
    assert "gpu" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("linked", ["run folder", "model"])
def test_a_run_goes_on_through_symbolic_links(linked, tmp_path):
    folder = started(tmp_path / "output")
    moved = folder if linked == "run folder" else folder / "model"
    moved.symlink_to(shutil.move(moved, tmp_path / "scratch"))
    (checkpoint,) = (folder / "model").glob("epoch0*")
    assert run("--resume", checkpoint, "--num_epochs", 1) == 0
    assert (folder / "model" / "epoch1.pth.tar").is_file()
    assert moved.is_symlink()


def test_a_test_beside_a_read_only_run_goes_to_output_dir(classifier_run, tmp_path, monkeypatch):
    before = sorted(classifier_run.iterdir())
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != classifier_run)
    checkpoint = classifier_run / "model" / "epoch0.pth.tar"
    assert run("--test", checkpoint, "--output_dir", tmp_path, "--batch_size", 4) == 0
    assert sorted(classifier_run.iterdir()) == before
    assert only(tmp_path).name == "test_epoch0"


def test_a_pipe_in_the_place_of_the_log_gets_one_line(tmp_path, capsys):
    folder = started(tmp_path)
    (folder / "log.txt").unlink()
    os.mkfifo(folder / "log.txt")
    assert run("--resume", folder, "--num_epochs", 1) == 1
    assert "log.txt: is no regular file" in capsys.readouterr().err.splitlines()[-1]


# ------------------------------------------------------------------ records


def row(epoch: int) -> EpochRow:
    return EpochRow(
        epoch, "train", "expected", 1.5, *[None] * 3, 0.5, 1e-3, *[1.0] * 5, None, 1, 8, 8
    )


@pytest.fixture
def records(tmp_path) -> Path:
    start_records(tmp_path, [])
    append_rows(tmp_path, EPOCHS, [row(0), row(1), row(2)])
    return tmp_path / EPOCHS


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda text: text[:-9] + text[-9:].strip("\n"), 0),
        (lambda text: text.replace("1,train", "²,train"), 1),
        (lambda text: text.replace("1,train", "9" * 5000 + ",train"), 1),
        (lambda text: text.replace("1,train,", "1,train\0,,"), 1),
        (lambda text: text.replace("1,train,", '1,"train,'), 1),
        (lambda text: text.replace("\n1,", "\n\n1,"), 0),
        (lambda text: text.replace("\n", "\r\n"), 0),
    ],
)
def test_damaged_rows_are_removed_and_the_others_kept(damage, lost, records):
    records.write_text(damage(records.read_text()), newline="")
    drop_rows_after(records.parent, 1)
    kept = records.read_bytes().decode().split("\n")
    assert [line.split(",")[0] for line in kept[1:-1]] == ["0", "1"][: 2 - lost]


def test_binary_rows_are_removed(records):
    whole = records.read_bytes()
    records.write_bytes(whole.replace(b"\n1,train", b"\n1,tr\xff\x00in") + b"\xff\xfe" * 100)
    drop_rows_after(records.parent, 2)
    assert [line[:1] for line in records.read_text().splitlines()] == ["e", "0", "2"]


@pytest.mark.parametrize("first", ["", "epoch,mode,loss\n", "epoch;mode\n"])
def test_records_of_other_columns_are_refused(first, records):
    rows = records.read_text().split("\n", 1)[1]
    records.write_text(first + rows)
    with pytest.raises(UsageError, match=r"epochs\.csv: its first line is not that"):
        drop_rows_after(records.parent, 1)
    assert records.read_text() == first + rows


NEW = 7  # columns that earlier versions did not write


def test_records_of_an_earlier_version_get_empty_values_in_the_new_columns(records):
    header, *rows = records.read_text().splitlines()
    old = [line.rsplit(",", NEW)[0] for line in (header, *rows)]
    records.write_text("\n".join([old[0], old[1], old[2][:-9], *old[2:]]) + "\n")
    drop_rows_after(records.parent, 1)
    assert records.read_text() == "\n".join([header, *rows[:2]]) + "\n"
    scored = row(2)._replace(score_easy=0.25, wrong_spatial=1.0)
    append_rows(records.parent, EPOCHS, [scored])
    table = pd.read_csv(records)
    assert table["score_easy"].dropna().tolist() == [0.25]
    assert table["wrong_spatial"].dropna().tolist() == [1.0]
    assert table["total"].tolist() == [8] * 3


def test_a_header_without_some_of_the_new_columns_is_refused(records):
    whole = records.read_text()
    cut = "\n".join(line.rsplit(",", NEW - 1)[0] for line in whole.splitlines()) + "\n"
    records.write_text(cut)
    with pytest.raises(UsageError, match=r"epochs\.csv: its first line is not that"):
        drop_rows_after(records.parent, 1)
    assert records.read_text() == cut


def test_a_record_that_is_gone_is_begun_anew_and_an_empty_one_too(records):
    header = records.read_text().split("\n")[0]
    for make_it_so in (records.unlink, lambda: records.write_text("")):
        make_it_so()
        drop_rows_after(records.parent, 1)
        assert records.read_text() == f"{header}\n"


def test_a_pipe_in_the_place_of_a_record_gets_one_line(records):
    records.unlink()
    os.mkfifo(records)
    with pytest.raises(UsageError, match="is no regular file"):
        drop_rows_after(records.parent, 1)
    with pytest.raises(RunError, match=r"can't write .*epochs\.csv"):
        append_rows(records.parent, EPOCHS, [row(3)])
