"""Downloading from a server of the test's own, and what ends up where."""

import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import download_data
import downloads
import listed_archives
from archive_files import files_below, stand_in, write_rar, write_tar, write_zip
from download_data import main
from downloads import DownloadError, download
from utils.config.datasets import CATALOGUE
from utils.errors import UsageError

CONTENT = bytes(range(256)) * 1000


class Server:
    """Serves `files`; `log` has a line `PATH RANGE` for each request.

    `cut`: bytes after which the next answers break off. `statuses`: of the next answers.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.log: list[str] = []
        self.cut: list[int] = []
        self.statuses: list[int] = []
        self.knows_range = True
        self.tells_size = True
        self.adds_to_size = 0
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range", "")
        self.log.append(f"{request.path} {asked}".strip())
        data = self.files.get(request.path.lstrip("/"))
        status = self.statuses.pop(0) if self.statuses else 200 if data is not None else 404
        if status != 200:
            request.send_error(status)
            return
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.knows_range else 0
        total = len(data) + self.adds_to_size
        if start and start >= len(data):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{total}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if self.tells_size:
            request.send_header("Content-Length", str(total - start))
        request.end_headers()
        rest = data[start:]
        request.wfile.write(rest[: self.cut.pop(0)] if self.cut else rest)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{http.server_port}"
    monkeypatch.setattr(downloads, "PAUSE", 0)
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


# ------------------------------------------------------------------ one file


@pytest.fixture
def target(server, tmp_path) -> Path:
    server.files["x.bin"] = CONTENT
    return tmp_path / "archives" / "x.bin"


def test_a_file_comes_whole(server, target):
    download(f"{server.url}/x.bin", target)
    assert files_below(target.parent) == {"x.bin": CONTENT}
    assert server.log == ["/x.bin"]


def test_it_goes_on_where_an_attempt_broke_off(server, target):
    server.cut = [1000, 5000]
    download(f"{server.url}/x.bin", target)
    assert files_below(target.parent) == {"x.bin": CONTENT}
    assert server.log == ["/x.bin", "/x.bin bytes=1000-", "/x.bin bytes=6000-"]


def test_it_goes_on_with_what_a_killed_run_left(server, target):
    target.parent.mkdir()
    target.with_name("x.bin.part").write_bytes(CONTENT[:777])
    download(f"{server.url}/x.bin", target)
    assert files_below(target.parent) == {"x.bin": CONTENT}
    assert server.log == ["/x.bin bytes=777-"]


def test_a_server_that_ignores_ranges_restarts_the_file(server, target):
    server.knows_range = False
    server.cut = [1000]
    download(f"{server.url}/x.bin", target)
    assert files_below(target.parent) == {"x.bin": CONTENT}


def test_a_whole_part_is_taken_and_one_that_is_too_long_restarts(server, target):
    target.parent.mkdir()
    target.with_name("x.bin.part").write_bytes(CONTENT)
    download(f"{server.url}/x.bin", target)
    assert server.log == [f"/x.bin bytes={len(CONTENT)}-"]
    target.with_name("x.bin.part").write_bytes(CONTENT + b"more")
    download(f"{server.url}/x.bin", target)
    assert server.log[1:] == [f"/x.bin bytes={len(CONTENT) + 4}-", "/x.bin"]
    assert files_below(target.parent) == {"x.bin": CONTENT}


def test_without_a_told_size_the_end_counts(server, target):
    server.tells_size = False
    download(f"{server.url}/x.bin", target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_never_reaches_its_size_is_not_taken(server, target):
    server.adds_to_size = 5
    with pytest.raises(DownloadError, match="bytes came instead of 256005"):
        download(f"{server.url}/x.bin", target)
    assert not target.exists()


def test_attempts_that_bring_more_do_not_use_up_patience(server, target):
    server.cut = [1000] * 3 * downloads.ATTEMPTS
    download(f"{server.url}/x.bin", target)
    assert target.read_bytes() == CONTENT
    target.unlink()
    server.cut = [0] * 3 * downloads.ATTEMPTS
    with pytest.raises(DownloadError):
        download(f"{server.url}/x.bin", target)
    assert len(server.cut) == 2 * downloads.ATTEMPTS


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(server, target):
    server.statuses = [503, 429]
    download(f"{server.url}/x.bin", target)
    assert target.read_bytes() == CONTENT
    server.log.clear()
    with pytest.raises(DownloadError) as caught:
        download(f"{server.url}/gone.bin", target.with_name("gone.bin"))
    assert server.log == ["/gone.bin"]
    told = str(caught.value)
    assert f"{server.url}/gone.bin" in told
    assert "404" in told
    assert told.endswith(f"place the file by hand at {target.with_name('gone.bin')}")


def test_no_server_and_no_http(tmp_path, server, monkeypatch):
    monkeypatch.setattr(downloads, "ATTEMPTS", 2)
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:1/x.*refused.*by hand"):
        download("http://127.0.0.1:1/x", tmp_path / "x")
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(DownloadError, match="no http address"):
        download(f"file://{tmp_path}/secret", tmp_path / "x")
    assert not (tmp_path / "x").exists()


# ------------------------------------------------------------------ UCF101, HMDB51

UCF_VIDEOS = {"UCF-101/Walk/v_Walk_g01_c01.avi": b"walk", "UCF-101/Run/v_Run_g01_c01.avi": b"run"}
UCF_SPLITS = {"ucfTrainTestlist/trainlist01.txt": b"a", "ucfTrainTestlist/classInd.txt": b"b"}
UCF_TREE = {
    "videos/Walk/v_Walk_g01_c01.avi": b"walk",
    "videos/Run/v_Run_g01_c01.avi": b"run",
    "splits/trainlist01.txt": b"a",
    "splits/classInd.txt": b"b",
}
HMDB_TREE = {
    "videos/jump/#20 (a)_jump.avi": b"jump",
    "videos/wave/b_wave.avi": b"wave",
    "splits/jump_test_split1.txt": b"1",
}


@pytest.fixture
def rar_program(tmp_path, monkeypatch) -> None:
    stand_in(tmp_path / "programs", "unrar", monkeypatch=monkeypatch)


@pytest.fixture
def ucf(server, rar_program, tmp_path, monkeypatch) -> Path:
    write_rar(tmp_path / "made/u.rar", UCF_VIDEOS)
    write_zip(tmp_path / "made/s.zip", UCF_SPLITS | {"ucfTrainTestlist/.hidden.txt": b""})
    return serve(server, tmp_path, monkeypatch, "UCF101", videos="u.rar", splits="s.zip")


@pytest.fixture
def hmdb(server, rar_program, tmp_path, monkeypatch) -> Path:
    made = tmp_path / "made"
    classes = [
        write_rar(made / "jump.rar", {"jump/#20 (a)_jump.avi": b"jump"}),
        write_rar(made / "wave.rar", {"wave/b_wave.avi": b"wave"}),
    ]
    write_rar(made / "h.rar", {path.name: path.read_bytes() for path in classes})
    write_rar(made / "hs.rar", {"testTrainMulti_7030_splits/jump_test_split1.txt": b"1"})
    return serve(server, tmp_path, monkeypatch, "HMDB51", videos="h.rar", splits="hs.rar")


def serve(server: Server, folder: Path, monkeypatch, dataset: str, **names: str) -> Path:
    """Returns the dataset's folder; the files served are those in folder/made."""
    server.files |= files_below(folder / "made")
    addresses = {key: f"{server.url}/{name}" for key, name in names.items()}
    monkeypatch.setitem(CATALOGUE, dataset, replace(CATALOGUE[dataset], addresses=addresses))
    return folder / "root" / dataset


def run(root: Path, *flags: str) -> int:
    flags = ("--num_workers", "0", *flags)
    return main(["--d_root", str(root.parent), "--dataset", root.name, *flags])


def tree(root: Path) -> dict[str, bytes]:
    return {k: v for k, v in files_below(root).items() if not k.startswith("archives/")}


def test_ucf101_comes_to_its_place_and_is_done_once(ucf, server, caplog):
    caplog.set_level(logging.INFO)
    assert run(ucf) == 0
    assert tree(ucf) == UCF_TREE
    assert "UCF101: 2 classes, the published set has 101" in caplog.text
    assert "UCF101: 2 videos, the published set has 13320" in caplog.text
    server.log.clear()
    (ucf / "videos/Run/v_Run_g01_c01.avi").write_bytes(b"mine")
    assert run(ucf) == 0
    assert server.log == []
    assert tree(ucf)["videos/Run/v_Run_g01_c01.avi"] == b"mine"


def test_no_warning_for_the_published_numbers(ucf, monkeypatch, caplog):
    few = replace(CATALOGUE["UCF101"], num_classes=2, num_videos=2)
    monkeypatch.setitem(CATALOGUE, "UCF101", few)
    assert run(ucf) == 0
    assert caplog.text == ""


@pytest.mark.parametrize("folder", ["archives", "."])
def test_archives_placed_by_hand_are_used(folder, ucf, server):
    (ucf / folder).mkdir(parents=True, exist_ok=True)
    for name in ("u.rar", "s.zip"):
        (ucf / folder / name).write_bytes(server.files.pop(name))
    assert run(ucf) == 0
    assert server.log == []
    assert UCF_TREE.items() <= tree(ucf).items()
    assert (ucf / folder / "u.rar").exists()


def test_a_killed_unpacking_is_done_again(ucf, server, monkeypatch):
    replace = os.replace
    moved = []

    def stop_after_two(source: Path, target: Path) -> None:
        if Path(target).suffix == ".avi":
            moved.append(target)
            if len(moved) == 2:
                raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        run(ucf)
    assert len([name for name in tree(ucf) if name.endswith(".avi")]) == 1
    monkeypatch.setattr(os, "replace", replace)
    server.log.clear()
    assert run(ucf) == 0
    assert tree(ucf) == UCF_TREE
    assert server.log == []


def test_a_failed_download_does_not_stop_the_other(ucf, server, caplog):
    del server.files["s.zip"]
    assert run(ucf) == 1
    assert {k: v for k, v in UCF_TREE.items() if k.startswith("videos")} == tree(ucf)
    by_hand = ucf / "archives" / "s.zip"
    assert f"{server.url}/s.zip: cannot be downloaded" in caplog.text
    assert f"place the file by hand at {by_hand}" in caplog.text
    write_zip(by_hand, UCF_SPLITS)
    assert run(ucf) == 0
    assert tree(ucf) == UCF_TREE


def test_without_a_program_for_rar_nothing_is_downloaded(ucf, server, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "made"))
    with pytest.raises(UsageError, match=r"needs unrar, bsdtar or 7z"):
        run(ucf)
    assert server.log == []


def test_an_evil_archive_is_refused(ucf, server, tmp_path):
    evil = write_rar(tmp_path / "evil.rar", UCF_VIDEOS | {"../evil.avi": b"evil"})
    server.files["u.rar"] = evil.read_bytes()
    with pytest.raises(UsageError, match=r"u\.rar: refused, its member '\.\./evil\.avi'"):
        run(ucf)
    assert not any(name.endswith(".avi") for name in tree(ucf.parent))
    assert not (ucf / "archives/.done/u.rar.done").exists()


@pytest.mark.parametrize("num_workers", ["0", "2"])
def test_hmdb51_is_an_archive_of_archives(num_workers, hmdb):
    assert run(hmdb, "--num_workers", num_workers) == 0
    assert tree(hmdb) == HMDB_TREE


def test_a_class_of_hmdb51_that_is_damaged_does_not_stop_the_others(hmdb, server, tmp_path, caplog):
    jump, wave = server.files["jump.rar"], server.files["wave.rar"]
    broken = write_rar(tmp_path / "h.rar", {"jump.rar": jump, "wave.rar": wave[:-9]})
    server.files["h.rar"] = broken.read_bytes()
    assert run(hmdb) == 1
    assert tree(hmdb) == {k: v for k, v in HMDB_TREE.items() if "wave" not in k}
    assert "wave.rar: cannot be unpacked" in caplog.text
    assert "1 of its 2 archives failed" in caplog.text
    (hmdb / "archives/h.rar").write_bytes((tmp_path / "made/h.rar").read_bytes())
    assert run(hmdb) == 0
    assert tree(hmdb) == HMDB_TREE


def test_a_class_of_hmdb51_whose_process_is_killed_is_named(hmdb, monkeypatch, caplog):
    def in_parallel(function, calls, num_workers, label, killed) -> list[bool]:
        return [killed("SIGKILL", *calls[0]), *(function(*call) for call in calls[1:])]

    monkeypatch.setattr(download_data.command_line, "in_parallel", in_parallel)
    assert run(hmdb) == 1
    assert tree(hmdb).keys() == {name for name in HMDB_TREE if "jump/" not in name}
    assert "jump.rar: its process was ended (SIGKILL)" in caplog.text
    assert "1 of its 2 archives failed" in caplog.text


def test_an_evil_class_of_hmdb51_leaves_nothing(hmdb, server, tmp_path):
    evil = write_rar(tmp_path / "wave.rar", {"wave/../../../evil.avi": b"evil"})
    jump = server.files["jump.rar"]
    outer = write_rar(tmp_path / "h.rar", {"jump.rar": jump, "wave.rar": evil.read_bytes()})
    server.files["h.rar"] = outer.read_bytes()
    with pytest.raises(UsageError, match=r"wave\.rar: refused"):
        run(hmdb)
    assert not any(name.endswith(".avi") for name in tree(hmdb.parent))


# ------------------------------------------------------------------ Kinetics400

COLUMNS = "label,youtube_id,time_start,time_end,split,is_cc\n"
PARTS = {
    "train/part_0.tar.gz": {f"x/{c}-{i}_000003_000013.mp4": b"0" for c in "ab" for i in range(7)},
    "train/part_1.tar.gz": {"./a-8_000012_000022.mp4": b"1", "other_000001_000011.mp4": b"?"},
    "val/part_0.tar.gz": {"-v_a_b_000100_000110.mp4": b"2"},
    "test/part_0.tar.gz": {"t_000000_000010.mp4": b"3"},
}
ROWS = {
    "train": [
        *(f"playing guitar,a-{i},3,13,train,0" for i in range(7)),
        *(f'"news (live, tv)",b-{i},3,13,train,0' for i in range(7)),
        "playing guitar,a-8,12,22,train,0",
    ],
    "val": ["abseiling,-v_a_b,100,110,validate,0"],
    "test": ["abseiling,t,0,10,test,0", ",other,1,11,test,0"],
}
GUITAR, NEWS = "videos/playing_guitar", "videos/news_live,_tv"
KINETICS_VIDEOS = {
    **{f"{GUITAR}/a-{i}_000003_000013.mp4": b"0" for i in range(7)},
    **{f"{NEWS}/b-{i}_000003_000013.mp4": b"0" for i in range(7)},
    f"{GUITAR}/a-8_000012_000022.mp4": b"1",
    "videos/abseiling/-v_a_b_000100_000110.mp4": b"2",
    "videos/abseiling/t_000000_000010.mp4": b"3",
}


@pytest.fixture
def kinetics(server, tmp_path, monkeypatch) -> Path:
    for name, files in PARTS.items():
        write_tar(tmp_path / "made" / name, files)
    for split, rows in ROWS.items():
        urls = [f"{server.url}/{name}\n" for name in PARTS if name.startswith(split)]
        (tmp_path / f"made/k400_{split}_path.txt").write_text("".join(urls))
        (tmp_path / f"made/{split}.csv").write_text(COLUMNS + "\n".join(rows) + "\n")
    names = {"list": "k400_{split}_path.txt", "annotations": "{split}.csv"}
    return serve(server, tmp_path, monkeypatch, "Kinetics400", **names)


def videos_of(root: Path) -> dict[str, bytes]:
    return {k: v for k, v in tree(root).items() if k.startswith("videos/")}


def kept_archives(root: Path) -> set[str]:
    return {k for k in files_below(root) if k.endswith(".tar.gz")}


def test_kinetics400_is_sorted_into_classes_and_its_archives_removed(kinetics, server, caplog):
    assert run(kinetics) == 0
    assert videos_of(kinetics) == KINETICS_VIDEOS
    for split in ROWS:
        annotations = kinetics / f"annotations/{split}.csv"
        assert annotations.read_bytes() == server.files[f"{split}.csv"]
    assert kept_archives(kinetics) == set()
    assert "train/part_1.tar.gz: left out 1 videos without a row in the annotations" in caplog.text
    note = kinetics / "archives/.done/train/part_1.tar.gz.done"
    assert str(note) in caplog.text
    assert note.read_text() == "other_000001_000011.mp4"
    assert "Kinetics400: 3 classes, the published set has 400" in caplog.text
    server.log.clear()
    assert run(kinetics) == 0
    assert server.log == []


def test_archives_of_kinetics400_that_are_kept(kinetics):
    placed = write_tar(kinetics / "val/part_0.tar.gz", PARTS["val/part_0.tar.gz"])
    assert run(kinetics) == 0
    assert videos_of(kinetics) == KINETICS_VIDEOS
    assert kept_archives(kinetics) == {"val/part_0.tar.gz"}
    for part in (kinetics / "archives/.done").rglob("*.done"):
        part.unlink()
    placed.unlink()
    assert run(kinetics, "--keep_archives") == 0
    assert kept_archives(kinetics) == {f"archives/{name}" for name in PARTS}
    assert run(kinetics) == 0
    assert kept_archives(kinetics) == set()


def test_minimal_takes_few_videos_and_a_full_run_the_rest(kinetics, server):
    assert run(kinetics, "--minimal") == 0
    found = videos_of(kinetics)
    assert found.items() <= KINETICS_VIDEOS.items()
    folders = Counter(str(Path(name).parent) for name in found)
    assert folders == {GUITAR: 5, NEWS: 5, "videos/abseiling": 2}
    assert not any("part_1" in line for line in server.log)
    server.log.clear()
    assert run(kinetics, "--minimal") == 0
    assert server.log == []
    assert run(kinetics) == 0
    assert videos_of(kinetics) == KINETICS_VIDEOS
    assert run(kinetics, "--minimal") == 0


def test_a_missing_part_does_not_stop_the_others(kinetics, server, caplog):
    part = server.files.pop("train/part_0.tar.gz")
    assert run(kinetics) == 1
    assert videos_of(kinetics) == {k: v for k, v in KINETICS_VIDEOS.items() if v != b"0"}
    assert f"by hand at {kinetics / 'archives/train/part_0.tar.gz'}" in caplog.text
    assert "train: 1 of 2 archives failed" in caplog.text
    server.files["train/part_0.tar.gz"] = part
    assert run(kinetics) == 0
    assert videos_of(kinetics) == KINETICS_VIDEOS


REPLACED = "replacement_for_corrupted_k400.tgz"
BETTER = {
    "replacement_for_corrupted_k400/a-1_000003_000013.mp4": b"better",
    "replacement_for_corrupted_k400/-v_a_b_000100_000110.mp4": b"better",
    "replacement_for_corrupted_k400/unknown_000001_000002.mp4": b"?",
}
WITH_BETTER = KINETICS_VIDEOS | {
    f"{GUITAR}/a-1_000003_000013.mp4": b"better",
    "videos/abseiling/-v_a_b_000100_000110.mp4": b"better",
}


@pytest.fixture
def replaced(kinetics, server, tmp_path, monkeypatch) -> Path:
    info = CATALOGUE["Kinetics400"]
    addresses = {**info.addresses, "replacements": f"{server.url}/{REPLACED}"}
    monkeypatch.setitem(CATALOGUE, "Kinetics400", replace(info, addresses=addresses))
    server.files[REPLACED] = write_tar(tmp_path / REPLACED, BETTER).read_bytes()
    return kinetics


def test_replacements_take_the_place_of_broken_videos_and_of_their_frames(replaced, server, caplog):
    caplog.set_level(logging.INFO)
    broken = replaced / "frames_256/playing_guitar/a-1_000003_000013/image_00001.jpg"
    whole = replaced / "frames_256/playing_guitar/a-2_000003_000013/image_00001.jpg"
    packed = replaced / "frames_tar/abseiling.tar"
    for path in (broken, whole, packed):
        path.parent.mkdir(parents=True)
        path.touch()
    assert run(replaced) == 0
    assert videos_of(replaced) == WITH_BETTER
    assert not broken.parent.exists()
    assert whole.exists()
    assert f"{packed}: holds frames of the broken -v_a_b_000100_000110.mp4" in caplog.text
    assert "2 broken videos replaced" in caplog.text
    assert "left out 1 videos without a row in the annotations" in caplog.text
    assert not (replaced / "archives" / REPLACED).exists()
    server.log.clear()
    assert run(replaced) == 0
    assert server.log == []


def test_frames_of_broken_videos_are_removed_also_after_a_kill(replaced, monkeypatch):
    broken = replaced / "frames/playing_guitar/a-1_000003_000013"
    broken.mkdir(parents=True)
    rmtree = listed_archives.shutil.rmtree

    def killed(path: Path, **options: bool) -> None:
        if path == broken:
            raise KeyboardInterrupt
        rmtree(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(listed_archives.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            run(replaced)
    assert broken.exists()
    assert run(replaced) == 0
    assert not broken.exists()


@pytest.mark.parametrize("folder", ["archives", "archives/replacement", "archives/train", "."])
def test_replacements_that_are_placed_beside_the_parts_are_used(folder, replaced, server):
    (replaced / folder).mkdir(parents=True)
    (replaced / folder / REPLACED).write_bytes(server.files.pop(REPLACED))
    assert run(replaced) == 0
    assert videos_of(replaced) == WITH_BETTER
    assert (replaced / folder / REPLACED).exists()


def test_a_part_that_is_unpacked_again_is_replaced_again(replaced):
    assert run(replaced, "--minimal") == 0
    assert videos_of(replaced).items() <= KINETICS_VIDEOS.items()
    assert run(replaced) == 0
    (replaced / "archives/.done/train/part_0.tar.gz.done").unlink()
    assert run(replaced) == 0
    assert videos_of(replaced) == WITH_BETTER


def test_replacements_that_are_gone_are_a_failure_of_their_own(replaced, server, caplog):
    del server.files[REPLACED]
    assert run(replaced) == 1
    assert videos_of(replaced) == KINETICS_VIDEOS
    assert f"by hand at {replaced / 'archives' / REPLACED}" in caplog.text


@pytest.mark.parametrize("text", ["<html>\n", "", "ftp://x/a.tar.gz\n", "http://x/\n"])
def test_a_list_of_archives_that_is_none(text, kinetics, server):
    server.files["k400_train_path.txt"] = text.encode() or b"\n"
    with pytest.raises(UsageError, match=r"k400_train_path\.txt.* is (no address|empty)"):
        run(kinetics)


def test_lists_of_kinetics400_may_be_saved_by_a_spreadsheet(kinetics, server):
    for name in ("k400_train_path.txt", "train.csv"):
        text = server.files[name].decode().replace("\n", "\r\n")
        server.files[name] = text.replace(",3,13,", ",3.0,13.0,").encode("utf-8-sig")
    assert run(kinetics) == 0
    assert videos_of(kinetics) == KINETICS_VIDEOS


def test_a_dead_server_is_not_asked_for_every_part(kinetics, server, caplog):
    urls = "".join(f"{server.url}/train/gone_{i}.tar.gz\n" for i in range(9))
    server.files["k400_train_path.txt"] = urls.encode()
    assert run(kinetics) == 1
    assert len([line for line in server.log if "gone" in line]) == listed_archives.MOST_FAILURES
    assert "train: stopped, 3 archives in a row failed" in caplog.text


def test_annotations_that_are_no_annotations(kinetics):
    (kinetics / "annotations").mkdir(parents=True)
    (kinetics / "annotations/train_split.csv").write_text("label,youtube_id\na,b\n")
    with pytest.raises(UsageError, match=r"train_split\.csv, line 1: has no .*time_start"):
        run(kinetics)


def test_the_addresses_of_kinetics400_are_torchvisions():
    from torchvision.datasets import Kinetics

    addresses = CATALOGUE["Kinetics400"].addresses
    assert addresses["list"] == Kinetics._TAR_URLS["400"]
    assert addresses["annotations"] == Kinetics._ANNOTATION_URLS["400"]


# ------------------------------------------------------------------ flags


@pytest.mark.parametrize(
    ("dataset", "flags", "told"),
    [
        ("MouseSim", [], r"is not public.*MouseSim/videos/\{class\}/\*\.mov"),
        ("UCF101", ["--minimal"], "--minimal: is for Kinetics400, not UCF101"),
        ("hmdb51", ["--keep_archives"], "--keep_archives: is for Kinetics400, not HMDB51"),
        ("Pets", [], r"there is nothing to download; .*Pets/videos/\{class\}"),
        ("gabors", [], "Gabors are drawn"),
    ],
)
def test_wrong_flags_are_told_before_anything_is_done(dataset, flags, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        main(["--d_root", str(tmp_path), "--dataset", dataset, *flags])
    assert list(tmp_path.iterdir()) == []
