"""Odd files, lists and names in a data set of videos that a run reads."""

import shutil
from pathlib import Path

from odd_files import (
    ODD_CLASS_LISTS,
    ODD_FILES,
    ODD_NAMES,
    ODD_ROWS,
    copy_data_set,
    replace,
)
from odd_trials import Trial, all_pass
from small_runs import video_flags
from video_data import pack, prepare

FLAGS = [*video_flags(Path("data")), "--num_epochs", 0, "--pred_step", 1, "--output_dir", "runs"]
MODELS = ("dpc-rnn", "lc-rnn")
PREPARED = ["--d_root", "frames_root", "--dataset", "UCF101", "--num_workers", 1]


def test_files(starter, videos, tmp_path):
    frames = videos / "frames_root" / "UCF101" / "frames"
    first = min(frames.glob("*/*")).relative_to(videos)
    lists = ("train_split01.csv", "test_split01.csv", "classInd.txt", "root.txt", "dataset.json")
    files = [
        *(Path("data", "UCF101", name) for name in lists),
        *(first, first.parent, first / "image_00001.jpg", first / "image_00003.jpg"),
    ]

    def trials():
        for n, file in enumerate(files):
            for m, (what, make) in enumerate(ODD_FILES.items()):
                place = copy_data_set(videos, tmp_path / f"{n}_{m}")
                replace(place / file, make)
                for model in MODELS:
                    yield Trial(f"{file} is {what}, {model}", place, [*FLAGS, "--model", model])
                shutil.rmtree(place)

    all_pass(starter, "files of a data set", trials())


def test_packed_files(starter, videos, tmp_path):
    packed = copy_data_set(videos, tmp_path / "packed")
    root = packed / "frames_root" / "UCF101"
    pack(root)
    shutil.rmtree(root / "frames")
    files = [path.relative_to(packed) for path in sorted((root / "frames_tar").glob("*Dive*"))]

    def trials():
        for n, file in enumerate(files):
            for m, (what, make) in enumerate(ODD_FILES.items()):
                place, name = copy_data_set(packed, tmp_path / f"{n}_{m}"), f"{file.name} is {what}"
                replace(place / file, make)
                yield Trial(name, place, FLAGS)
                for script in ("write_csvs", "verify", "pack_frames"):
                    lists = [] if script == "pack_frames" else ["--csv_root", "new"]
                    flags = [*PREPARED, *lists]
                    yield Trial(f"{name}, {script}", place, flags, f"odd_calls.{script}")
                shutil.rmtree(place)

    all_pass(starter, "files of a packed data set", trials())


def test_lines_of_lists(starter, videos, tmp_path):
    place = copy_data_set(videos, tmp_path / "it")
    rows, classes = (
        place / "data" / "UCF101" / name for name in ("train_split01.csv", "classInd.txt")
    )
    texts = [f"{row}\n" for row in ODD_ROWS]
    changes = [
        *((rows, text) for text in (*texts, *(rows.read_text() + text for text in texts))),
        *((classes, text) for text in ODD_CLASS_LISTS),
    ]

    def trials():
        for file, text in changes:
            before = file.read_text()
            file.write_text(text)
            for model in MODELS:
                name = f"{file.name} {text[-40:]!r}, {model}"
                yield Trial(name, place, [*FLAGS, "--model", model])
            file.write_text(before)

    all_pass(starter, "lines of lists", trials())


def test_names_of_classes(starter, tmp_path):
    """A data set with two classes of such names: trained, drawn and listed."""

    def trials():
        for n, name in enumerate(ODD_NAMES):
            place = tmp_path / str(n)
            prepare(place, lengths=(24, 24), size=(36, 40), classes=(name, "Other"))
            flags = [*FLAGS, "--model", "lc-rnn", "--num_epochs", 1]
            yield Trial(f"class {name!r}", place, flags)
            for run_made in sorted((place / "runs").glob("*")):
                yield Trial(f"class {name!r}, drawn", place, [run_made], "odd_calls.draw")
            flags = [*PREPARED, "--csv_root", "new"]
            yield Trial(f"class {name!r}, listed", place, flags, "odd_calls.write_csvs")

    all_pass(starter, "names of classes", trials())
