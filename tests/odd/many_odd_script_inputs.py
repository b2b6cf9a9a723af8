"""Odd files that the scripts of process_data read, and odd values of their flags."""

import shutil

from odd_files import ODD_FILES, ODD_NUMBERS, ODD_TEXTS, copy_data_set, replace
from odd_trials import Trial, all_pass

SCRIPTS = ("extract_frames", "write_csvs", "verify", "pack_frames", "download_data")
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
FLAGS = {
    "write_csvs": ["--num_workers", 1, "--csv_root", "new"],
    "extract_frames": ["--num_workers", 1],
    "pack_frames": ["--num_workers", 1],
    "verify": ["--num_workers", 1, "--csv_root", "new"],
    "download_data": [],
}


def test_files(starter, videos, tmp_path):
    source = copy_data_set(videos, tmp_path / "source")
    root = source / "frames_root" / "UCF101"
    rows = [path.relative_to(root / "frames") for path in sorted((root / "frames").glob("*/*"))]
    (root / "splits").mkdir()
    for name in ("train", "test"):
        text = "".join(f"{row}.avi 1\n" for row in rows)
        (root / "splits" / f"{name}list01.txt").write_text(text)
    for row in rows[:2]:
        replace(root / "videos" / f"{row}.avi", lambda path: path.write_bytes(b"no video"))
    first = rows[0]
    files = {
        "write_csvs": ("splits", "splits/trainlist01.txt", "frames", f"frames/{first}"),
        "extract_frames": ("videos", f"videos/{first}.avi", "videos/x.avi", "frames_failures.csv",
                           f"frames/{first}", f"frames/{first.parent}"),
        "pack_frames": ("frames_tar", f"frames/{first}", f"frames/{first}/image_00001.jpg",
                        f"frames/{first.parent}"),
        "verify": ("frames", f"frames/{first}", f"frames/{first}/image_00001.jpg", "videos"),
        "download_data": ("archives", "archives/UCF101.rar", "videos", "splits"),
    }  # fmt: skip

    def trials():
        for script in SCRIPTS:
            flags = ["--d_root", "frames_root", "--dataset", "UCF101", *FLAGS[script]]
            for file in files[script]:
                for what, make in ODD_FILES.items():
                    place = copy_data_set(source, tmp_path / "place")
                    replace(place / "frames_root" / "UCF101" / file, make)
                    name = f"{script}: {file} is {what}"
                    yield Trial(name, place, flags, f"odd_calls.{script}", NO_NETWORK)
                    shutil.rmtree(place)

    all_pass(starter, "files that scripts read", trials())


def test_flags(starter, videos, tmp_path):
    place = copy_data_set(videos, tmp_path / "it")

    def trials():
        for script in SCRIPTS:
            for name in ("d_root", "csv_root", "num_workers", "dataset", "eye", "short_side"):
                others = {"dataset": "UCF101", "d_root": "nowhere"}
                others.pop(name, None)
                flags = [f"--{other}={value}" for other, value in others.items()]
                for value in (*ODD_TEXTS, *ODD_NUMBERS):
                    trial = f"{script} --{name}={value[:30]!r}"
                    typed = [f"--{name}={value}", *flags]
                    yield Trial(trial, place, typed, f"odd_calls.{script}")

    all_pass(starter, "flags of scripts", trials())
