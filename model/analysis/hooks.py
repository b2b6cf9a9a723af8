"""What the parts of a network answer to a batch, and the errors that its loss sends back to them.

The modules are those that predict and those that are predicted; see utils/analysis/README.md.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.dpc import DPC_RNN
from model.lc import LC_RNN
from model.training.tasks import Output, Task
from utils.analysis.recorded import STAGES
from utils.samples import Batch


class Responses(NamedTuple):
    """What a batch's P predicted blocks evoked, without a graph.

    `activations` and `errors` of each module `[B, P, C, D, D]`; of each stage, averaged over space
    and time, `[B, P, C]`. An error is the gradient of the batch's mean loss with respect to the
    module's output.
    """

    output: Output
    activations: dict[str, Tensor]
    errors: dict[str, Tensor]
    stages: dict[str, Tensor]


class Steps(NamedTuple):
    """The steps of a model: N blocks of a clip, of which the last P are predicted, after `seen`.

    An lc-rnn predicts nothing: the block seen last stands in the predicted one's place. The label
    of a block is that of its `frame`, as in the task.
    """

    N: int
    P: int
    seen: int
    frame: int

    @classmethod
    def of(cls, model: nn.Module) -> "Steps":
        """Return those of a dpc-rnn or an lc-rnn."""
        if isinstance(model, DPC_RNN):
            N, P = model.block_shape[0], model.pred_step
            return cls(N, P, N - P, frame=0)
        assert isinstance(model, LC_RNN)
        return cls(model.block_shape[0], 1, model.block_shape[0], frame=-1)


class Outputs:
    """The outputs of a model's parts in one forward pass, in the order of the calls.

    `encoder` is the backbone's output, cut from the backbone, so that backward ends there and
    nothing of the backbone is kept for it.
    """

    def __init__(self, steps: Steps):
        self.steps = steps
        self.encoder = torch.empty(0)  # [B*N, F, L_out, D, D]
        self.contextual: list[Tensor] = []  # of each step [B, F, D, D]
        self.predictive: list[Tensor] = []
        self.stages: dict[str, Tensor] = {}  # [B, P, C]

    def cut(self, _module: nn.Module, _inputs: object, features: Tensor) -> Tensor:
        """Put a leaf in the place of the backbone's output."""
        self.encoder = features.detach().requires_grad_()
        return self.encoder

    def add_context(self, _module: nn.Module, _inputs: object, candidate: Tensor) -> None:
        """Add the GRU's candidate of a step, before tanh."""
        self.contextual.append(candidate)

    def add_prediction(self, _module: nn.Module, _inputs: object, predicted: Tensor) -> None:
        """Add a step's prediction."""
        self.predictive.append(predicted)

    def mean_of(self, stage: str) -> Callable[[nn.Module, object, Tensor], None]:
        """Return a hook that keeps a stage's means over space and time."""

        def keep(_module: nn.Module, _inputs: object, features: Tensor) -> None:
            # a static block's frames are equal, so one of them (L = 1) has the mean of all
            self.stages[stage] = self.last(features.mean(dim=(2, 3, 4)))  # [B, P, C]

        return keep

    def last(self, blocks: Tensor) -> Tensor:
        """Return the predicted ones `[B, P, ...]` of all blocks `[B*N, ...]`."""
        return blocks.unflatten(0, (-1, self.steps.N))[:, -self.steps.P :]

    def contexts(self) -> list[Tensor]:
        """Return the candidate at the last input step used for each of the P predictions."""
        first = self.steps.seen - 1  # the step of the block seen last
        return self.contextual[first : first + self.steps.P]


@contextmanager
def watching(model: nn.Module, steps: Steps) -> Iterator[Outputs]:
    """Keep the outputs of the model's parts in its next forward pass."""
    made = Outputs(steps)
    assert isinstance(model, DPC_RNN | LC_RNN)
    backbone = model.backbone
    hooks: list[tuple[nn.Module, Callable]] = [
        (backbone, made.cut),
        (model.agg.ConvGRUCell_00.out_gate, made.add_context),
    ]
    if isinstance(model, DPC_RNN):
        hooks.append((model.network_pred, made.add_prediction))
    # the last module of each, since faster backbones call the blocks of a stage one by one
    lasts = (backbone.maxpool, *(getattr(backbone, f"layer{i}")[-1] for i in range(1, len(STAGES))))
    hooks += [(last, made.mean_of(stage)) for stage, last in zip(STAGES, lasts, strict=True)]
    with ExitStack() as stack:
        for module, hook in hooks:
            stack.enter_context(module.register_forward_hook(hook))  # removed at the end
        yield made


def respond(task: Task, batch: Batch) -> Responses:
    """Run a task, whose parameters need no gradients, on a batch, and its backward once.

    Nothing is updated. The encoder's activations are averaged over time before ReLU; its errors
    are summed over time, since that is the gradient with respect to the average.
    """
    steps = Steps.of(task.model)
    with torch.enable_grad(), watching(task.model, steps) as made:
        output = task(batch)
    by_step = {"contextual": made.contexts(), "predictive": made.predictive}
    watched = [made.encoder, *by_step["contextual"], *by_step["predictive"]]
    gradients = torch.autograd.grad(output.loss, watched, allow_unused=True)
    found = [
        torch.zeros_like(one) if gradient is None else gradient
        for one, gradient in zip(watched, gradients, strict=True)
    ]
    activations = {"encoder": made.last(made.encoder.detach().mean(dim=2))}  # [B, P, F, D, D]
    errors = {"encoder": made.last(found.pop(0).sum(dim=2))}
    for module, outputs in by_step.items():
        if outputs:
            own, found = found[: len(outputs)], found[len(outputs) :]
            activations[module] = torch.stack([one.detach() for one in outputs], dim=1)
            errors[module] = torch.stack(own, dim=1)  # [B, P, F, D, D]
    stages = {stage: made.stages[stage] for stage in STAGES}
    return Responses(_without_graph(output), activations, errors, stages)


def _without_graph(output: Output) -> Output:
    return output._replace(loss=output.loss.detach(), row_loss=output.row_loss.detach())
