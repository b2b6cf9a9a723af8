"""Recording against a direct computation: responses of each part, and errors by differences."""

import dataclasses
import math
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dataset.build import build_analysed_loader, build_loader
from learners import batch
from model.analysis.groups import Grouping
from model.analysis.hooks import Responses, Steps, respond
from model.analysis.labellings import Labellings
from model.analysis.network import build_network, load_weights
from model.analysis.record import Recording
from model.training.tasks import Task, build_task
from model.training.tensor_names import tensors_of
from small_runs import ON_CPU
from utils.analysis.recorded import KINDS, STAGES
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.processes import ALONE, Processes
from utils.samples import Batch, ClassInfo

pytestmark = pytest.mark.usefixtures("narrow_backbone")

SEQ_LEN = 5  # so that the encoder gives two frames, of which it has to make a mean
SIZE = {"dataset": "Gabors", "img_dim": 64, "seq_len": SEQ_LEN, "seed": 3}
CASES = {
    "dpc-rnn, P = 1": {"num_seq_in": 3, "pred_step": 1},
    "dpc-rnn, P = 3": {"num_seq_in": 2, "pred_step": 3},
    "lc-rnn": {"model": "lc-rnn", "num_seq_in": 3},
}
CLASSES = (
    *(ClassInfo(f"{image} {angle}°", image, angle) for image in ("C", "D") for angle in (0, 45)),
    ClassInfo("U 90°", "U", 90),
    ClassInfo("G", "G", None),
)
U = 4
STEP = 1e-5  # of the finite differences

Change = Callable[[str, int, Tensor], Tensor]  # of what a part gives at a step


def unchanged(_part: str, _step: int, output: Tensor) -> Tensor:
    return output


def double_task(case: str) -> Task:
    torch.manual_seed(2)
    task = build_task(Config(**SIZE, **CASES[case]), len(CLASSES))
    for parameter in task.parameters():  # orthogonal ones with zero biases are too regular
        parameter.data += 0.05 * torch.randn_like(parameter)
    task = task.double().eval().requires_grad_(False)
    task.normalise = lambda clip: (clip.double() - task.mean) / task.std
    return task


def small_batch(task: Task, L: int = SEQ_LEN, seed: int = 0) -> Batch:
    made = batch(B=3, N=task.model.block_shape[0], L=L, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    shape = (3, task.model.block_shape[0], SEQ_LEN)
    classes = torch.randint(len(CLASSES), shape, generator=generator)
    return made._replace(labels=torch.stack([classes, (classes == U).long()], dim=-1))


# ---- the same, written out: a network that calls the model's layers one by one


class Direct:
    """What the parts of a network give, and its loss, if `change` changes what they give.

    `encoder` holds the time averages of all blocks, `contextual` and `predictive` those of all
    steps, each `[B, F, D, D]`; `stages` those of all blocks, `[B*N, C]`.
    """

    def __init__(
        self, task: Task, one: Batch, change: Change = unchanged, features: Tensor | None = None
    ):
        self.model, self.change = task.model, change
        self.B, self.N = one.clip.shape[:2]
        self.stages: dict[str, Tensor] = {}
        if features is None:
            clips = (one.clip.double() - task.mean) / task.std
            if clips.shape[3] == 1:
                clips = clips.expand(-1, -1, -1, SEQ_LEN, -1, -1)
            features = self.backbone(clips.flatten(0, 1)).unflatten(0, (self.B, self.N))
        self.features = features  # [B, N, F, L_out, D, D], before any change
        blocks = [change("encoder", n, features[:, n]) for n in range(self.N)]
        self.encoder = [block.mean(dim=2) for block in blocks]
        self.contextual: list[Tensor] = []
        self.predictive: list[Tensor] = []
        self.loss = self.classify(blocks, one) if "final_fc" in dir(self.model) else self.contrast()

    def backbone(self, x: Tensor) -> Tensor:
        net = self.model.backbone
        x = net.maxpool(functional.relu(net.bn1(net.conv1(x))))
        self.stages["stem"] = x.mean(dim=(2, 3, 4))
        for number in (1, 2, 3, 4):
            for block in getattr(net, f"layer{number}"):
                shortcut = block.downsample(x) if block.downsample is not None else x
                x = functional.relu(block.bn1(block.conv1(x)))
                x = block.bn2(block.conv2(x)) + shortcut
                x = functional.relu(x) if block.final_relu else x
            self.stages[f"stage{number}"] = x.mean(dim=(2, 3, 4))
        return x

    def gru(self, x: Tensor, hidden: Tensor) -> Tensor:
        cell, both = self.model.agg.ConvGRUCell_00, torch.cat([x, hidden], dim=1)
        update, reset = cell.update_gate(both).sigmoid(), cell.reset_gate(both).sigmoid()
        candidate = cell.out_gate(torch.cat([x, reset * hidden], dim=1))
        candidate = self.change("contextual", len(self.contextual), candidate)
        self.contextual.append(candidate)
        return (1 - update) * hidden + update * candidate.tanh()

    def contrast(self) -> float:
        P, hidden = self.model.pred_step, torch.zeros_like(self.encoder[0])
        for block in self.encoder[: self.N - P]:
            hidden = self.gru(block.relu(), hidden)
        first, _, last = self.model.network_pred
        for step in range(P):
            predicted = self.change("predictive", step, last(first(hidden).relu()))
            self.predictive.append(predicted)
            if step < P - 1:
                hidden = self.gru(predicted.relu(), hidden)
        vectors = [
            torch.stack(each, dim=1).flatten(3).transpose(2, 3).flatten(0, 2)  # [B*P*S, F]
            for each in (self.predictive, self.encoder[self.N - P :])
        ]
        scores = vectors[0] @ vectors[1].T
        losses = scores.logsumexp(dim=1) - scores.diagonal()  # of each vector among all
        self.block_loss = losses.view(self.B, P, -1).mean(dim=2)
        return losses.mean().item()

    def classify(self, blocks: list[Tensor], one: Batch) -> float:
        hidden = torch.zeros_like(self.encoder[0])
        for block in blocks:
            hidden = self.gru(block.relu().mean(dim=2), hidden)
        context = self.model.final_bn(hidden.mean(dim=(2, 3)))
        logits = self.model.final_fc[1](context)
        target = one.labels[:, -1, -1, 0]
        losses = logits.logsumexp(dim=1) - logits[torch.arange(self.B), target]
        self.block_loss = losses[:, None]
        return losses.mean().item()


def steps_of(task: Task) -> dict[str, list[int]]:
    """Return which of the parts' steps belong to the predicted blocks, in their order."""
    N, is_dpc = task.model.block_shape[0], hasattr(task.model, "pred_step")
    P = task.model.pred_step if is_dpc else 1
    steps = {"encoder": list(range(N - P, N))}
    if is_dpc:  # the p-th prediction is made from the context after N - P + p inputs
        steps["contextual"] = [N - P - 1 + p for p in range(P)]
        steps["predictive"] = list(range(P))
    else:
        steps["contextual"] = [N - 1]
    return steps


# ---- activations and errors


@pytest.mark.parametrize("L", [SEQ_LEN, 1])
@pytest.mark.parametrize("case", CASES)
def test_activations_are_those_of_the_predicted_blocks_computed_directly(case, L):
    task = double_task(case)
    one = small_batch(task, L)
    found, direct = respond(task, one), Direct(task, one)
    steps = steps_of(task)
    assert list(found.activations) == list(steps)
    for part, own in steps.items():
        made = found.activations[part]
        assert made.shape == (3, len(own), 32, 2, 2)
        expected = torch.stack([getattr(direct, part)[step] for step in own], dim=1)
        assert torch.allclose(made, expected, rtol=1e-9, atol=1e-9)
        assert not made.requires_grad
    for stage in STAGES:
        expected = direct.stages[stage].unflatten(0, (3, -1))[:, -len(steps["encoder"]) :]
        assert torch.allclose(found.stages[stage], expected, rtol=1e-9, atol=1e-9)
    assert found.output.loss.item() == pytest.approx(direct.loss, rel=1e-9)
    assert torch.allclose(found.output.predictions.loss, direct.block_loss, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_errors_are_what_small_changes_of_the_outputs_do_to_the_loss(case):
    task = double_task(case)
    one = small_batch(task)
    found, features = respond(task, one), Direct(task, one).features
    assert features.shape[3] == 2  # errors are summed over time
    rng = np.random.default_rng(0)
    for part, own in steps_of(task).items():
        for p, step in enumerate(own):
            for _ in range(4):
                b, f, i, j = (int(rng.integers(size)) for size in (3, 32, 2, 2))

                def loss_at(by: float, place: tuple, part: str = part, step: int = step) -> float:
                    def change(which: str, at: int, output: Tensor) -> Tensor:
                        if (which, at) != (part, step):
                            return output
                        b, f, i, j = place
                        output = output.clone()
                        output[b, f, ..., i, j] += by  # of a block, at all times
                        return output

                    return Direct(task, one, change, features).loss

                slope = (loss_at(STEP, (b, f, i, j)) - loss_at(-STEP, (b, f, i, j))) / (2 * STEP)
                error = found.errors[part][b, p, f, i, j].item()
                assert error == pytest.approx(slope, rel=1e-5, abs=1e-9), (part, p)


def test_errors_are_not_all_zero():
    """So that the test above can fail."""
    for case in CASES:
        task = double_task(case)
        for errors in respond(task, small_batch(task)).errors.values():
            assert (errors != 0).double().mean() > 0.2


def test_the_loss_of_a_batch_that_is_twice_as_large_sends_errors_half_as_large():
    """With the same clips twice, each has the same loss up to a constant."""
    task = double_task("lc-rnn")
    one = small_batch(task)
    twice = Batch(*(torch.cat([part, part]) for part in one[:3]))
    single, double = (respond(task, each).errors["encoder"] for each in (one, twice))
    assert torch.allclose(double[:3], single / 2, rtol=1e-9)


def test_hooks_and_gradients_leave_nothing_behind():
    task = double_task("dpc-rnn, P = 3")
    one = small_batch(task)
    before = {name: value.clone() for name, value in tensors_of(task.model).items()}
    first, second = (respond(task, one) for _ in range(2))
    assert torch.equal(first.errors["contextual"], second.errors["contextual"])
    assert not any(module._forward_hooks for module in task.modules())
    assert all(parameter.grad is None for parameter in task.parameters())
    assert all(torch.equal(value, before[name]) for name, value in tensors_of(task.model).items())


# ---- what a pass keeps


def brute_force(found: list[Responses], labels: Tensor, step: int) -> dict[tuple, tuple]:
    """Return count, mean and sd of each group of a step, from all blocks' responses."""
    groups = {}
    for group in Grouping.of(CLASSES).groups:
        chosen = []
        for row, (target, is_U) in enumerate(labels[:, step].tolist()):
            info = CLASSES[target]
            angle = math.nan if info.orientation is None else info.orientation
            if group.holds(info.shown(bool(is_U)), angle):
                chosen.append(row)
        for module in found[0].activations:
            for kind, part in zip(KINDS, ("activations", "errors"), strict=True):
                values = torch.cat([getattr(one, part)[module] for one in found])[chosen, step]
                stats = (values.mean(dim=0), values.std(dim=0, correction=0)) if chosen else None
                groups[str(tuple(group)), f"{module}_{kind}"] = (len(chosen), stats)
    return groups


@pytest.mark.parametrize("case", CASES)
def test_statistics_of_a_pass_are_those_of_all_blocks(case):
    task = double_task(case)
    batches = [small_batch(task, seed=seed)._replace(number=seed) for seed in (1, 0, 2)]
    recording = Recording(task, Grouping.of(CLASSES), None, keep_maps=True)
    for one in batches:
        recording.add(one)
    made = recording.made(ALONE, CLASSES, epoch=7)
    found = [respond(task, one) for one in sorted(batches, key=lambda one: one.number)]
    labels = torch.cat([one.output.predictions.labels for one in found])  # [R, P, 2]
    P = labels.shape[1]
    for step in range(P):
        for (group, name), (count, stats) in brute_force(found, labels, step).items():
            k = [str(tuple(one)) for one in made.groups].index(group)
            mean, sd = (made.statistics[f"{name}_{what}"][step, k] for what in ("mean", "sd"))
            assert made.statistics["count"][step, k] == count
            if count:
                np.testing.assert_allclose(mean, stats[0], rtol=1e-9, atol=1e-12)
                np.testing.assert_allclose(sd, stats[1], rtol=1e-6, atol=1e-12)
            else:
                assert np.isnan(mean).all()
                assert np.isnan(sd).all()
    # rows: in the order of batches, then clips, then steps
    maps = torch.cat([one.errors["encoder"] for one in found]).flatten(0, 1).float().numpy()
    np.testing.assert_allclose(made.maps["encoder_error"], maps, rtol=1e-6)
    np.testing.assert_allclose(
        made.vectors["encoder_error"], maps.mean(axis=(2, 3)), rtol=1e-3, atol=1e-9
    )
    stem = torch.cat([one.stages["stem"] for one in found]).flatten(0, 1)
    np.testing.assert_allclose(made.vectors["stem"], stem, rtol=1e-6)
    assert made.vectors["stem"].dtype == np.float32
    assert made.blocks["step"].tolist() == [*range(P)] * 9
    assert made.blocks["item"].tolist() == [item for item in (0, 1, 2) for _ in range(P)] * 3
    assert set(made.blocks["epoch"]) == {7}
    rows = [CLASSES[target].image for target in labels[..., 0].flatten().tolist()]
    assert made.blocks["image"].tolist() == rows
    losses = torch.cat([one.output.predictions.loss for one in found]).flatten()
    assert made.blocks["loss"].tolist() == losses.tolist()


class Told:
    """Labels `[clips, N, L, 2]` of a data set's clips, in one epoch."""

    def __init__(self, labels: Tensor, epoch: int):
        self.all = labels.numpy()
        self.epoch = epoch

    def labels(self, epoch: int, index: int) -> np.ndarray:
        assert epoch == self.epoch
        return self.all[index]


@pytest.mark.parametrize("case", CASES)
def test_permutations_of_a_pass_are_those_of_all_its_blocks_d_and_u(case):
    """Whatever their step is; if there are several, the first one shows neither D nor U."""
    task, epoch = double_task(case), 7
    task.model.agg.ConvGRUCell_00.out_gate.weight.data[5] = 0  # so that this channel is constant
    steps = Steps.of(task.model)
    batches = [small_batch(task, seed=seed + 20)._replace(number=seed) for seed in range(12)]
    for one in batches if steps.P > 1 else ():
        one.labels[:, -steps.P] = 0
    labels = torch.cat([one.labels for one in batches])  # [clips, N, L, 2]
    clips = [list(range(3 * one.number, 3 * one.number + 3)) for one in batches]
    grouping = Grouping.of(CLASSES)
    labellings = Labellings(
        Told(labels, epoch), grouping, steps, clips, epoch=epoch, seed=3, device=ON_CPU.device
    )
    recording = Recording(task, grouping, labellings, keep_maps=False)
    for one in batches:
        recording.add(one)
    statistics = recording.made(ALONE, CLASSES, epoch).statistics

    found = [respond(task, one) for one in batches]
    images = [CLASSES[c].image for c in labels[:, -steps.P :, steps.frame, 0].flatten().tolist()]
    compared = [row for row, image in enumerate(images) if image in "DU"]
    is_U = np.array([images[row] == "U" for row in compared])
    assert 2 < is_U.sum() < len(is_U)
    rows = np.random.default_rng((3, zlib.crc32(b"permutations"), epoch)).permuted(
        np.tile(is_U, (1000, 1)), axis=1
    )
    for module in found[0].activations:
        for kind, part in zip(KINDS, ("activations", "errors"), strict=True):
            values = torch.cat([getattr(one, part)[module] for one in found]).flatten(0, 1).numpy()
            U, D = (
                np.array([[values[compared][row == u].mean(0), values[compared][row == u].var(0)]
                          for row in (is_U, *rows)])
                for u in (True, False)
            )  # fmt: skip
            constant = D[0, 1] + U[0, 1] == 0
            assert constant.any() or (module, kind) != ("contextual", "activation")
            with np.errstate(invalid="ignore"):
                usi = (U[:, 0] - D[:, 0]) / np.sqrt((U[:, 1] + D[:, 1]) / 2)
            as_far = abs(usi[1:]) >= abs(usi[0]) * (1 - 1e-9)  # rounded in another order
            p = (1 + as_far.sum(axis=0)) / 1001
            low, high = np.quantile(usi[1:], (0.025, 0.975), axis=0)
            for end, expected in {"low": low, "high": high, "p": p}.items():
                made = statistics[f"{module}_{kind}_usi_{end}"]
                assert np.isnan(made[constant]).all()
                np.testing.assert_allclose(made[~constant], expected[~constant], rtol=1e-6)


def test_the_label_of_a_block_is_that_of_its_first_frame_or_of_a_clips_last():
    for case, frame in (("dpc-rnn, P = 3", 0), ("lc-rnn", -1)):
        task = double_task(case)
        one, steps = small_batch(task), Steps.of(task.model)
        labels = respond(task, one).output.predictions.labels
        assert torch.equal(labels, one.labels[:, -steps.P :, steps.frame])
        assert steps.frame == frame


# ---- the network


def test_the_networks_weights_need_no_gradient_and_random_states_stay():
    config = Config(**SIZE, num_seq_in=2, pred_step=1, grad_checkpoint=True, amp="bf16")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    task = build_network(config, 5, ON_CPU.device)
    assert torch.equal(torch.get_rng_state(), before)
    assert not task.training
    assert not any(parameter.requires_grad for parameter in task.parameters())
    assert not task.model.backbone.grad_checkpoint
    found = respond(task, batch(N=3, L=1)._replace(labels=torch.zeros(4, 3, SEQ_LEN, 2).long()))
    assert found.activations["encoder"].dtype == torch.float32
    assert set(found.stages) == set(STAGES)


def test_weights_are_told_by_their_values():
    config = Config(**SIZE, num_seq_in=2, pred_step=1)
    task, other = (build_network(config, 5, ON_CPU.device) for _ in range(2))
    weights = {name: value.clone() for name, value in tensors_of(other.model).items()}
    first = load_weights(task, weights, "")
    assert first == load_weights(task, weights, "")
    name = next(iter(weights))
    weights[name][0, 0, 0, 0, 3] += 1e-6
    assert load_weights(task, weights, "") != first


# ---- its clips


@pytest.mark.parametrize("ranks", [1, 3])
def test_ranks_take_turns_with_the_whole_batches_of_training(ranks):
    config = Config(
        dataset="Gabors", img_dim=32, batch_size=4, train_len=22, seed=3, num_workers=0,
        unexp_epoch=9, U_prob=1.0,
    )  # fmt: skip
    trained = [one.item.tolist() for one in build_loader(config, "train", ON_CPU).batches(2)]
    assert [len(items) for items in trained] == [4] * 5
    found = {}
    for rank in range(ranks):
        runtime = dataclasses.replace(ON_CPU, processes=Processes(rank, ranks))
        loader = build_analysed_loader(config, runtime)
        assert loader.batches_of(2) == trained
        for one in loader.batches(2):
            if len(one.item):
                found[one.number] = one.item.tolist()
                assert one.labels[..., 1].any()  # U is on before its first epoch
                told = [loader.samples.labels(2, item) for item in found[one.number]]
                assert np.array_equal(np.stack(told), one.labels)
    assert [found[number] for number in sorted(found)] == trained
    with pytest.raises(UsageError, match="has 22 clips, less than one batch of 23"):
        build_analysed_loader(dataclasses.replace(config, batch_size=23), ON_CPU)
    first = build_analysed_loader(dataclasses.replace(config, analysis_len=11), ON_CPU)
    assert first.batches_of(2) == trained[:2]
    assert len(first) == 2
