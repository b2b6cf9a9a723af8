"""What changes rounding or speed: --amp, --plain, --compile, --grad_accum, --deterministic."""

import math
import platform
import shutil
import subprocess
import sys
import warnings

import pandas as pd
import pytest
import torch
from torch._inductor import config as inductor_config
from torch.nn import functional

from forked import ENVIRONMENT, ROOT
from learners import (
    assert_same,
    batch,
    bf16,
    double_learner,
    learned,
    learner,
    likeness,
    whole_likeness,
)
from model import resnet_2d3d
from model.fast import convolution
from model.fast.convolution import Conv3d
from model.training.build import compiler
from run_records import contents
from small_runs import TINY, run
from utils.config.flags import Config
from utils.runtime import device, precision
from utils.runtime.device import Runtime
from utils.runtime.precision import use_deterministic_algorithms
from utils.runtime.processes import ALONE
from utils.samples import Batch

# ------------------------------------------------------------------ --amp


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_bf16_convolutions_over_time_give_their_weights_gradient(frames, stride):
    """With two frames oneDNN leaves it as the memory was."""
    torch.manual_seed(0)
    conv = Conv3d(64, 64, 3, stride=stride, padding=1, bias=False)
    x = torch.randn(4, 64, frames, 4, 4)
    expected = torch.autograd.grad(
        functional.conv3d(x, conv.weight, stride=stride, padding=1).square().mean(), conv.weight
    )[0]
    for _ in range(3):
        junk = [torch.full(conv.weight.shape, 1e30, dtype=torch.bfloat16) for _ in range(4)]
        del junk  # what the memory was
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = conv(x)
        assert y.dtype == torch.bfloat16
        (got,) = torch.autograd.grad(y.float().square().mean(), conv.weight)
        # each product is rounded by up to 0.4 %, up or down
        assert (got - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
def test_a_bf16_step_is_close_to_the_float32_one(model, narrow_backbone):
    N = 3 if model == "dpc-rnn" else 2
    (loss,), gradients = learned(learner(model=model), batch(N=N))
    (rounded,), roundeds = learned(learner(bf16(), model=model), batch(N=N))
    assert rounded != loss
    # bfloat16 rounds every feature by up to 0.4 %, and 18 layers of batch norm carry it on
    assert rounded == pytest.approx(loss, rel=0.05)
    for name, gradient in gradients.items():
        assert likeness(gradient, roundeds[name]) > 0.5, name
    assert whole_likeness(gradients, roundeds) > 0.9


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
def test_loss_and_scores_stay_float32(model, narrow_backbone):
    made = learner(bf16(), model=model)
    one = batch(N=3 if model == "dpc-rnn" else 2)
    with made.autocast():
        output = made.task(one)
        scores = made.model(made.task.normalise(one.clip))
    logits = scores if model == "dpc-rnn" else scores[0]
    assert logits.dtype == output.loss.dtype == output.row_loss.dtype == torch.float32
    assert not logits.equal(logits.bfloat16().float())


@pytest.mark.slow
@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_runs_of_less_precision_train_and_resume(amp, small, tmp_path):
    flags = [*TINY, "--amp", amp, "--num_epochs", 1, "--output_dir", tmp_path]
    assert run(*flags) == 0
    (folder,) = tmp_path.iterdir()
    assert run("--resume", folder, "--num_epochs", 2) == 0
    assert run("--resume", folder, "--num_epochs", 3, "--amp", "off") == 0
    losses = pd.read_csv(folder / "epochs.csv")["loss"]
    assert len(losses) == 8
    assert all(math.isfinite(loss) for loss in losses)


def test_the_scaler_is_there_for_fp16_alone():
    for amp in ("off", "bf16", "fp16"):
        made = learner(Runtime(torch.device("cpu"), amp=amp), img_dim=32)
        assert made.scaler.is_enabled() == (amp == "fp16")


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("start", ["new", "resumed", "test"])
def test_a_cpu_without_instructions_for_it_refuses_amp(
    start, amp, small, pretrained_run, classifier_run, tmp_path, monkeypatch, capsys
):
    """A step would take ten times as long as in float32."""
    monkeypatch.setattr(device, "has_instructions", lambda asked: asked == "off")
    run_folder = shutil.copytree(pretrained_run, tmp_path / "run")
    begun = {
        "new": [*TINY, "--output_dir", tmp_path / "new"],
        "resumed": ["--resume", run_folder, "--num_epochs", 4],
        "test": ["--test", next((classifier_run / "model").glob("best*"))],
    }[start]
    before = contents(tmp_path), contents(classifier_run.parent)
    assert run(*begun, "--amp", amp) == 2
    complaint = capsys.readouterr().err
    assert complaint.count(f"--amp {amp}: this CPU has no instructions for it") == 1
    assert "take --amp off (to go on with a run: --resume FOLDER --amp off)" in complaint
    assert (contents(tmp_path), contents(classifier_run.parent)) == before


def test_a_run_of_less_precision_goes_on_where_a_cpu_has_no_instructions(
    small, tmp_path, monkeypatch, capsys
):
    flags = [*TINY, "--amp", "bf16", "--num_epochs", 0, "--output_dir", tmp_path]
    assert run(*flags) == 0
    (folder,) = tmp_path.iterdir()
    monkeypatch.setattr(device, "has_instructions", lambda _: False)
    assert run("--resume", folder, "--num_epochs", 1) == 2
    assert "--amp bf16: this CPU" in capsys.readouterr().err
    assert run(*flags, "--resume", "auto") == 2
    assert run("--resume", folder, "--num_epochs", 1, "--amp", "off") == 0


def test_a_gpu_is_not_asked_for_a_cpus_instructions(monkeypatch):
    monkeypatch.setattr(device, "has_instructions", lambda _: False)
    monkeypatch.setattr(device, "pick_device", lambda *_: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.cudnn, "benchmark", False)
        assert device.start_runtime(Config(amp="bf16"), ALONE).amp == "bf16"


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="it is no x86 CPU")
def test_instructions_are_those_that_onednn_uses(tmp_path):
    """As many as an environment variable leaves to it, whatever the CPU has."""
    flags = ["--amp", "bf16", "--cpu_only", "--output_dir", str(tmp_path / "runs")]
    ended = subprocess.run(
        [sys.executable, ROOT / "run_model.py", *TINY, *flags],
        env={**ENVIRONMENT, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("run_model.py: --amp bf16: this CPU has no instructions for it")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("built", [True, False])
def test_a_torch_without_the_query_has_instructions_if_it_has_onednn(built, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: built)
    assert device.has_instructions("fp99") == built


# ------------------------------------------------------------------ --plain


@pytest.mark.slow
def test_a_plain_run_measures_the_same(small, pretrained_run, tmp_path):
    assert run(*TINY, "--plain", "--num_epochs", 0, "--output_dir", tmp_path) == 0
    (folder,) = tmp_path.iterdir()
    plain, fast = (pd.read_csv(path / "epochs.csv") for path in (folder, pretrained_run))
    # float32, as the program computes: 2e-7 was seen
    assert list(plain.loss) == pytest.approx(list(fast.loss[fast.epoch == 0]), rel=1e-3)
    made = learner(plain=True)
    assert type(made.model.backbone) is resnet_2d3d.ResNet2d3d
    assert not any(type(m).__module__.startswith("model.fast") for m in made.task.modules())


def test_plain_in_bf16_is_refused_on_a_cpu(narrow_backbone, tmp_path, capsys):
    assert run(*TINY, "--plain", "--amp", "bf16", "--cpu_only", "--output_dir", tmp_path) == 2
    assert "--plain --amp bf16: torch's gradients are wrong" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ --grad_accum


@pytest.mark.parametrize("count", [2, 3])
def test_an_update_takes_the_mean_of_its_batches_gradients(count, narrow_backbone):
    """Two of three, where the epoch ends early."""
    batches = [batch(seed=seed) for seed in range(2)]
    singles = [learned(double_learner(), one) for one in batches]
    made = double_learner(grad_accum=count)
    losses, _ = learned(made, *batches)
    assert losses == pytest.approx([loss for (loss,), _ in singles], rel=1e-10)
    made.optimizer = torch.optim.SGD(made.model.parameters(), lr=1.0)
    before = {name: p.detach().clone() for name, p in made.model.named_parameters()}
    made.update()
    assert made.pending == (0 if count == 2 else 2)
    made.update(at_end=True)
    assert not made.pending
    after = dict(made.model.named_parameters())
    mean = {name: (singles[0][1][name] + singles[1][1][name]) / 2 for name in after}
    assert_same({name: before[name] - after[name] for name in after}, mean)


def test_accumulated_batches_are_one_large_batch_where_nothing_ties_clips_together(
    narrow_backbone,
):
    """A classifier whose batch norms evaluate."""
    whole = batch(B=6, N=2)
    parts = [
        Batch(whole.clip[i : i + 2], whole.labels[i : i + 2], whole.item[i : i + 2])
        for i in (0, 2, 4)
    ]
    together = double_learner(model="lc-rnn")
    apart = double_learner(model="lc-rnn", grad_accum=3)
    for made in (together, apart):
        made.task.eval()
    (loss,), gradients = learned(together, whole)
    losses, accumulated = learned(apart, *parts)
    assert sum(losses) / 3 == pytest.approx(loss, rel=1e-10)
    assert_same(accumulated, gradients)


def test_runs_update_every_so_many_batches(small, tmp_path):
    flags = [*TINY, "--train_len", 20, "--grad_accum", 2, "--num_epochs", 1, "--not_save_best"]
    assert run(*flags, "--output_dir", tmp_path) == 0
    (folder,) = tmp_path.iterdir()
    content = torch.load(folder / "model/epoch1.pth.tar")
    steps = {int(state["step"]) for state in content["optimizer"]["state"].values()}
    assert steps == {3}  # 5 batches: 2, 2 and the last one
    assert content["iteration"] == 5


# ------------------------------------------------------------------ --compile, --deterministic


@pytest.mark.slow
def test_a_compiled_model_computes_the_same(monkeypatch, narrow_backbone, tmp_path):
    if compiler() is None:  # says so, in one line
        assert run(*TINY, "--compile") == 2
        return
    # torch's cache confuses what it compiled for other instruction sets
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(inductor_config.cpp, "simdlen", 1)  # compiles sooner than vectors
    one_of_each_kind = (1, 0, 0, 1)  # a block over single frames, and one over time
    monkeypatch.setitem(resnet_2d3d.DEPTHS, "resnet18", (resnet_2d3d.BASIC, one_of_each_kind))
    monkeypatch.setattr(convolution, "FEW_POSITIONS", 1)  # of that one's output
    small = {"img_dim": 8, "seq_len": 2, "num_seq_in": 1}
    eager, compiled = double_learner(**small), double_learner(**small, compile=True)
    assert compiled.task.state_dict().keys() == eager.task.state_dict().keys()
    (loss,), gradients = learned(eager, batch(N=2, img_dim=8, L=2))
    (again,), others = learned(compiled, batch(N=2, img_dim=8, L=2))
    assert again == pytest.approx(loss, rel=1e-10)
    assert_same(others, gradients)


def test_without_a_compiler_compile_says_so(monkeypatch, narrow_backbone, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert run(*TINY, "--compile", "--output_dir", tmp_path) == 2
    assert "--compile: needs a C++ compiler" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def undone(monkeypatch):
    """What --deterministic sets is set back."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    with warnings.catch_warnings():
        yield
    torch.use_deterministic_algorithms(False)


def test_deterministic_names_once_what_it_can_not_have(undone, monkeypatch):
    named = []
    monkeypatch.setattr(precision.log, "warning", lambda text, *values: named.append(text % values))
    use_deterministic_algorithms()
    assert torch.are_deterministic_algorithms_enabled()
    for _ in range(2):
        warnings.warn(
            "max_pool3d_with_indices_backward_cuda does not have a deterministic implementation",
            UserWarning,
            stacklevel=1,
        )
    assert named == [
        "--deterministic: there is no such algorithm for max_pool3d_with_indices_backward_cuda"
    ]


@pytest.mark.slow
def test_deterministic_changes_nothing_on_a_cpu(undone, small, pretrained_run, tmp_path):
    assert run(*TINY, "--num_epochs", 1, "--deterministic", "--output_dir", tmp_path) == 0
    (folder,) = tmp_path.iterdir()
    expected = pd.read_csv(pretrained_run / "predictions.csv").query("epoch <= 1")
    assert pd.read_csv(folder / "predictions.csv").equals(expected)
