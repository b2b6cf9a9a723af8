"""The arithmetic of the benchmark, and what it says to wrong input; not what it measures."""

import json
import re

import pytest
import torch

import benchmark
import benchmark_choices
import job_times
from benchmark import result
from benchmark_lines import Measured, UnavailableError, configured, count_gflop, step
from benchmark_list import GPU_LINES, LINES, Line, chosen
from benchmark_tables import Change, changes, clock, comparison, table
from job_times import PLACES, Place, Timers
from model.fast import convolution
from utils.runtime import device

MACHINE = {
    **{"cpu": "some", "cores": 2, "threads": 2, "instructions": "AVX2", "bf16": False},
    **{"limits": {"OMP_NUM_THREADS": "2"}, "gpu": None},
    **{"torch": "2", "commit": "abc", "date": "today"},
}


def results(*rounds: Measured, name: str = "a step", peak: float = 100.0) -> dict:
    line = Line(name, benchmark.step)
    return {
        "machine": MACHINE,
        "peak_GFLOP_per_s": {"float32": peak},
        "peaks": [{"float32": {"a shape": peak}}],
        "lines": {name: result(line, list(rounds), {"float32": peak})},
    }


def test_the_lines_have_different_names_and_parts_their_whole():
    names = [line.name for line in (*LINES, *GPU_LINES)]
    assert len(set(names)) == len(names)
    assert {line.whole for line in LINES} <= {"", *names}


def test_lines_are_chosen_by_name_part_or_pattern():
    name = "dpc-rnn step, 128 px, batch 4"
    assert [line.name for line in chosen(LINES, [name])] == [name]
    assert len(chosen(LINES, ["job"])) == 2
    assert len(chosen(LINES, ["job", "Gabor job, * batch 4,*", "--help"])) == 3
    assert chosen(LINES, []) == list(LINES)
    with pytest.raises(ValueError, match=r"--only swim: fits none(.|\n)*run_model.py --help"):
        chosen(LINES, ["job", "swim"])


def test_a_result_is_of_all_rounds():
    short = Measured([1.0, 2.0], 3.0, 80.0, "float32")
    long = Measured([2.0, 9.0], 4.0, 80.0, "float32")
    (line,) = results(short, long)["lines"].values()
    assert (line["median"], line["min"], line["max"], line["peak_GB"]) == (2.0, 1.0, 9.0, 4.0)
    assert line["share_of_peak"] == 80 / 2 / 100


def test_comparison_is_new_over_old():
    old = results(Measured([4.0], 2.0, 80.0, "float32"))
    new = results(Measured([1.0], 3.0, 80.0, "float32"), peak=110.0)
    new["lines"]["another"] = new["lines"]["a step"]
    assert changes(old, new, "median") == [Change("a step", 4.0, 1.0, 0.25)]
    assert changes(old, new, "peak_GB") == [Change("a step", 2.0, 3.0, 1.5)]
    text = "\n".join(comparison(old, json.loads(json.dumps(new))))
    assert "0.25" in text
    assert "another" not in text
    assert "100 (old) and 110 GFLOP/s (new), new/old 1.10" in text


def test_the_table_says_it_all():
    split = {"start": 1.0, "other": 0.5, "wall": 1.5}
    text = "\n".join(table(results(Measured([2.0], 3.0, 80.0, "float32", split))))
    (row,) = (line for line in text.splitlines() if line.startswith("a step"))
    assert row.split()[2:] == [*("2.00", "s") * 3, "3.00", "40%"]
    assert "AVX2, no bfloat16 instructions, no GPU, torch 2, OMP_NUM_THREADS=2" in text
    assert "wall                1.50" in text
    assert [clock(seconds) for seconds in (0.0123, 0.12, 1.234, 123.4)] == [
        *("12.3 ms", "120 ms", "1.23 s", "123 s")
    ]


def test_nominal_flops_are_those_of_the_formula():
    convolution = torch.nn.Conv3d(4, 6, 3, stride=(1, 2, 2), padding=1, bias=False)
    clip = torch.randn(2, 4, 3, 8, 8)
    forward = 2 * (2 * 6 * 3 * 4 * 4) * (4 * 27) / 1e9  # numbers in the output × in a window
    assert count_gflop(lambda: convolution(clip)) == pytest.approx(forward)
    clip.requires_grad_()  # two more: the gradients of weights and input
    assert count_gflop(lambda: convolution(clip).sum().backward()) == pytest.approx(3 * forward)


def test_a_flag_that_this_version_has_not_skips_the_line():
    assert configured({"img_dim": 64}).img_dim == 64
    with pytest.raises(UnavailableError, match="this version has no --fly"):
        configured({"img_dim": 64, "fly": True})


@pytest.fixture
def kept_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("kept_threads", "narrow_backbone")
def test_choices_take_turns_and_are_left_as_they_were(monkeypatch, capsys):
    limits = convolution.FEW_POSITIONS, convolution.FEW_IN_LOWER_PRECISION
    fields = {"img_dim": 32, "num_seq_in": 2, "pred_step": 1, "batch_size": 2}
    monkeypatch.setattr(benchmark_choices, "STEPS", (Line("a step", step, {"fields": fields}),))
    benchmark_choices.main(["--only", "a step", "--threads", "1", "--rounds", "1"])
    head, row, _ = capsys.readouterr().out.splitlines()
    assert head.split("  ")[-1].strip() == "both"
    assert re.fullmatch(r"a step +1( +[\d.]+ \([\d.]+–[\d.]+\)){4}", row)
    assert limits == (convolution.FEW_POSITIONS, convolution.FEW_IN_LOWER_PRECISION)


@pytest.mark.usefixtures("kept_threads")
def test_choices_that_a_cpu_has_no_instructions_for_are_skipped(monkeypatch, capsys):
    monkeypatch.setattr(device, "has_instructions", lambda _: False)
    benchmark_choices.main(["--only", "128 px, batch 4, bf16", "--threads", "1"])
    assert "batch 4, bf16: skipped: --amp bf16: this CPU" in capsys.readouterr().out


def test_time_within_a_place_is_counted_once(monkeypatch):
    clocks = iter([10.0, 11.0, 14.0, 16.0])  # outer entered, inner entered and left, outer left
    monkeypatch.setattr(job_times.time, "time", lambda: next(clocks))
    timers = Timers()
    outer_place, inner_place = PLACES[2:4]
    inner = timers.around(lambda: "result", inner_place)
    assert timers.around(inner, outer_place)() == "result"
    assert timers.seconds[inner_place.phase] == 3
    assert timers.seconds[outer_place.phase] == 3
    assert timers.first == {outer_place: (10, 16), inner_place: (11, 14)}


def test_the_places_that_are_timed_are_there():
    for place in PLACES:
        holder, name = job_times.found(place)
        assert callable(getattr(holder, name))
    with pytest.raises(SystemExit, match=r"utils.plots.pictures.Pictures.paint can't be timed"):
        job_times.found(Place("utils.plots.pictures", "Pictures.paint", "pictures"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--repeat", "0"], "--repeat: at least 1"),
        (["--compare", "none.json"], "none.json"),
        (["--compare", "list.json"], "--compare list.json: holds no results"),
    ],
)
def test_wrong_input_is_told_at_once(arguments, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(arguments)
    assert complaint in capsys.readouterr().err
