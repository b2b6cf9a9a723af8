"""The loop's parts: metrics, rates, what learns, batch-norm statistics, the order of an epoch."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from dataset.build import build_loader
from model.dpc import score
from model.lc import LC_RNN
from model.metrics import hits
from model.training.build import build_learner
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.loop import estimate_statistics, norms_without_statistics
from model.training.meter import Meter
from model.training.optimizer import (
    Steps,
    freeze_all_but,
    make_optimizer,
    parameter_groups,
    schedule_of,
    set_rates,
)
from model.training.saving import Saver, State
from model.training.tasks import ClassificationTask, ContrastiveTask, Output, Task, build_task
from run_records import only, weights
from small_runs import ON_CPU, TINY, run, signal_in_call
from utils.config.flags import Config
from utils.errors import RunError, UsageError
from utils.logs import Progress
from utils.runs.faults import Faults
from utils.runtime.interrupts import Interrupts
from utils.samples import Batch

SMALL = Config(
    dataset="Gabors",
    img_dim=32,
    num_seq_in=2,
    pred_step=1,
    num_gabors=5,
    batch_size=4,
    train_len=8,
    num_workers=0,
    seed=3,
)


def made_meter() -> Meter:
    return Meter(ON_CPU, Progress("a pass", total=1, log_freq=1), keep=False)


def add(meter: Meter, row_loss: torch.Tensor, logits: torch.Tensor, target: torch.Tensor) -> None:
    batch = Batch(None, None, torch.arange(len(row_loss)))
    found = hits(logits, target)
    meter.add(batch, Output(row_loss.mean(), row_loss, found, logits.shape[1], None))


def test_means_are_over_all_rows_of_an_epoch():
    meter = made_meter()
    logits = torch.tensor([[3.0, 2, 1, 0], [0, 1, 2, 3]])
    add(meter, torch.tensor([1.0, 2.0]), logits, torch.tensor([0, 1]))
    add(meter, torch.tensor([6.0]), logits[:1], torch.tensor([1]))
    means = meter.means()
    assert means.loss == 3.0
    assert means.top1 == pytest.approx(1 / 3)
    assert means.top3 == 1.0  # the second row's target is third
    assert means.top5 is None  # of 4 columns
    assert means.chance == 1 / 4


def test_chance_is_averaged_over_batches():
    meter = made_meter()
    for columns in (8, 4):
        add(meter, torch.zeros(1), torch.randn(1, columns), torch.tensor([0]))
    means = meter.means()
    assert means.chance == (1 / 8 + 1 / 4) / 2
    assert means.top5 is None


def test_equal_logits_are_no_success():
    meter = made_meter()
    add(meter, torch.zeros(6), torch.zeros(6, 6), torch.arange(6))
    assert meter.means().top1 == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("dataset", "img_dim", "milestones"),
    [
        ("UCF101", 128, (60, 80)),
        ("UCF101", 224, (300, 400)),
        ("MouseSim", 128, (60, 80)),
        ("HMDB51", 128, (30, 40)),
        ("Kinetics400", 224, (150, 250)),
        ("Gabors", 128, (10, 15)),
        ("Gabors", 224, (20, 30)),
    ],
)
def test_the_classifiers_rate_drops_at_the_published_epochs(dataset, img_dim, milestones):
    schedule = schedule_of(Config(model="lc-rnn", dataset=dataset, img_dim=img_dim))
    assert schedule == Steps(milestones)
    first, second = milestones
    expected = {1: 1, first: 1, first + 1: 0.1, second: 0.1, second + 1: 0.01, 1000: 0.01}
    for epoch, factor in expected.items():
        assert schedule.factor(epoch) == pytest.approx(factor)
    assert schedule_of(Config(dataset=dataset, img_dim=img_dim)).factor(1000) == 1


def test_ft_trains_the_body_at_a_tenth_of_the_rate():
    model = LC_RNN("resnet18", 32, 2, 5, 3)
    groups = parameter_groups(model, "ft")
    optimizer = make_optimizer(groups, 1e-3, 1e-3)
    set_rates(optimizer, groups, 1e-4)
    body, classifier = optimizer.param_groups
    assert body["lr"] == pytest.approx(1e-5)
    assert classifier["lr"] == 1e-4
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)].split(".")[0] for p in body["params"]} == {"backbone", "agg"}
    assert {names[id(p)].split(".")[0] for p in classifier["params"]} == {"final_bn", "final_fc"}
    assert sum(group.size for group in groups) == sum(p.numel() for p in model.parameters())


def test_last_freezes_the_body_and_keeps_it_in_eval_mode():
    model = LC_RNN("resnet18", 32, 2, 5, 3)
    groups = parameter_groups(model, "last")
    freeze_all_but(model, groups)
    Learner(ClassificationTask(model), groups, make_optimizer(groups, 1, 0), ON_CPU).train()
    assert not any(module.training for module in model.backbone.modules())
    assert not model.agg.dropout.training
    assert model.final_bn.training
    assert model.final_fc[0].training


def test_a_group_without_parameters_is_an_error():
    with pytest.raises(UsageError, match="no classifier to train"):
        parameter_groups(nn.Sequential(nn.Linear(1, 1)), "last")


def test_clips_are_normalised_with_imagenets_mean_and_spread():
    clip = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 3, 1, 1, 1)
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    made = Task(nn.Identity()).normalise(clip)
    assert made.dtype == torch.float32
    assert made.flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert clip.flatten().tolist() == [0, 128, 255]  # stays as it was


def test_estimated_statistics_are_the_cumulative_average_over_batches():
    config = Config(**{**vars(SMALL), "model": "lc-rnn"})
    loader = build_loader(config, "train", ON_CPU)
    learner = build_learner(config, len(loader.samples.classes), False, ON_CPU)
    task = learner.task
    assert norms_without_statistics(task)
    seen = []
    task.model.backbone.bn1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    guard = Guard(learner, Interrupts(), remedy="")
    assert estimate_statistics(learner, loader.batches(0), made_meter(), guard) == 2
    norm = task.model.backbone.bn1
    means = torch.stack([x.mean(dim=(0, 2, 3, 4)) for x in seen])
    assert torch.allclose(norm.running_mean, means.mean(dim=0), atol=1e-5)
    # the unbiased variance over frames that are each shown 5 times
    repeated = [x.repeat_interleave(5, dim=2) for x in seen]
    variances = torch.stack([x.var(dim=(0, 2, 3, 4)) for x in repeated])
    assert torch.allclose(norm.running_var, variances.mean(dim=0), rtol=1e-4)
    assert not norms_without_statistics(task)
    assert norm.momentum == 0.1


class Vectors(nn.Module):
    """A model whose predicted and true vectors `[B, P, F, S]` are given."""

    def __init__(self, predicted, targets):
        super().__init__()
        self.vectors = predicted, targets

    def predict(self, clips):
        return self.vectors


def test_a_prediction_is_decoded_as_the_class_of_the_best_block():
    B, N, P, F, S = 2, 3, 2, 8, 4
    torch.manual_seed(0)
    predicted, targets = torch.randn(2, B, P, F, S)
    scores = score(predicted, targets)
    labels = torch.arange(B * N).view(B, N, 1, 1).expand(B, N, 5, 2).clone()
    labels[..., 1] = 0
    output = ContrastiveTask(Vectors(predicted, targets)).output(None, labels, None)
    for b in range(B):
        for p in range(P):
            means = {
                (c, q): scores[b, p, :, c, q, :].mean().item() for c in range(B) for q in range(P)
            }
            c, q = max(means, key=means.get)
            assert output.predictions.predicted[b, p] == c * N + (N - P) + q
            assert output.predictions.labels[b, p, 0] == b * N + (N - P) + p
    assert output.columns == len(output.row_loss) == len(output.hits) == B * P * S
    assert output.loss.item() == pytest.approx(output.row_loss.mean().item())
    block = output.row_loss.view(B, P, S).mean(dim=2)
    assert torch.allclose(output.predictions.loss, block)


def test_weights_follow_from_the_seed():
    def build(seed):
        torch.manual_seed(seed)
        return build_task(SMALL, 3).state_dict()

    first, again, other = build(1), build(1), build(2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(
        first["model.backbone.conv1.weight"], other["model.backbone.conv1.weight"]
    )


def test_the_loader_leaves_torchs_random_state_alone():
    loader = build_loader(SMALL, "train", ON_CPU)
    before = torch.get_rng_state()
    assert len(list(loader.batches(0))) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_chance_loss_is_the_logarithm_of_the_number_of_vectors():
    nothing = torch.zeros(2, 1, 8, 4)
    labels = torch.zeros(2, 3, 5, 2, dtype=torch.long)
    output = ContrastiveTask(Vectors(nothing, nothing)).output(None, labels, None)
    assert output.loss.item() == pytest.approx(math.log(8))


# ------------------------------------------------------------------ losses that are not finite


@pytest.fixture
def saver(tmp_path) -> Saver:
    loader = build_loader(SMALL, "train", ON_CPU)
    learner = build_learner(SMALL, len(loader.samples.classes), False, ON_CPU)
    (tmp_path / "model").mkdir()
    return Saver(
        SMALL,
        learner=learner,
        samples=loader.samples,
        folder=tmp_path / "model",
        state=State(),
        faults=Faults(tmp_path, strict=False),
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_reach_no_checkpoint(saver, value):
    saver.learner.updates = 1
    with torch.no_grad():
        saver.learner.model.network_pred[2].bias[0] = value
    for save in (saver.save_position, lambda: saver.save(State(epoch=1))):
        with pytest.raises(RunError, match=r"not finite.* resume it with a lower rate"):
            save()
    assert not list(saver.folder.iterdir())


def test_a_loss_that_is_not_finite_is_not_saved_between_two_log_lines(saver):
    saver.learner.updates = 1
    saver.training = made_meter()
    add(saver.training, torch.tensor([math.nan]), torch.zeros(1, 2), torch.tensor([0]))
    with pytest.raises(RunError, match="not finite"):
        saver.save_position()
    assert not list(saver.folder.iterdir())


def test_before_any_update_the_weights_are_at_fault(saver):
    told = str(saver.divergence("the loss is nan"))
    assert told.endswith(
        "before any update: the initial weights or the data are at fault, not the rate"
    )
    saver.config = Config(**{**vars(SMALL), "pretrained": "weights.pth.tar"})
    told = str(saver.divergence("the loss is nan"))
    assert "the weights of --pretrained weights.pth.tar are at fault, not the rate" in told
    saver.learner.updates = 1
    told = str(saver.divergence("the loss is nan"))
    assert "lower rate" in told
    assert told.endswith("or look at the weights of --pretrained weights.pth.tar")


DIVERGING = {  # flags of a run, and the call in which a signal comes
    "a signal after batch 3": (["--train_len", 20], 3),
    "every --checkpoint_minutes": (["--train_len", 20, "--checkpoint_minutes", 1e-9], 0),
    "an epoch's last update": (["--train_len", 4, "--not_save_best"], 0),
    "an epoch's last update, of two batches": (["--not_save_best", "--grad_accum", 2], 0),
    "a classifier's last update": (["--train_len", 4, "--not_save_best", "--model", "lc-rnn"], 0),
}


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("lr", [1e30, 1e10])
@pytest.mark.parametrize("case", DIVERGING)
def test_a_run_that_diverged_is_resumed_as_the_message_says(case, lr, tmp_path, capsys):
    flags, nth = DIVERGING[case]
    arguments = [*TINY, *flags, "--num_epochs", 2, "--lr", lr, "--log_freq", 100]
    with signal_in_call(Learner, "backward", nth):
        assert run(*arguments, "--output_dir", tmp_path) == RunError.status
    assert "resume it with a lower rate (--reset_lr --lr)" in capsys.readouterr().err
    folder = only(tmp_path)
    for path in (folder / "model").iterdir():
        assert all(value.abs().max() < 1e6 for value in weights(path).values())
    assert run("--resume", folder, "--reset_lr", "--lr", 1e-3) == 0


@pytest.mark.usefixtures("small")
def test_statistics_may_be_larger_than_weights():
    learner = build_learner(replace(SMALL, track_bn=True), 4, False, ON_CPU)
    norm = next(part for part in learner.model.modules() if isinstance(part, nn.BatchNorm3d))
    norm.running_var.fill_(1e9)
    assert learner.is_sound()
    norm.running_var[0] = math.inf
    assert not learner.is_sound()
    norm.running_var.fill_(1)
    norm.weight.data[0] = -1e7
    assert not learner.is_sound()
