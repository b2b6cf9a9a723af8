"""Frames of videos, as files and packed: the same pixels, and what can't be read is said."""

import os
import pickle
import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset import packed_frames
from dataset.frames import frame_files, frames_there, reader, why_missing
from dataset.packed_frames import tar_of
from dataset.pictures import FrameError
from dataset.video_splits import video_dataset
from tests.video_data import Prepared, pack, prepare, write_frames
from utils.config.flags import Config


def folder_of(tmp_path: Path, name: str = "frames/Dive/v1", count: int = 5, number: int = 0):
    folder = tmp_path / "UCF101" / name
    write_frames(folder, number, count, 24, 32)
    return folder


def frame_file(folder: Path, number: int) -> Path:
    return folder / f"image_{number:05d}.jpg"


def packed(folder: Path) -> Path:
    """Packs the data set of a video's folder and leaves only the packed frames."""
    pack(folder.parents[2])
    shutil.rmtree(folder.parents[1])
    return folder


def reason(folder: Path, frame: int) -> FrameError:
    with pytest.raises(FrameError) as e:
        reader(folder)(frame)
    return e.value


# ------------------------------------------------------------------ names


def named(folder: Path, names: list[str]) -> Path:
    """Write frames with these names, whose order their gray levels tell."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        content = cv2.imencode(Path(name).suffix, np.full((8, 8, 3), 5 * number, np.uint8))[1]
        (folder / name).write_bytes(content.tobytes())
    return folder


@pytest.mark.parametrize("make", [lambda folder: folder, packed], ids=["folder", "packed"])
@pytest.mark.parametrize(
    ("form", "first", "others"),
    [
        ("image_{:05}.jpg", 1, ["flow_x_00001.jpg", "image_1.jpg", "image_00001.png"]),
        ("image_{:05}.jpg", 0, []),
        ("image_{:05}.png", 1, []),
        ("image_{}.jpg", 1, []),
        ("image_{:06}.jpg", 1, []),
        ("img_{:05}.jpg", 1, ["._img_00001.jpg", "img_00001_thumb.jpg", "cover.jpg"]),
        ("frame{:06}.jpeg", 1, []),
        ("{:04}.JPG", 0, ["0000.bmp"]),
        ("{}.Png", 1, []),
        ("v_Run_g01_c01_{:04}.jpg", 1, []),
        ("%05d\n{:03}.jpg", 1, []),
    ],
)
def test_any_single_series_of_frames_is_read_in_order(tmp_path, form, first, others, make):
    folder = named(
        tmp_path / "UCF101/frames/Run/v", [form.format(first + frame) for frame in range(12)]
    )
    for name in others:
        (folder / name).write_bytes(b"x")
    assert len(frame_files(folder)) == 12
    make(folder)
    assert set(frames_there(folder)) == set(range(12))
    for frame in range(12):
        assert abs(int(reader(folder)(frame)[0, 0, 0]) - 5 * frame) < 3
    assert reason(folder, 12)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["img_1.jpg", "frame_1.jpg"], "found: 'frame_1.jpg', 'img_1.jpg'"),
        (["img_1.jpg", "img_2.png"], "found: 'img_1.jpg', 'img_2.png'"),
        (["img_1.jpg", "img_02.jpg"], "found: 'img_02.jpg', 'img_1.jpg'"),  # two paddings
        (["img_0001.jpg", "flow_x_0001.jpg"], "found: 'flow_x_0001.jpg', 'img_0001.jpg'"),
        (["1600000001.jpg"], "found: '1600000001.jpg'"),  # a time rather than a number
        (["a.jpg", "b.jpg", "c.jpg", "d.jpg"], "found: 'a.jpg', 'b.jpg', 'c.jpg'"),
        (["image_00001.bmp"], "found: 'image_00001.bmp'"),
        ([], "found: nothing"),
        (["image_00001.jpg", "image_00003.jpg"], "lacks image_00002.jpg; 2 frames are there"),
        (["img_2.jpg", "img_3.jpg"], "lacks img_1.jpg; 2 frames are there"),
    ],
)
def test_what_is_no_single_series_is_told_with_what_was_found(tmp_path, names, told):
    folder = named(tmp_path / "UCF101/frames/Run/v", names)
    with pytest.raises(FrameError) as refused:
        frame_files(folder)
    assert told in refused.value.reason
    if "found" in told:
        assert "holds no single series of JPEG or PNG files, such as image_00001.jpg" in (
            refused.value.reason
        )
        assert not frames_there(folder)
        assert "single series" in reason(folder, 0).reason


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize("make", [lambda folder: folder, packed], ids=["folder", "packed"])
def test_frames_are_numbered_from_0_and_files_from_1(tmp_path, make):
    folder = folder_of(tmp_path)
    expected = [cv2.imread(str(frame_file(folder, number))) for number in range(1, 6)]
    read = reader(make(folder))
    for frame in (3, 0, 4, 1, 2, 3):
        image = read(frame)
        assert image.dtype == np.uint8
        assert image.shape == (24, 32, 3)
        np.testing.assert_array_equal(image, expected[frame])
    assert (expected[0] != expected[1]).any()


def test_colours_are_blue_green_red(tmp_path):
    folder = folder_of(tmp_path, count=1)
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200
    cv2.imwrite(str(frame_file(folder, 1)), image)
    blue, green, red = reader(folder)(0).reshape(-1, 3).mean(axis=0)
    assert blue > 190
    assert max(green, red) < 10


def test_numbers_beyond_five_digits_are_written_out(tmp_path):
    folder = folder_of(tmp_path, count=1)
    frame_file(folder, 1).rename(folder / "image_123456.jpg")
    assert reader(folder)(123455).shape == (24, 32, 3)


@pytest.mark.parametrize("name", ["frames", "frames_256", "frames_left"])
def test_packed_frames_lie_beside_the_folder_of_frames(tmp_path, name):
    assert tar_of(tmp_path / name / "a b" / "v1") == tmp_path / f"{name}_tar" / "a b.tar"


@pytest.mark.parametrize(
    ("class_name", "video"),
    [("cut, chop", "a, b, 1"), ("Dive", "v 1"), ("v1.5", "x.y"), ("Füße", "ü,3,4")],
)
def test_packed_names_may_hold_commas_spaces_dots_and_other_letters(tmp_path, class_name, video):
    first = folder_of(tmp_path, f"frames/{class_name}/{video}", 3)
    folder_of(tmp_path, f"frames/{class_name}/{video}0", 4, number=1)
    expected = [cv2.imread(str(frame_file(first, number))) for number in (1, 2, 3)]
    packed(first)
    assert not why_missing(first)
    for frame in range(3):
        np.testing.assert_array_equal(reader(first)(frame), expected[frame])
    second = first.with_name(f"{video}0")
    assert reader(second)(3).shape == (24, 32, 3)
    assert (reader(second)(0) != expected[0]).any()


def test_a_packed_class_takes_the_place_of_its_folder_and_others_stay(tmp_path):
    dive, jump = folder_of(tmp_path), folder_of(tmp_path, "frames/Jump/v1", number=1)
    shutil.copytree(jump, other := tmp_path / "kept")
    expected = cv2.imread(str(frame_file(dive, 1)))
    packed(dive)
    (tmp_path / "UCF101/frames_tar/Jump.tar").unlink()
    shutil.copytree(other, jump)
    np.testing.assert_array_equal(reader(dive)(0), expected)
    np.testing.assert_array_equal(reader(jump)(0), cv2.imread(str(frame_file(other, 1))))


def test_standard_tools_read_the_packed_frames(tmp_path):
    folder = folder_of(tmp_path)
    content = frame_file(folder, 2).read_bytes()
    with tarfile.open(tar_of(packed(folder))) as tar:
        assert tar.extractfile("v1/image_00002.jpg").read() == content


def test_processes_that_share_an_open_tar_do_not_disturb_each_other(tmp_path):
    folder = folder_of(tmp_path, count=40)
    expected = [cv2.imread(str(frame_file(folder, n + 1))) for n in range(40)]
    read = reader(packed(folder))  # opened before the workers come
    children = []
    for child in range(3):
        if (pid := os.fork()) == 0:
            order = np.random.default_rng(child).integers(40, size=200)
            same = all((read(int(n)) == expected[n]).all() for n in order)
            os._exit(0 if same else 1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 3


@pytest.mark.slow
def test_only_so_many_tars_are_kept_open(tmp_path, monkeypatch):
    folders = [folder_of(tmp_path, f"frames/c{i:02}/v", 1, number=i) for i in range(70)]
    expected = [cv2.imread(str(frame_file(folder, 1))) for folder in folders]
    packed(folders[0])
    before = len(os.listdir("/dev/fd"))
    for _ in range(2):
        for folder, image in zip(folders, expected, strict=True):
            np.testing.assert_array_equal(reader(folder)(0), image)
    # two descriptors each: the tar's, and that of its index
    assert len(os.listdir("/dev/fd")) - before <= 2 * packed_frames.OPEN_TARS < 2 * len(folders)


# ------------------------------------------------------------------ through the dataset


def config(prepared: Prepared, **options) -> Config:
    small = {"dataset": prepared.root.name, "data_path_dir": str(prepared.csv_root), "seed": 1}
    small |= {"img_dim": 32, "num_seq_in": 2, "pred_step": 1, "seq_len": 3, "ucf_hmdb_ms_ds": 2}
    return Config(**{**small, **options})


@pytest.mark.parametrize(
    ("model", "mode"), [("dpc-rnn", "train"), ("lc-rnn", "val"), ("lc-rnn", "test")]
)
def test_packed_frames_give_bit_identical_samples(tmp_path, model, mode):
    prepared = prepare(tmp_path)

    def samples():
        data = video_dataset(config(prepared, model=model), mode)
        return [data[epoch, index] for epoch in (0, 1) for index in range(len(data))]

    usual = samples()
    pack(prepared.root)
    shutil.rmtree(prepared.root / "frames")
    for one, other in zip(usual, samples(), strict=True):
        assert one.clip.equal(other.clip)
        assert one.labels.equal(other.labels)
        assert one.item.equal(other.item)
        assert not other.faults


@pytest.mark.parametrize(
    ("dataset", "suffix", "flags", "options"),
    [
        ("Kinetics400", "_256", ["--k400_big"], {"img_dim": 160}),
        ("MouseSim", "_left", ["--eye", "left"], {"eye": "left"}),
        ("MouseSim", "", ["--eye", "both"], {"eye": "both"}),
    ],
)
def test_other_folders_of_frames_are_packed_too(tmp_path, dataset, suffix, flags, options):
    prepared = prepare(tmp_path, dataset, lengths=(48,), suffix=suffix)
    usual = video_dataset(config(prepared, **options), "train")[1, 1].clip
    pack(prepared.root, *flags)
    shutil.rmtree(prepared.root / f"frames{suffix}")
    assert video_dataset(config(prepared, **options), "train")[1, 1].clip.equal(usual)


# ------------------------------------------------------------------ what can't be read


def cut_in_the_middle(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def cut_at_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(2000))


def zeros(path: Path) -> None:  # what a full disk leaves
    path.write_bytes(bytes(path.stat().st_size))


def only_a_start(path: Path) -> None:
    path.write_bytes(b"\xff\xd8\xff\xd9")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BREAKS = [Path.unlink, a_folder]
BREAKS_IN_TAR = [cut_in_the_middle, cut_at_the_end, empty, garbage, zeros, only_a_start]


@pytest.mark.parametrize("broken", BREAKS + BREAKS_IN_TAR)
def test_a_frame_that_is_no_picture_is_named(tmp_path, broken):
    folder = folder_of(tmp_path)
    broken(frame_file(folder, 3))
    error = reason(folder, 2)
    assert error.path == str(frame_file(folder, 3))
    # said by ourselves: not every version of OpenCV refuses the rest of a picture
    assert (error.reason == "is cut off") == (broken in (cut_in_the_middle, cut_at_the_end))
    assert reader(folder)(1).shape == reader(folder)(3).shape == (24, 32, 3)


@pytest.mark.parametrize("broken", BREAKS_IN_TAR)
def test_a_packed_frame_that_is_no_picture_is_named(tmp_path, broken):
    folder = folder_of(tmp_path)
    broken(frame_file(folder, 3))
    packed(folder)
    error = reason(folder, 2)
    assert error.path == f"{tar_of(folder)}:v1/image_00003.jpg"
    assert error.reason
    assert reader(folder)(1).shape == reader(folder)(3).shape == (24, 32, 3)


@pytest.mark.parametrize("make", [lambda folder: folder, packed], ids=["folder", "packed"])
def test_a_frame_beyond_the_last_is_missing(tmp_path, make):
    folder_of(tmp_path, "frames/Dive/v2", 5, number=1)  # what follows in the tar is another video
    folder = make(folder_of(tmp_path))
    assert "image_00006.jpg" in reason(folder, 5).path
    assert "no such file" in reason(folder, 5).reason
    assert reader(folder)(4).shape == (24, 32, 3)


def test_bytes_after_a_pictures_end_are_no_fault(tmp_path):
    folder = folder_of(tmp_path)
    expected = reader(folder)(0)
    with open(frame_file(folder, 1), "ab") as file:
        file.write(bytes(10))
    np.testing.assert_array_equal(reader(folder)(0), expected)


def test_a_video_that_is_not_there_can_not_be_read(tmp_path):
    folder = folder_of(tmp_path)
    assert why_missing(folder.with_name("v2")).endswith("/v2 does not exist")
    assert reason(folder.with_name("v2"), 0).path == str(folder.with_name("v2"))
    packed(folder)
    assert not why_missing(folder)
    assert why_missing(folder.with_name("v2")).endswith("/v2 does not exist")
    assert reason(folder.with_name("v2"), 0).path.endswith(":v2/image_00001.jpg")


def test_of_a_tar_cut_off_the_first_frames_are_read(tmp_path):
    folder = packed(folder_of(tmp_path, count=10))
    tar = tar_of(folder)
    places = np.load(tar.with_suffix(".frames.npy"))
    os.truncate(tar, places[6, 0] + places[6, 1] - 5)
    for frame in range(6):
        assert reader(folder)(frame).shape == (24, 32, 3)
    for frame in range(6, 10):
        assert f"image_{frame + 1:05d}.jpg" in reason(folder, frame).path


@pytest.mark.parametrize("part", [".frames.npy", ".videos.csv"])
@pytest.mark.parametrize("broken", [Path.unlink, garbage, empty])
def test_a_tar_without_its_index_is_named(tmp_path, part, broken):
    folder = packed(folder_of(tmp_path))
    broken(tar_of(folder).with_suffix(part))
    assert str(tar_of(folder)) in reason(folder, 0).path
    assert "Dive.tar can't be read with its index" in why_missing(folder)
    assert not frames_there(folder)


def test_a_frame_error_survives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(FrameError("a/b.jpg", "is cut off")))
    assert (error.path, error.reason) == ("a/b.jpg", "is cut off")
