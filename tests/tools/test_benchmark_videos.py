"""The benchmark of clips from videos runs, and tells each source's time; not what it measures."""

import re

import benchmark_videos
from benchmark_videos import SOURCES, Kind


def test_a_line_has_a_time_of_each_source(tmp_path, capsys):
    kind = Kind((64, 48), 50, 25, "MJPG", ".avi", {"stride": 1, "short_side": 32})
    benchmark_videos.measure(tmp_path, kind, count=2, rounds=1)
    training, whole = capsys.readouterr().out.splitlines()[-2:]
    assert training.startswith("64×48, 2 s, MJPG, to 32: training clip")
    assert whole.startswith("64×48, 2 s, MJPG, to 32: whole video")
    for line in (training, whole):
        times = [float(text) for text in re.findall(r"([\d.]+) ms", line)]
        assert len(times) == len(SOURCES)
        assert all(0 < time < 10_000 for time in times)
