"""The batch script that copies frames to a node's own disk."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pack_frames import main as pack_frames
from slurm_site import Site

COPY = "slurm/copy_frame_tars.sh"


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.clear()


def write(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in files.items():
        (folder / f"image_0000{number[1:]}.jpg").write_bytes(content)


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.name != ".copy_lock"}


@pytest.fixture
def data(tmp_path) -> Path:
    """Make frames of UCF101. Class `run` is packed, but not `jump it`; all frames are kept."""
    root = tmp_path / "a source"
    rng = np.random.default_rng(0)
    for video in ("run/v_1", "run/v 2", "jump it/v'3"):
        write(root / "UCF101/frames" / video, f1=rng.bytes(5000), f2=rng.bytes(70))
    unpacked = root / "UCF101/frames/jump it"
    unpacked.rename(root / "apart")
    assert pack_frames(["--d_root", str(root), "--dataset", "ucf101", "--num_workers", "1"]) == 0
    (root / "apart").rename(unpacked)
    return root


def copied(data: Path) -> dict[str, bytes]:
    """Return what has to be on the node: tars with their index, and the other class's frames."""
    files = tree(data)
    return {name: files[name] for name in files if "_tar/" in name or "jump it" in name}


def test_packed_classes_are_copied_as_tars_and_the_others_as_frames(site, data, tmp_path):
    done = site.run(COPY, "-s", str(data), "-t", str(tmp_path / "node"), "-d", "ucf101")
    assert (done.status, done.errors) == (0, "")
    assert len(copied(data)) == 5
    assert tree(tmp_path / "node") == copied(data)


def test_a_data_set_of_any_name_is_copied(site, data, tmp_path):
    (data / "UCF101").rename(data / "Haus tiere")
    done = site.run(COPY, "-s", str(data), "-t", str(tmp_path / "node"), "-d", "Haus tiere")
    assert (done.status, done.errors) == (0, "")
    assert tree(tmp_path / "node") == copied(data)


def test_what_was_copied_before_is_not_copied_again(site, data, tmp_path):
    node = tmp_path / "node"
    frames = node / "UCF101/frames/jump it/v'3"
    tars = node / "UCF101/frames_tar"
    write(frames, f1=b"x" * 5000, f2=b"cut off")  # one of the right size, one not
    tars.mkdir()
    write(node / "UCF101/.part.old", f1=b"half")
    done = site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101")
    assert done.status == 0
    expected = copied(data)
    expected["UCF101/frames/jump it/v'3/image_00001.jpg"] = b"x" * 5000
    assert tree(node) == expected
    before = {path: path.stat().st_mtime_ns for path in node.rglob("[!.]*.*")}
    site.command("cp", "exit 1")
    assert site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101").status == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_copy_that_breaks_off_leaves_no_file_cut_short(site, data, tmp_path):
    node = tmp_path / "node"
    half = 'for f; do head -c 10 "$f" > "$aside/$f"; done'
    site.command("cp", f"aside=$2; shift 3; {half}; exit 1")
    done = site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101")
    assert done.status == 1
    assert done.errors.endswith("not everything could be copied; run it again\n")
    assert all(Path(name).name.startswith(".") for name in tree(node))
    (site.bin / "cp").unlink()
    assert site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101").status == 0
    assert tree(node) == copied(data)


def test_space_is_looked_for_first_and_only_for_what_is_missing(site, data, tmp_path):
    node = tmp_path / "node"
    command = (COPY, "-s", str(data), "-t", str(node), "-d", "UCF101")

    def free(blocks: int) -> None:
        site.command(
            "df", f'echo "Filesystem 1024-blocks Used Available"; echo "d 9 9 {blocks} 9%"'
        )

    free(20)
    done = site.run(*command)
    assert (done.status, tree(node)) == (1, {})
    assert re.fullmatch(r"copy_frame_tars.sh: \S+: has 0 MB free, .*\n", done.errors)
    tars = node / "UCF101/frames_tar"
    tars.mkdir()
    (tars / "run.tar").write_bytes((data / "UCF101/frames_tar/run.tar").read_bytes())
    assert site.run(*command).status == 0  # the rest is 4 kB thrice and 8 kB once


@pytest.mark.parametrize(
    ("dataset", "flags", "folder"),
    [
        ("k400", [], "Kinetics400/frames_tar"),
        ("KINETICS400", ["-b"], "Kinetics400/frames_256_tar"),
        ("mousesim", [], "MouseSim/frames_right_tar"),
        ("MouseSim", ["-e", "left"], "MouseSim/frames_left_tar"),
        ("MouseSim", ["-e", "both"], "MouseSim/frames_tar"),
        ("hmdb51", [], "HMDB51/frames_tar"),
    ],
)
def test_datasets_and_their_variants(site, tmp_path, dataset, flags, folder):
    for ending in ("", "_256", "_left", "_right"):
        for name in ("Kinetics400", "MouseSim", "HMDB51"):
            write(tmp_path / f"data/{name}/frames{ending}_tar", f1=b"frame")
    node = tmp_path / "node"
    done = site.run(COPY, "-s", str(tmp_path / "data"), "-t", str(node), "-d", dataset, *flags)
    assert done.status == 0
    assert list(tree(node)) == [f"{folder}/image_00001.jpg"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "usage: "),
        (["-s", "DATA", "-t", "NODE"], "usage: "),
        (["-s", "DATA", "-t", "NODE", "-d"], "-d: needs a value"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf101", "-x"], "-x: unknown"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf101", "more"], "more: unknown"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf102"], "-d ucf102: unknown; take UCF101"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf101", "-b"], "-b: is for Kinetics400"),
        (["-s", "DATA", "-t", "NODE", "-d", "mousesim", "-e", "mid"], "-e mid: take left"),
        (["-s", "DATA", "-t", "NODE", "-d", "hmdb51"], "DATA/HMDB51: has neither frames nor"),
        (["-s", "NONE", "-t", "NODE", "-d", "ucf101"], "NONE/UCF101: has neither frames nor"),
    ],
)
def test_wrong_arguments_get_a_line_and_status_2(site, data, tmp_path, flags, said):
    places = {"DATA": str(data), "NODE": str(tmp_path / "node"), "NONE": str(tmp_path / "none")}
    done = site.run(COPY, *[places.get(flag, flag) for flag in flags])
    for name, place in places.items():
        said = said.replace(f"{name}/", f"{place}/")
    assert done.status == 2
    assert done.errors.startswith(f"copy_frame_tars.sh: {said}")
    assert done.errors.count("\n") == 1
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize("jobs", ["0", "x", "-1", "08"])
def test_a_wrong_number_of_copies_gets_a_line_and_status_2(site, data, jobs):
    done = site.run(COPY, "-s", str(data), "-t", str(data), "-d", "ucf101", COPY_JOBS=jobs)
    assert done.status == 2
    assert done.errors == f"copy_frame_tars.sh: COPY_JOBS is '{jobs}': must be 1 to 9999\n"
