"""Losses that compare all texts of a step: equal to their definitions, and the same however the step is cut into batches."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bertworks.batch import PackedBatch
from bertworks.checkpoints.sentence_layout import SentenceLayout
from bertworks.errors import SettingsError
from bertworks.inference.vector_models import load_vector_model, take_pooler
from bertworks.nn.inputs import model_inputs
from bertworks.nn.machine import choose
from bertworks.nn.model import Model
from bertworks.nn.vector_losses import TextsOfStep, VectorLossOptions, vector_loss
from bertworks.spec import DenseStage, DropoutStage, UnitStage, VectorSpec
from bertworks.tasks.embedding import HEAD, SentenceEmbedding
from bertworks.tasks.embedding_objective import EmbeddingObjective
from bertworks.tokenization import Tokenizer
from bertworks.training import TrainingConfig
from bertworks.training.steps import ShuffledRows, Steps
from bertworks.training.vector_steps import VectorStepLoss, step_loss

pytestmark = pytest.mark.usefixtures("one_thread")

VARIANTS: dict[str, dict[str, Any]] = {
    "scores": {"kind": "scores"},
    "ranking": {"kind": "ranking"},
    "symmetric, negatives": {"kind": "ranking", "symmetric": True},
    "simcse": {"kind": "simcse"},
    "teacher's cosine": {"kind": "distillation"},
    "teacher's squares": {"kind": "distillation", "distance": "squared"},
    "matryoshka of ranking": {"kind": "ranking", "matryoshka": (24, 8, 3)},
    "matryoshka of scores": {"kind": "scores", "matryoshka": (24, 6)},
}
STAGES = {"unit": (DropoutStage(0.2), DenseStage(32, 24), UnitStage()), "not unit": (DenseStage(32, 24, "gelu", residual=True),)}


@pytest.fixture(params=STAGES)
def model(tiny_bert: Path, request: pytest.FixtureRequest) -> Model:
    spec = VectorSpec(("mean",), layers_from=1, stages=STAGES[request.param])
    layout = SentenceLayout(spec, folders=("",) * len(spec.stages))
    loaded = load_vector_model(tiny_bert, HEAD, layout, new=True)
    take_pooler(loaded)
    return loaded.model


def data_of(objective: EmbeddingObjective, tokenizer: Tokenizer, reviews: Callable[..., Any], rows: int) -> PackedBatch:
    """Rows of two texts or three (simcse: of one), some texts twice, and some that take several windows."""
    texts = iter(reviews(4 * rows, longest=30)[0])
    shape = [(2 if objective.kind == "scores" or row % 3 else 3) for row in range(rows)]
    some = [tuple(next(texts) for _ in range(count)) for count in shape]
    some[3] = (some[1][0], *some[3][1:])  # an anchor twice
    some[5] = (some[5][0], some[2][1], *some[5][2:])  # a partner twice
    some[4] = (some[0][1], *some[4][1:])  # an anchor that is another's partner
    if objective.kind == "simcse":
        some = [(first,) for first, *_ in some]
    numbers = np.random.Generator(np.random.PCG64(3))
    targets = numbers.random(rows) if objective.kind == "scores" else numbers.standard_normal((rows, 24))
    return objective.encode(some, tokenizer, targets if objective.kind in ("scores", "distillation") else None)[0]


def objective_of(model: Model, **options: Any) -> EmbeddingObjective:
    spec = dict(model.head_items())[HEAD].spec
    assert isinstance(spec, VectorSpec)
    return EmbeddingObjective(SentenceEmbedding(max_tokens=24, stride=4, is_unit=spec.is_unit), **options, vectors=spec)


def gradients(
    model: Model, objective: EmbeddingObjective, data: PackedBatch, budget: int, seed: int = 0
) -> tuple[float, dict[str, Tensor], int]:
    machine = choose("cpu", "float32", budget, 1)
    source = Steps(ShuffledRows(data, batch_size=12, seed=0), TrainingConfig(seed=seed), machine)
    step = source.make(0, budget)
    model.zero_grad(set_to_none=True)
    loss = step_loss(model, objective, torch.device("cpu"))
    assert isinstance(loss, VectorStepLoss)
    value = loss.backward(step, loss.counts(step))
    return value, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}, len(step.batches)


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    scale = max(float(values.abs().max()) for values in a.values())
    return max(float((a[name] - b[name]).abs().max()) for name in a) / scale


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_does_not_depend_on_the_batches(model: Model, tiny_tokenizer: Tokenizer, reviews: Any, variant: str) -> None:
    objective = objective_of(model, **VARIANTS[variant])
    data = data_of(objective, tiny_tokenizer, reviews, 14)
    assert data.sequences > len(np.unique(data.targets["text"]))  # some texts are in windows
    value, whole, batches = gradients(model, objective, data, 10**6)
    assert batches == 1
    assert len(whole) == len(list(model.parameters()))
    for budget in (100, 1) if variant == "ranking" else (100,):
        other_value, other, count = gradients(model, objective, data, budget)
        assert count > 1
        assert other_value == pytest.approx(value, rel=1e-6)
        assert largest_difference(whole, other) < 2e-6
    assert largest_difference(whole, gradients(model, objective, data, 100, seed=1)[1]) > 1e-3  # dropout is on


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def slow_loss(objective: EmbeddingObjective, data: PackedBatch, vectors: np.ndarray, size: int) -> float:
    """The mean over rows of what each loses, from the definitions: a text at a time."""
    text, role, same = (data.targets[name].tolist() for name in ("text", "role", "same"))
    row = data.groups.tolist()
    merged: dict[int, Any] = {}
    for i, number in enumerate(text):
        weight = float(data.lengths[i]) / sum(float(n) for n, t in zip(data.lengths, text, strict=True) if t == number)
        merged[number] = merged.get(number, 0) + weight * vectors[i].astype(np.float64)
    if objective.embedding.is_unit:
        merged = {number: vector / np.linalg.norm(vector) for number, vector in merged.items()}
    facts = {number: (row[i], role[i], same[i], np.asarray(data.targets[HEAD][i], dtype=np.float64)) for i, number in enumerate(text)}
    texts = {(facts[n][0], facts[n][1]): (merged[n][:size].tolist(), facts[n][2]) for n in merged}
    rows = sorted({r for r, _ in texts})
    if objective.kind == "scores":
        wanted = {facts[n][0]: float(facts[n][3]) for n in merged}
        return float(np.mean([(cosine(texts[r, 0][0], texts[r, 1][0]) - wanted[r]) ** 2 for r in rows]))
    if objective.kind == "distillation":
        of = [(merged[n][:size], facts[n][3][:size]) for n in merged]
        if objective.distance == "squared":
            return float(np.mean([np.mean((v - t) ** 2) for v, t in of]))
        return float(np.mean([1 - cosine(v.tolist(), t.tolist()) for v, t in of]))

    def finds(asked: int, wanted: int) -> float:
        total = 0.0
        for r in rows:
            (vector, own), (_, partner) = texts[r, asked], texts[r, wanted]
            scores = []
            for (other, place), (candidate, name) in texts.items():
                if place == asked or (place > 1 and asked == 1):
                    continue
                is_partner = (other, place) == (r, wanted)
                like = name in (own, partner) or (place == wanted and texts[other, asked][1] == own)
                if is_partner or not like:
                    scores.append((objective.scale * cosine(vector, candidate), is_partner))
            top = max(score for score, _ in scores)
            total -= next(s for s, right in scores if right) - top - math.log(sum(math.exp(s - top) for s, _ in scores))
        return total / len(rows)

    return finds(0, 1) if not objective.symmetric else (finds(0, 1) + finds(1, 0)) / 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_what_its_definition_says(model: Model, tiny_tokenizer: Tokenizer, reviews: Any, variant: str) -> None:
    objective = objective_of(model, **VARIANTS[variant])
    data = data_of(objective, tiny_tokenizer, reviews, 8)
    inputs = model_inputs(data, torch.device("cpu"))
    with torch.no_grad():
        vectors = model(inputs)[HEAD]
        loss = VectorStepLoss(model, objective, torch.device("cpu"))
        texts = loss._texts([inputs])
        name, options = objective.losses[HEAD]
        kept = VectorLossOptions(options["scale"], options["symmetric"], options["dimensions"])
        found = float(vector_loss(name, vectors, texts, kept))  # type: ignore[arg-type]
    count = len(texts.roles) if objective.kind == "distillation" else 8
    wanted = sum(slow_loss(objective, data, vectors.numpy(), size) for size in objective.matryoshka or (24,))
    assert found / count == pytest.approx(wanted, rel=1e-5)


def test_many_anchors_are_ranked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    roles = torch.tensor([0, 1] * 50)
    texts = TextsOfStep(torch.arange(100), torch.ones(100), False, roles, torch.arange(100) // 3, torch.zeros(100))
    results = []
    for most in (1024, 7):
        monkeypatch.setattr("bertworks.nn.vector_losses._ANCHORS_AT_ONCE", most)
        vectors = torch.randn(100, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss = vector_loss("ranking", vectors, texts, VectorLossOptions(symmetric=True))
        loss.backward()
        assert vectors.grad is not None
        results.append((float(loss.detach()), vectors.grad))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-6)


def test_a_lone_row_has_nothing_to_find(model: Model, tiny_tokenizer: Tokenizer) -> None:
    objective = objective_of(model, kind="ranking")
    data, _ = objective.encode([("a fine day", "the sun")], tiny_tokenizer)
    value, found, _ = gradients(model, objective, data, 10**6)
    assert value == pytest.approx(0, abs=1e-6)
    assert all(torch.isfinite(g).all() for g in found.values())


def test_several_processes_are_refused(model: Model) -> None:
    with pytest.raises(SettingsError, match="one process"):
        step_loss(model, objective_of(model, kind="ranking"), torch.device("cpu"), processes=2)


def test_scores_are_put_on_the_range_of_cosines(model: Model, tiny_tokenizer: Tokenizer) -> None:
    objective = replace(objective_of(model, kind="scores"), lowest=0.0, highest=5.0)
    data, _ = objective.encode([("a", "b"), ("c", "d")], tiny_tokenizer, [0, 2.5])
    assert data.targets[HEAD].tolist() == [0, 0, 0.5, 0.5]
