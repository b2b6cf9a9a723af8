"""Clips decoded from video files: the frames that extraction writes, without the JPEG step."""

import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset import video_files
from dataset.packed_frames import frame_file
from dataset.pictures import FrameError
from dataset.video_files import Making, VideoReader, count_frames
from dataset.video_splits import read_split, video_dataset
from utils.config.datasets import AREA, LINEAR
from utils.config.flags import Config
from utils.errors import UsageError
from video_data import Prepared, picture, prepare
from video_files import all_frames, with_videos, write_images

LENGTH = 20


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / "v.avi"
    write_images(path, [picture(3, frame, 48, 64) for frame in range(LENGTH)], (64, 48))
    return path


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
    bytes_alone = Path(os.fsdecode(os.fsencode(tmp_path) + b"/v\xff.avi"))
    shutil.copy(video, bytes_alone)  # OpenCV would crash at its name
    assert "not UTF-8" in reason(VideoReader(bytes_alone, Making(48)), 0).reason
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video at all" * 99)
    for failing in (lambda: VideoReader(broken, Making(48))(0), lambda: count_frames(broken)):
        with pytest.raises(FrameError, match="can't be decoded"):
            failing()


# ------------------------------------------------------------------ through the data set


def prepared_videos(tmp_path: Path) -> Prepared:
    """Lossless frames of 20 and 25, and the videos that they are of."""
    return with_videos(prepare(tmp_path, lengths=(LENGTH, 25), test_lengths=(LENGTH,)))


def config(prepared: Prepared, **options) -> Config:
    small = {"dataset": "UCF101", "data_path_dir": str(prepared.csv_root), "seed": 1}
    small |= {"img_dim": 32, "num_seq_in": 2, "pred_step": 1, "seq_len": 2, "ucf_hmdb_ms_ds": 2}
    return Config(**{**small, **options})


@pytest.mark.parametrize(
    ("model", "mode"), [("dpc-rnn", "train"), ("lc-rnn", "val"), ("lc-rnn", "test")]
)
def test_samples_are_those_of_lossless_frames(tmp_path, model, mode):
    prepared = prepared_videos(tmp_path)

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
    prepared = prepared_videos(tmp_path)
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


def test_the_videos_may_be_moved(tmp_path):
    """To the folder that root.txt names, or that of --temp_data_dir; their paths are kept."""
    prepared = prepared_videos(tmp_path)
    shutil.rmtree(prepared.root / "frames")
    usual = video_dataset(config(prepared), "train")[0, 1].clip
    # the data set's name may occur in the path
    file = prepared.split_folder / "videos.csv"
    file.write_text(file.read_text().replace('"videos/', '"videos/UCF101/train/'))
    (prepared.root / "videos").rename(prepared.root / "train")
    (prepared.root / "videos" / "UCF101").mkdir(parents=True)
    (prepared.root / "train").rename(prepared.root / "videos" / "UCF101" / "train")
    shutil.move(prepared.root, tmp_path / "node" / "UCF101")
    there = config(prepared, temp_data_dir=str(tmp_path / "node"))
    assert video_dataset(there, "train")[0, 1].clip.equal(usual)
    remedy = "if the videos were moved, change root.txt beside it, or run process_data/write_csvs"
    with pytest.raises(UsageError, match=f"a, b.avi does not exist; {remedy}"):
        read_split(config(prepared), "train")
    (prepared.split_folder / "root.txt").write_text(f"{tmp_path / 'node' / 'UCF101'}\n")
    assert video_dataset(config(prepared), "train")[0, 1].clip.equal(usual)


def test_where_some_frames_are_missing_the_videos_are_offered(tmp_path):
    prepared = prepared_videos(tmp_path)
    shutil.rmtree(prepared.root / prepared.rows()[0].partition(",")[0])
    with pytest.raises(UsageError, match=r"line 1: .* does not exist; .*--from_videos"):
        read_split(config(prepared), "train")
    assert len(read_split(config(prepared, from_videos=True), "train").videos) == 6


def test_a_whole_video_is_decoded_once(tmp_path, monkeypatch):
    opened, advanced = [], []
    monkeypatch.setattr(
        video_files, "open_video", lambda path: opened.append(path) or Counting(path, advanced)
    )
    prepared = prepared_videos(tmp_path)
    data = video_dataset(config(prepared, model="lc-rnn", from_videos=True, test_crops=10), "test")
    assert data[0, 0].clip is not None
    assert opened == [data.videos.place(0)]
    # 10 frames at stride 2 are 5 blocks of 2: the last is frame 18
    assert len(advanced) == 19


class Counting:
    """A video that notes each frame that is decoded."""

    def __init__(self, path: Path, advanced: list[None]):
        self.capture = cv2.VideoCapture(str(path))
        self.get, self.retrieve = self.capture.get, self.capture.retrieve
        self.advanced = advanced

    def grab(self) -> bool:
        self.advanced.append(None)
        return self.capture.grab()


# ------------------------------------------------------------------ faults


def cut(path: Path, share: float = 0.5) -> None:
    """Leave a share of a file."""
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def test_a_broken_video_is_a_fault_and_its_path_the_file_s(tmp_path):
    prepared = prepared_videos(tmp_path)
    shutil.rmtree(prepared.root / "frames")
    data = video_dataset(config(prepared, model="lc-rnn"), "test")
    cut(data.videos.place(0))
    data.videos.place(1).write_bytes(b"no video")
    data.videos.place(2).unlink()
    reasons = ("has no frame .* that can be decoded; .* are there", "can't be decoded", "No such")
    for index, reason in enumerate(reasons):
        sample = data[0, index]
        assert sample.clip is None
        [fault] = sample.faults
        assert (fault.item, fault.path) == (index, str(data.videos.place(index)))
        assert re.match(reason, fault.reason)


def test_another_clip_takes_the_place_of_one_that_can_not_be_decoded(tmp_path):
    prepared = prepared_videos(tmp_path)
    data = video_dataset(config(prepared, from_videos=True), "train")
    broken = data.videos.place(1)
    cut(broken, 0.75)  # its early frames stay
    clips = [data[epoch, 1] for epoch in range(20)]
    assert all(clip.clip is not None for clip in clips)
    faults = {fault.path for clip in clips for fault in clip.faults}
    assert faults == {str(broken)}
    assert {int(clip.item) for clip in clips} > {1}
    again = [data[epoch, 1] for epoch in range(20)]
    for one, other in zip(clips, again, strict=True):
        assert one.clip.equal(other.clip)
        assert one.faults == other.faults


def test_a_video_with_fewer_frames_than_its_row_says_is_a_fault(tmp_path):
    prepared = prepared_videos(tmp_path)
    path = prepared.split("test_split01")
    path.write_text(path.read_text().replace(f",{LENGTH}", f",{LENGTH + 8}", 1))
    data = video_dataset(config(prepared, model="lc-rnn", from_videos=True), "test")
    sample = data[0, 0]
    [fault] = sample.faults
    assert fault.reason == f"has no frame {LENGTH + 1} that can be decoded; {LENGTH} are there"
    assert data[0, 1].clip is not None
