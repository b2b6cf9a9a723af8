"""Videos, names, folders and disks of all kinds, of which each stops no other video."""

import errno
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import decoding
import extract_frames
import verify
import write_csvs
from dataset.video_files import Making
from folders import fault_of_name, find_videos, label
from frame_notes import read_doubtful, read_interpolation
from utils.errors import RunError, UsageError
from video_files import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "v.avi"
    write_video(path, 6)
    return path.read_bytes()


def place(root: Path, content: bytes, *names: str | bytes) -> None:
    for name in names:
        path = os.fsencode(root / "videos") + b"/" + os.fsencode(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def extract(root: Path, *flags: str | int) -> int:
    arguments = ["--d_root", root.parent, "--dataset", root.name, "--num_workers", 0, *flags]
    return extract_frames.main([str(argument) for argument in arguments])


def made(root: Path, frames: str = "frames") -> set[str]:
    return {path.relative_to(root / frames).as_posix() for path in root.glob(f"{frames}/*/[!.]*")}


def failures(root: Path) -> str:
    return (root / "frames_failures.csv").read_text()


# ------------------------------------------------------------------ files that are no video


ODD_FILES = {
    "broken link": "is a link that leads nowhere",
    "link in a circle": "symbolic links lead in a circle",
    "pipe": "is no regular file",
    "folder": "is a folder",
    "empty": "is empty",
    "text": "can't be opened",
    "noise": "can't be opened",
    "header alone": "can't be opened",
    "playlist": "can't be opened",
}


def make_odd(path: Path, kind: str, video: bytes) -> None:
    contents = {
        "empty": b"",
        "text": b"hello",
        "noise": np.random.default_rng(0).bytes(9999),
        "header alone": video[:100],
        "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    }
    if kind == "broken link":
        path.symlink_to("/nowhere/v.avi")
    elif kind == "link in a circle":
        path.symlink_to(path.name)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(contents[kind])


def test_what_is_no_video_is_listed_and_stops_no_other(tmp_path, video):
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi", "Run/v_z.avi")
    for kind in ODD_FILES:
        make_odd(root / f"videos/Run/{kind}.avi", kind, video)
    assert extract(root) == 1
    assert made(root) == {"Run/v_a", "Run/v_z"}
    rows = {f"Run/{kind}.avi,{reason}\n" for kind, reason in ODD_FILES.items()}
    assert set(failures(root).splitlines(keepends=True)) == {"video,reason\n", *rows}


@pytest.mark.parametrize(
    ("name", "told", "fault"),
    [
        (b"v\xff\xfe.avi", r"v\xff\xfe.avi", "is not UTF-8"),
        (b"v\n1.avi", r"v\n1.avi", r"control character '\n'"),
        (b"v\r.avi", r"v\r.avi", r"control character '\r'"),
        (b"v\x1b[31m.avi", r"v\x1b[31m.avi", r"control character '\x1b'"),
        ("v\u2028.avi", r"v\u2028.avi", r"control character '\u2028'"),
        ("v\x85.avi", r"v\x85.avi", r"control character '\x85'"),
        (b"v\\w.avi", r"v\w.avi", "backslash"),
    ],
)
@pytest.mark.parametrize("place_of_it", ["video", "class"])
def test_names_that_split_files_can_not_hold_are_failures(
    tmp_path, video, name, told, fault, place_of_it
):
    root = tmp_path / "UCF101"
    odd, shown = (b"Run/" + os.fsencode(name), f"Run/{told}")
    if place_of_it == "class":
        odd, shown = (os.fsencode(name) + b"x/v.avi", f"{told}x/v.avi")
    place(root, video, "Run/v_a.avi", odd)
    assert extract(root) == 1
    assert made(root) == {"Run/v_a"}
    assert shown in failures(root)
    assert f"{fault}" in failures(root)


@pytest.mark.parametrize(
    "stem",
    [
        "n" * 250,
        "com,ma",
        'quo"te',
        "100%d",
        "%05d",
        "a:b",
        "-dash",
        " lead",
        "trail ",
        "ü…✓",
        "$x",
    ],
)
def test_other_names_are_taken(tmp_path, video, stem):
    root = tmp_path / "UCF101"
    place(root, video, f"Run/{stem}.avi")
    assert extract(root) == 0
    assert made(root) == {f"Run/{stem}"}
    assert extract(root, "--short_side", 20) == 0  # an old folder is replaced
    assert fault_of_name(stem) == ""


def test_a_root_that_root_txt_can_not_hold_is_refused(tmp_path, video):
    root = tmp_path / os.fsdecode(b"nu\xff") / "UCF101"
    place(root, video, "Run/v.avi")
    with pytest.raises(UsageError, match=r"--d_root .*nu\\xff/UCF101: is no UTF-8 text"):
        extract(root)


def test_labels_have_no_bytes_that_act_on_a_terminal():
    assert label(Path(os.fsdecode(b"a/Cl\xffass/\x1b[2J\n.avi"))) == r"Cl\xffass/\x1b[2J\n.avi"


class FakeCapture:
    """A video of these frames, whose header says what `said` does."""

    def __init__(self, frames: list, **said: float):
        self.frames = iter(frames)
        self.said = {"FRAME_COUNT": len(frames), **said}

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, number: int) -> float:
        names = {getattr(cv2, f"CAP_PROP_{name}"): value for name, value in self.said.items()}
        return names.get(number, 0.0)

    def read(self) -> tuple:
        frame = next(self.frames, None)
        return frame is not None, frame

    def release(self) -> None:
        pass


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Extract a video that OpenCV reads as it is told to."""

    def run(frames: list, **said: float) -> tuple[int, Path]:
        place(tmp_path / "UCF101", b"anything", "Run/v.avi")
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FakeCapture(frames, **said))
        return extract(tmp_path / "UCF101", "--short_side", 10), tmp_path / "UCF101"

    return run


@pytest.mark.parametrize(("width", "height"), [(30000, 30000), (2**30, 2), (16000, 16000)])
def test_a_bomb_of_pixels_is_a_failure_before_it_is_decoded(fake, width, height):
    status, root = fake([], FRAME_WIDTH=width, FRAME_HEIGHT=height)
    assert status == 1
    assert f"Run/v.avi,says that its frames have {width}×{height} pixels" in failures(root)


@pytest.mark.parametrize(
    ("code", "name"), [(b"AV01", "AV01"), (b"hvc1", "hvc1"), (b"\0\x1b\xff,", "???,")]
)
def test_a_codec_that_can_not_be_decoded_is_named(fake, code, name):
    status, root = fake([], FOURCC=float(int.from_bytes(code, "little")))
    assert status == 1
    assert f"no frame can be decoded: it is damaged, or OpenCV lacks the codec {name}" in failures(
        root
    )


@pytest.mark.parametrize("code", [b"ZZZZ", b"zz\xff\n"])
@pytest.mark.parametrize("kind", ["avi", "mp4"])
def test_a_codec_that_nobody_knows_is_named(tmp_path, video, code, kind):
    content = video.replace(b"MJPG", code)
    if kind == "mp4":  # a description of samples is all that it has
        content = b"\0\0\0\x10ftypmp42" + bytes(8) + b"stsd" + bytes(12) + code + bytes(99)
    place(tmp_path / "UCF101", content, f"Run/v.{kind}")
    assert extract(tmp_path / "UCF101") == 1
    assert decoding.codec_name(int.from_bytes(code, "little")) in failures(tmp_path / "UCF101")


@pytest.mark.parametrize("sides", [(14_000, 2), (2, 14_000), (1, 65_501)])
def test_a_video_too_narrow_for_frames_of_the_size_asked_is_a_failure(fake, sides):
    status, root = fake([gray(*sides)])
    assert status == 1
    assert "Run/v.avi,its frames would have" in failures(root)
    assert made(root) == set()


def gray(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 99, np.uint8)


def test_a_video_that_changes_its_size_is_doubtful_and_has_frames_of_one_size(fake, caplog):
    status, root = fake([gray(20, 40)] * 3 + [gray(40, 20)] * 2)
    assert status == 0
    shapes = {cv2.imread(str(path)).shape for path in root.glob("frames/Run/v/*.jpg")}
    assert shapes == {(10, 20, 3)}
    assert read_doubtful(root / "frames") == {"Run/v.avi": "20×40 pixels from frame 4 on"}
    assert "1 videos are doubtful, listed in" in caplog.text


@pytest.mark.parametrize("promised", [-(2.0**63), 0, float(2**62)])
def test_any_number_of_frames_may_be_promised(fake, promised):
    status, root = fake([gray(10, 10)] * 4, FRAME_COUNT=promised)
    assert status == 0
    assert (read_doubtful(root / "frames") != {}) == (promised > 4)


def test_doubtful_videos_stay_listed_until_they_are_extracted_anew(fake):
    _, root = fake([gray(20, 40)] * 4, FRAME_COUNT=43)
    said = {"Run/v.avi": "4 frames decoded, its header says 43"}
    assert read_doubtful(root / "frames") == said
    fake([gray(20, 40)] * 4)  # there already
    assert read_doubtful(root / "frames") == said
    shutil.rmtree(root / "frames/Run/v")
    fake([gray(20, 40)] * 4)
    assert not (root / "frames_doubtful.csv").exists()


def test_doubtful_videos_are_listed_also_when_the_script_is_stopped(fake, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(extract_frames, "write_failures", stop)
    with pytest.raises(KeyboardInterrupt):
        fake([gray(20, 40)] * 4, FRAME_COUNT=43)
    monkeypatch.undo()
    _, root = fake([])  # skipped, as its frames are there
    assert set(read_doubtful(root / "frames")) == {"Run/v.avi"}


# ------------------------------------------------------------------ disks


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EDQUOT, "Disk quota exceeded"),
        (errno.EROFS, "Read-only file system"),
        (errno.EACCES, "Permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["mkdir", "write", "rename"])
def test_a_disk_that_takes_no_frames_ends_the_script_at_once(
    tmp_path, video, monkeypatch, number, said, step
):
    root = tmp_path / "UCF101"
    place(root, video, *(f"Run/v_{i}.avi" for i in range(5)))
    tried = []

    def fail(*_: object, **__: object) -> None:
        tried.append(step)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if step == "mkdir":
            (root / "frames").mkdir()
            patch.setattr(Path, "mkdir", fail)
            patch.setattr(extract_frames, "write_interpolation", lambda *_: None)
        elif step == "write":
            patch.setattr(decoding, "write_frames", fail)
        else:
            patch.setattr(decoding, "move_into_place", fail)
        with pytest.raises(RunError, match=f"frames/Run: frames can't be written \\({said}"):
            extract(root)
    assert len(tried) == 1
    assert not list(root.glob("frames/Run/.*"))
    assert extract(root) == 0
    assert len(made(root)) == 5


def test_a_file_in_the_place_of_a_folder_of_frames_stays(tmp_path, video):
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi", "Run/v_b.avi")
    (root / "frames/Run").mkdir(parents=True)
    (root / "frames/Run/v_a").write_text("mine")
    assert extract(root) == 1
    assert (root / "frames/Run/v_a").read_text() == "mine"
    assert "Run/v_a.avi,its frames can't be written" in failures(root)
    assert (root / "frames/Run/v_b").is_dir()


def test_with_nothing_to_do_nothing_is_written(tmp_path, video, monkeypatch):
    """A disk may be one that can only be read."""
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi")
    make_odd(root / "videos/Run/v_b.avi", "broken link", video)
    assert extract(root) == 1

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for owner, name in ((Path, "mkdir"), (Path, "unlink"), (os, "rename"), (os, "replace")):
        monkeypatch.setattr(owner, name, fail)
    assert extract(root) == 1  # and the list of failures is as it was
    os.remove(root / "videos/Run/v_b.avi")
    os.remove(root / "frames_failures.csv")
    assert extract(root) == 0


def test_frames_that_others_made_are_left_alone(tmp_path, video, caplog):
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi", "Run/v_b.avi")
    (root / "frames/Run/v_a").mkdir(parents=True)
    cv2.imwrite(str(root / "frames/Run/v_a/img_1.png"), gray(9, 9))
    assert extract(root) == 0
    assert [path.name for path in (root / "frames/Run/v_a").iterdir()] == ["img_1.png"]
    assert "1 videos have frames that others made, which are left as they are" in caplog.text


# ------------------------------------------------------------------ folders


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        ("Dive/a.avi Run/b.avi", "Dive Run"),
        ("UCF-101/Dive/a.avi UCF-101/Run/b.avi", "Dive Run"),
        ("Dive/Dive/a.avi Run/Run/b.avi", "Dive Run"),
        ("train/Dive/a.avi test/Run/b.avi test/Dive/c.avi", "Dive Run"),
        ("UCF/train/Dive/a.avi UCF/test/Run/b.avi", "Dive Run"),
        ("train/a.avi Run/b.avi", "Run train"),  # the railway
        ("Dive/a.avi Run/.b.avi .x/c.avi", "Dive"),
        ("Dive/a.avi __MACOSX/Dive/a.avi Dive/@eaDir/a.avi/thumb.jpg", "Dive"),
        ("Dive.avi/a.avi Run/b.avi", "Dive.avi Run"),
    ],
)
def test_classes_are_the_folders_of_the_videos(tmp_path, files, classes):
    place(tmp_path, b"", *files.split())
    found = find_videos(tmp_path / "videos")
    assert sorted({path.parent.name for path in found.videos}) == classes.split()
    assert not found.by_split
    assert not found.faults


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("a.avi b.avi", "holds 2 videos that lie in no folder of a class; move them to"),
        ("Dive/g1/a.avi Run/g1/b.avi", "which folders are the classes.* Dive/g1 and Run/g1"),
        ("train/a.mp4 val/b.mp4", "its folders train, val are splits, not classes"),
        ("Train/a.mp4", "its folders Train are splits, not classes"),
        ("train_256/a.mp4 val_256/b.mp4 replacement/c.mp4", "are splits, not classes"),
        ("k400/train/a.mp4 k400/test/b.mp4", "its folders test, train are splits"),
        ("Run/a.txt Run/b.ZIP c", "holds no videos, 3 files passed over: .*no ending 1"),
        ("Run/.a.avi", "holds no videos; get them with"),
    ],
)
@pytest.mark.parametrize("dataset", ["UCF101", "Kinetics400"])
def test_unclear_folders_are_refused(tmp_path, dataset, files, said):
    place(tmp_path / dataset, b"", *files.split())
    with pytest.raises(UsageError, match=said):
        extract(tmp_path / dataset)
    assert not (tmp_path / dataset / "frames").exists()


def test_videos_at_another_depth_than_most_are_listed(tmp_path, video):
    root = tmp_path / "UCF101"
    place(root, video, "Run/a.avi", "Run/b.avi", "c.avi", "Dive/old/d.avi", "e.txt")
    (root / "videos/Run/back").symlink_to(root / "videos")
    assert extract(root) == 1
    assert made(root) == {"Run/a", "Run/b"}
    assert 'videos/c.avi,"lies at another depth than most' in failures(root)
    assert 'old/d.avi,"lies at another depth' in failures(root)


def test_kinetics_in_folders_of_splits_has_the_classes_of_its_annotations(tmp_path, video):
    root = tmp_path / "Kinetics400"
    place(root, video, "train/aaaaaaaaaaa_000001_000011.avi", "val/bbbbbbbbbbb_000002_000012.mp4")
    place(root, video, "val/ccccccccccc_000002_000012.mp4")
    (root / "annotations").mkdir()
    for mode, row in (("train", "ride a bike,aaaaaaaaaaa,1,11"), ("val", "golf,bbbbbbbbbbb,2,12")):
        (root / f"annotations/{mode}.csv").write_text(
            f"label,youtube_id,time_start,time_end,split\n{row},{mode}\n"
        )
    assert extract(root) == 1
    assert made(root) == {"ride_a_bike/aaaaaaaaaaa_000001_000011", "golf/bbbbbbbbbbb_000002_000012"}
    assert "ccccccccccc_000002_000012.mp4,has no row in the annotations" in failures(root)


def test_doubtful_videos_in_folders_of_splits_are_named_by_their_classes(tmp_path):
    root = tmp_path / "Kinetics400"
    path = root / "videos/train/aaaaaaaaaaa_000001_000011.avi"
    write_video(path, 60)
    os.truncate(path, path.stat().st_size * 2 // 3)
    (root / "annotations").mkdir()
    (root / "annotations/train.csv").write_text(
        "label,youtube_id,time_start,time_end\nride a bike,aaaaaaaaaaa,1,11\n"
    )
    assert extract(root) == 0
    assert set(read_doubtful(root / "frames")) == {"ride_a_bike/aaaaaaaaaaa_000001_000011.avi"}


@pytest.mark.parametrize("ending", [".mkv", ".webm", ".mpg", ".MPEG", ".m4v", ".AVI", ".Mov"])
def test_any_ending_of_a_video_is_taken(tmp_path, video, ending):
    place(tmp_path / "UCF101", video, f"Run/v{ending}")  # what it holds says how to decode it
    assert extract(tmp_path / "UCF101") == 0
    assert made(tmp_path / "UCF101") == {"Run/v"}


def test_files_that_are_passed_over_are_counted(tmp_path, video, caplog):
    caplog.set_level("INFO")
    place(tmp_path / "UCF101", video, "Run/v.avi", "Run/a.txt", "Run/b.TXT", "c.zip", "Run/.d.txt")
    assert extract(tmp_path / "UCF101") == 0
    assert "videos: 3 files passed over: .txt 2, .zip 1" in caplog.text


# ------------------------------------------------------------------ interpolation


@pytest.mark.parametrize(
    ("width", "height", "side", "published", "area"),
    [
        (1280, 720, 150, (266, 150), (267, 150)),
        (720, 1280, 150, (150, 266), (150, 267)),
        (320, 240, 150, (200, 150), (200, 150)),
        (340, 256, 256, (340, 256), (340, 256)),
        (5000, 3, 1, (1666, 1), (1667, 1)),
    ],
)
def test_the_longer_side_is_cut_as_published(width, height, side, published, area):
    frame = np.empty((height, width, 3), np.uint8)
    assert Making(side, "both", "linear").target_size(frame) == published
    assert Making(side, "both", "area").target_size(frame) == area


def test_frames_are_shrunk_as_published_or_by_area():
    frame = np.random.default_rng(0).integers(0, 255, (72, 128, 3), np.uint8)
    for name, flag in (("linear", cv2.INTER_LINEAR), ("area", cv2.INTER_AREA)):
        making = Making(30, "both", name)
        small = making.resized(frame, (53, 30))
        np.testing.assert_array_equal(small, cv2.resize(frame, (53, 30), interpolation=flag))
        large = making.resized(frame, (256, 144))
        np.testing.assert_array_equal(
            large, cv2.resize(frame, (256, 144), interpolation=cv2.INTER_LINEAR)
        )


@pytest.mark.parametrize(("flags", "used"), [((), "linear"), (("--interpolation", "area"), "area")])
def test_the_interpolation_is_noted_and_kept_and_none_is_mixed_in(tmp_path, video, flags, used):
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi")
    assert extract(root, "--short_side", 20, *flags) == 0
    assert read_interpolation(root / "frames") == used
    place(root, video, "Run/v_b.avi")
    assert extract(root, "--short_side", 20) == 0  # as before
    other = {"linear": "area", "area": "linear"}[used]
    with pytest.raises(UsageError, match=f"--interpolation {other}: .* made with {used}; remove"):
        extract(root, "--short_side", 20, "--interpolation", other)
    shutil.rmtree(root / "frames/Run")
    assert extract(root, "--short_side", 20, "--interpolation", other) == 0
    assert read_interpolation(root / "frames") == other


def test_frames_from_before_there_was_a_choice_are_gone_on_with_by_area(tmp_path, video):
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi")
    assert extract(root, "--short_side", 20, "--interpolation", "area") == 0
    (root / "frames/.made.json").unlink()
    place(root, video, "Run/v_b.avi")
    with pytest.raises(UsageError, match=r"--interpolation linear: .* made with area"):
        extract(root, "--short_side", 20, "--interpolation", "linear")
    assert extract(root, "--short_side", 20) == 0
    assert len({p.read_bytes() for p in root.glob("frames/Run/*/image_00003.jpg")}) == 1
    assert read_interpolation(root / "frames") == ""


@pytest.mark.parametrize(
    "note", ["", "[]", "{", '{"interpolation": 3}', '{"interpolation": "cubic"}', "\xff\0"]
)
def test_a_note_that_can_not_be_read_is_named(tmp_path, video, note):
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi")
    (root / "frames").mkdir()
    (root / "frames/.made.json").write_text(note)
    with pytest.raises(UsageError, match=r"frames/\.made\.json: .*remove it"):
        extract(root)


# ------------------------------------------------------------------ verifying


@pytest.fixture
def listed(tmp_path, video, capsys):
    """Extracted videos with split files; a function that returns verify's status and report."""
    root = tmp_path / "UCF101"
    place(root, video, "Run/v_a.avi", "Run/v_b.avi")
    (root / "splits").mkdir()
    (root / "splits/trainlist01.txt").write_text("Run/v_a.avi 1\nRun/v_b.avi 1\n")
    assert extract(root, "--short_side", 20) == 0
    where = ["--d_root", str(tmp_path), "--dataset", "UCF101", "--num_workers", "0"]
    where += ["--csv_root", str(tmp_path / "data")]
    assert write_csvs.main(where) == 0

    def check(*flags: str) -> tuple[int, str]:
        capsys.readouterr()
        return verify.main([*where, *flags]), capsys.readouterr().out

    return root, check


def test_verify_tells_the_interpolation(listed):
    root, check = listed
    assert "large frames were shrunk with: linear interpolation, as published" in check()[1]
    (root / "frames/.made.json").unlink()
    assert "before there was a choice it was area" in check()[1]


@pytest.mark.parametrize("packed", [False, True])
def test_verify_finds_a_video_that_changes_its_size(listed, packed):
    import pack_frames

    root, check = listed
    cv2.imwrite(str(root / "frames/Run/v_b/image_00004.jpg"), gray(20, 40))
    if packed:
        flags = ["--d_root", str(root.parent), "--dataset", "UCF101", "--num_workers", "0"]
        assert pack_frames.main(flags) == 0
        shutil.rmtree(root / "frames")
    status, report = check()
    assert status == 1
    assert "train_split01: frames of several sizes: 1 (Run/v_b)" in report
    assert "shrunk with: linear" in report
    assert check("--quick")[0] == 0


def test_verify_names_videos_that_were_doubtful(listed):
    root, check = listed
    (root / "frames_doubtful.csv").write_text("video,reason\nRun/v_a.avi,4 frames\nRun/x.avi,y\n")
    status, report = check()
    assert status == 0
    assert "train_split01: doubtful when extracted: 1 (Run/v_a)" in report


def test_verify_counts_a_huge_number_of_missing_frames_at_once(listed):
    root, check = listed
    path = root.parent / "data/UCF101/train_split01.csv"
    path.write_text(f"frames/Run/v_a,{10**9 - 1}\nframes/Run/v_b,6\n")
    status, report = check()
    assert status == 1
    assert f"{10**9 - 1 - 6}" in report


@pytest.mark.parametrize("flag", ["num_seq_in", "pred_step", "seq_len", "ds"])
def test_verify_refuses_clips_that_can_not_be(listed, flag):
    _, check = listed
    with pytest.raises(UsageError, match=f"--{flag} -1: must be at least"):
        check(f"--{flag}", "-1")
