"""The last layer computes only what the heads read: the same scores and gradients as computing all of it."""

from typing import Literal

import pytest
import torch

from bertworks.nn.model import Model
from bertworks.spec import HeadSpec
from tests.nn.small import batch, encoder, inputs, model

Reads = Literal["first", "pooled", "last", "mean", "tokens"]


def scores_and_gradients(made: Model, ends: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    made.zero_grad()
    with monkeypatch.context() as patch:
        if not ends:
            patch.setattr(Model, "_ends_read", lambda self: None)
        scores = made(inputs(batch([7, 3, 3, 12, 1]), (4, 9)))["label"]
    (scores * torch.arange(1.0, 1 + scores.numel()).view_as(scores)).sum().backward()
    return scores.detach(), {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reads", ["first", "pooled", "last"])
def test_the_same_scores_and_gradients(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(encoder(dropout=0.2), {"label": HeadSpec(reads=reads, outputs=3, dropout=0.2)}, spread=0.3)
    assert made._ends_read() == ("last" if reads == "last" else "first")
    scores, gradients = scores_and_gradients(made, True, monkeypatch)
    all_scores, all_gradients = scores_and_gradients(made, False, monkeypatch)
    torch.testing.assert_close(scores, all_scores, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == all_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, all_gradients[name], atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("reads", ["mean", "tokens"])
def test_heads_that_read_more_get_all(reads: Reads) -> None:
    assert model(encoder(), {"label": HeadSpec(reads=reads, outputs=3)}, spread=0.3)._ends_read() is None


def test_heads_that_read_different_ends_get_all() -> None:
    heads = {"a": HeadSpec(reads="first", outputs=2), "b": HeadSpec(reads="last", outputs=2)}
    assert model(encoder(), heads, spread=0.3)._ends_read() is None
