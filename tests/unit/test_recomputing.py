"""--grad_checkpoint takes less memory; test_fast.py shows that its results are the same."""

import pytest
import torch

from learners import batch, bf16, learned, learner, whole_likeness

pytestmark = pytest.mark.usefixtures("narrow_backbone")


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
def test_a_step_in_bf16(model):
    # the stem's parts are normalised by other operations, so what is rounded to 8 bits differs;
    # all of it that comes later follows
    options = {"model": model, "num_seq_in": 2 if model == "dpc-rnn" else 3}
    (loss,), gradients = learned(learner(bf16(), **options), batch())
    (loss2,), gradients2 = learned(learner(bf16(), **options, grad_checkpoint=True), batch())
    assert loss2 == pytest.approx(loss, rel=0.05)
    assert whole_likeness(gradients, gradients2) > 0.9


def kept_bytes(grad_checkpoint: bool) -> int:
    """For backward, weights aside."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    made = learner(grad_checkpoint=grad_checkpoint)
    weights = {parameter.data_ptr() for parameter in made.model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = made.task(batch())
    assert output.loss.requires_grad
    return sum(size for place, size in kept.items() if place not in weights)


def test_little_is_kept():
    assert kept_bytes(True) < kept_bytes(False) / 2


def test_without_gradients_nothing_is_computed_twice(monkeypatch):
    made = learner(grad_checkpoint=True)
    monkeypatch.setattr("model.fast.resnet_2d3d.recompute_in_backward", None)
    with torch.inference_mode():
        made.task(batch())
