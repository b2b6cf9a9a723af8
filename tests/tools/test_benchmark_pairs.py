"""The benchmark beside a made-up checkout: the order, the ratios, and what is wrong with one."""

import inspect
import json
import re
from pathlib import Path

import pytest

import benchmark
import reference_lines
from benchmark_lines import Measured
from benchmark_pairs import OWN, PAIRS, TRIES, alternate, own_lines, pairs_table, row, told, version

MACHINE = {
    **{"cpu": "some", "cores": 2, "threads": 2, "instructions": "AVX2", "bf16": False},
    **{"limits": {}, "gpu": None, "torch": "2", "commit": "abc", "date": "today"},
}
# the names that the driver needs, around a model of one weight
FILES = {
    "run_model.py": "import sys\nassert '--cpu_only' in sys.argv and '--output_dir' in sys.argv\n",
    "dataset/__init__.py": "",
    "model/__init__.py": "",
    "utils/__init__.py": "",
    "utils/loss_utils.py": "import torch\n\n"
    "def get_criteria():\n    return torch.nn.CrossEntropyLoss(), None\n",
    "utils/data_utils.py": """
class Loader:
    def __init__(self, train_len):
        self.dataset = range(train_len)

def get_dataloader(dataset, train_len, gab_img_len, num_gabors, **others):
    assert (dataset, gab_img_len, num_gabors) == ("Gabors", 5, 30)
    return Loader(train_len)
""",
    "utils/training_utils.py": """
import torch

class Scores(torch.nn.Module):
    def __init__(self, blocks, size):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.shape = (blocks, 3, 5, size, size)

    def forward(self, clips):
        assert clips.shape[1:] == self.shape
        return clips.mean((1, 3, 4, 5)) * self.weight, None

def get_model(dataset, supervised, img_dim, num_seq_in, seq_len, network, pred_step):
    return Scores(num_seq_in + (0 if supervised else pred_step), img_dim)

def init_optimizer(model, dataset, supervised):
    return torch.optim.Adam(model.parameters()), None

def prep_loss(output, mask, sup_target, supervised):
    return output, sup_target.flatten(), None, None
""",
}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A stand-in of the published code; this program's own sides take a second and 2 GB."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name, text in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def ours(name: str) -> dict:
        return MACHINE if name == "machine" else Measured([1.0], 2.0)._asdict()

    monkeypatch.setattr(benchmark, "in_fresh_process", ours)
    return tmp_path / "checkout"


def test_a_ratio_is_of_the_medians_of_a_pair():
    ours = [Measured([1.0, 2.0, 9.0], 1.0), Measured([4.0], 3.0), Measured([1.0], 2.0)]
    published = [Measured([6.0], 5.0), Measured([3.0, 5.0], 4.0), Measured([8.0], 1.0)]
    found = row("a step", ours, published)
    assert found["ratios"] == [3.0, 1.0, 8.0]
    assert (found["ratio"], found["ours"], found["published"]) == (3, [2, 4, 1], [6, 4, 8])
    assert (found["ours_GB"], found["published_GB"]) == (3.0, 5.0)
    results = {"machine": MACHINE, "reference": "commit 1", "pairs": [found]}
    head, rule, line, _, about, _, code = pairs_table(results)
    assert head.count("|") == rule.count("|") == line.count("|") == 6
    assert line == "| a step | 2.00 s | 6.00 s | 3.00 (1.00–8.00 of 3) | 3.00 and 5.00 GB |"
    assert about.startswith("some, 2 cores, 2 threads, AVX2, no bfloat16 instructions, no GPU")
    assert code == "published code: commit 1"


def test_every_second_pair_has_the_reverse_order():
    order = []

    def side(name: str, seconds: float) -> Measured:
        order.append(name)
        return Measured([seconds + len(order)], 0.0)

    first, second = alternate([lambda: side("A", 10.0), lambda: side("B", 20.0)], 3)
    assert order == ["A", "B", "B", "A", "A", "B"]
    assert [m.seconds[0] for m in first] == [11, 14, 15]
    assert [m.seconds[0] for m in second] == [22, 23, 26]


def test_each_side_of_a_pair_can_be_called():
    lines = [line for pair in PAIRS for line in own_lines(pair)]
    assert len({line.name for line in lines}) == len(lines)
    assert all(line.name.startswith(OWN) for line in lines)
    for line in lines:
        inspect.signature(line.function).bind(**line.arguments)
    for pair in (*PAIRS, *TRIES):
        if pair.kind != "job":
            inspect.signature(reference_lines.KINDS[pair.kind]).bind(**pair.arguments)
            json.dumps(pair.arguments)


def test_an_error_is_told_with_its_place_in_the_checkout():
    text = (
        'Traceback (most recent call last):\n  File "/x/driver.py", line 3, in main\n'
        '  File "/c/utils/a.py", line 7, in f\n    g()\n  File "/site/b.py", line 9, in g\n'
        "AttributeError: module 'numpy' has no attribute 'product'\n"
    )
    assert told(text, Path("/c")) == (
        "AttributeError: module 'numpy' has no attribute 'product' (utils/a.py, line 7)"
    )
    assert told("  killed\n", Path("/c")) == "  killed".strip()
    assert told("", Path("/c")) == "it said nothing"


def test_a_folder_outside_git_has_no_commit(tmp_path):
    assert version(tmp_path) == "of a commit that isn't known"


def test_pairs_are_measured_and_written(checkout, tmp_path, capsys):
    only = ["--only", "dpc-rnn step, 64 px", "--only", "clip", "--only", "job"]
    file = tmp_path / "pairs.json"
    flags = ["--reference", str(checkout), "--pairs", "1", *only, "--json", str(file)]
    assert benchmark.main(flags) == 0
    said = capsys.readouterr()
    names = [line.split(" | ")[0].strip("| ") for line in said.out.splitlines()[2:7]]
    assert names == [
        "dpc-rnn step, 64 px, batch 4, static blocks",
        "dpc-rnn step, 64 px, batch 4, every frame computed",
        "Gabor clip, 128 px, 8 images",
        "Gabor clip, 128 px, 8 images, augmented",
        "Gabor job, 64 px, batch 4, 32 clips, epochs 0 and 1",
    ]
    assert re.search(r"\[1/4\] dpc-rnn step, 64 px, batch 4: [\d.]+, [\d.]+, in ", said.err)
    static, dense, *_ = json.loads(file.read_text())["pairs"]
    assert static["ours"] == dense["ours"] == [1.0]
    assert static["ratios"] == static["published"] == dense["published"]
    assert static["published"][0] > 0
    assert 0 < static["published_GB"] < 10


@pytest.mark.parametrize(
    ("missing", "only", "complaint"),
    [
        ("run_model.py", "clip", "is no checkout of the published code: it has no run_model.py"),
        (
            "utils/loss_utils.py",
            "lc-rnn",
            r"a step of lc-rnn fails: ImportError: cannot import name 'loss_utils' .*"
            r"; tests/README.md lists what the published code needs",
        ),
    ],
)
def test_a_checkout_that_lacks_names_is_told_in_a_line(missing, only, complaint, checkout, capsys):
    (checkout / missing).unlink()
    assert benchmark.main(["--reference", str(checkout), "--only", only]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"--reference {re.escape(str(checkout))}: {complaint}", line)


def test_a_job_that_fails_is_told_with_its_place(checkout, capsys):
    (checkout / "run_model.py").write_text("import utils\n\nutils.product()\n")
    assert benchmark.main(["--reference", str(checkout), "--only", "job"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a Gabor job fails: AttributeError: module 'utils' has no attribute 'product'" in line
    assert "(run_model.py, line 3)" in line


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--pairs", "2"], "--pairs: goes with --reference"),
        (["--reference", ".", "--pairs", "0"], "--pairs: at least 1"),
        (["--reference", ".", "--repeat", "2"], "--reference: takes neither --compare nor"),
        (["--reference", ".", "--only", "swim"], "--only swim: fits none"),
    ],
)
def test_flags_that_do_not_fit_are_told(arguments, complaint, capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(arguments)
    assert complaint in capsys.readouterr().err
