"""Clips decoded from video files: the frames that extraction writes, without the JPEG step."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset.packed_frames import frame_file
from dataset.pictures import FrameError
from dataset.video_files import Making, VideoReader, count_frames
from dataset.video_splits import read_split, video_dataset
from utils.config.datasets import AREA, LINEAR
from utils.config.flags import Config
from utils.errors import UsageError
from video_data import Prepared, picture, prepare
from video_files import write_images

LENGTH = 20


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / "v.avi"
    write_images(path, [picture(3, frame, 48, 64) for frame in range(LENGTH)], (64, 48))
    return path


def all_frames(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    images = []
    while (answer := capture.read())[0]:
        images.append(answer[1])
    return images


@pytest.mark.parametrize("order", [range(LENGTH), [0, 3, 6], [7, 7, 9], [19], [12, 2, 5, 2, 19]])
def test_any_order_gives_the_frames_of_a_pass_from_the_start(video, order):
    expected, read = all_frames(video), VideoReader(video, Making(48))
    for frame in order:
        np.testing.assert_array_equal(read(frame), expected[frame])


@pytest.mark.parametrize("interpolation", [LINEAR, AREA])
@pytest.mark.parametrize(("eye", "size"), [("both", (20, 26)), ("left", (20, 30))])
def test_frames_are_cut_and_shrunk_as_in_extraction(video, eye, size, interpolation, tmp_path):
    """The extraction's own JPEGs are of these pictures: the same bytes."""
    from decoding import Job, extract

    making = Making(20, eye, interpolation)
    done = extract(Job(video, tmp_path / "frames", *making))
    assert done.frames == LENGTH == count_frames(video)
    read = VideoReader(video, making)
    for frame in range(LENGTH):
        image = read(frame)
        assert abs(image.shape[0] - size[0]) <= 12
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
        written = tmp_path / "frames" / frame_file(frame + 1)
        assert encoded.tobytes() == written.read_bytes()


def reason(read: VideoReader, frame: int) -> FrameError:
    with pytest.raises(FrameError) as caught:
        read(frame)
    return caught.value


def test_files_that_end_early_or_are_none_say_so(video, tmp_path):
    read = VideoReader(video, Making(48))
    error = reason(read, LENGTH)
    assert error.path == str(video)
    assert error.reason == f"has no frame {LENGTH + 1} that can be decoded; {LENGTH} are there"
    assert read(3).shape == (48, 64, 3)  # and goes on
    assert "No such file" in reason(VideoReader(tmp_path / "none.avi", Making(48)), 0).reason
    empty = tmp_path / "empty.avi"
    empty.touch()
    assert reason(VideoReader(empty, Making(48)), 0).reason == "is empty"
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video at all" * 99)
    for failing in (lambda: VideoReader(broken, Making(48))(0), lambda: count_frames(broken)):
        with pytest.raises(FrameError, match="can't be decoded"):
            failing()


# ------------------------------------------------------------------ through the data set


def with_videos(tmp_path: Path) -> Prepared:
    """A data set with lossless frames and the videos that they are of."""
    prepared = prepare(tmp_path, lengths=(LENGTH, 25), test_lengths=(LENGTH,))
    files = []
    for row in [*prepared.rows(), *prepared.rows("test_split01")]:
        name = row.rpartition(",")[0]
        images = [cv2.imread(str(file)) for file in sorted((prepared.root / name).iterdir())]
        file = prepared.root / name.replace("frames/", "videos/") / "a, b.avi"
        file.parent.mkdir(parents=True)
        write_images(file, images, (64, 48))
        files.append((name, str(file.relative_to(prepared.root))))
        shutil.rmtree(prepared.root / name)
        (prepared.root / name).mkdir()
        for number, image in enumerate(all_frames(file), 1):
            assert cv2.imwrite(str(prepared.root / name / f"image_{number:05}.png"), image)
    with open(prepared.split_folder / "videos.csv", "w", newline="") as file:
        csv.writer(file).writerows(files)
    (prepared.split_folder / "dataset.json").write_text('{"short_side": 48}')
    return prepared


def config(prepared: Prepared, **options) -> Config:
    small = {"dataset": "UCF101", "data_path_dir": str(prepared.csv_root), "seed": 1}
    small |= {"img_dim": 32, "num_seq_in": 2, "pred_step": 1, "seq_len": 2, "ucf_hmdb_ms_ds": 2}
    return Config(**{**small, **options})


@pytest.mark.parametrize(
    ("model", "mode"), [("dpc-rnn", "train"), ("lc-rnn", "val"), ("lc-rnn", "test")]
)
def test_samples_are_those_of_lossless_frames(tmp_path, model, mode):
    prepared = with_videos(tmp_path)

    def samples(**options):
        data = video_dataset(config(prepared, model=model, **options), mode)
        names = [data.item_name(int(item)) for item in data.items]
        return names, [data[epoch, index] for epoch in (0, 1) for index in range(len(data))]

    usual = samples()
    asked = samples(from_videos=True)
    shutil.rmtree(prepared.root / "frames")
    for names, made in (asked, samples()):  # without frames, no flag is needed
        assert names == usual[0]
        for one, other in zip(usual[1], made, strict=True):
            assert one.clip.equal(other.clip)
            assert not other.faults


def test_a_video_without_a_file_and_a_missing_list_are_told(tmp_path):
    prepared = with_videos(tmp_path)
    files = prepared.split_folder / "videos.csv"
    lines = files.read_text().splitlines(keepends=True)
    files.write_text("".join(lines[1:]))
    with pytest.raises(UsageError, match=r"line 1: frames/Dive/v_Dive_train_0 has no video file"):
        read_split(config(prepared, from_videos=True), "train")
    files.write_text("one\n")
    with pytest.raises(UsageError, match=r"videos.csv, line 1: is not"):
        read_split(config(prepared, from_videos=True), "train")
    files.unlink()
    with pytest.raises(UsageError, match="no such file, which names the video files"):
        read_split(config(prepared, from_videos=True), "train")


def test_a_broken_video_is_a_fault_and_its_path_the_file_s(tmp_path):
    prepared = with_videos(tmp_path)
    shutil.rmtree(prepared.root / "frames")
    data = video_dataset(config(prepared, model="lc-rnn"), "test")
    file = data.videos.place(0)
    file.write_bytes(file.read_bytes()[:3000])
    sample = data[0, 0]
    assert sample.clip is None
    [fault] = sample.faults
    assert fault.path == str(file)
    assert "can be decoded" in fault.reason or "can't be decoded" in fault.reason
