"""Scores for a whole data set, batch by batch, in the order of its sequences."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bertworks.batch import Array, PackedBatch, ragged_positions
from bertworks.data.prefetch import prefetch
from bertworks.data.sampler import cut_by_tokens
from bertworks.evaluation import Metrics
from bertworks.inference.memory import TokenBudget
from bertworks.nn.heads import IGNORED, Head
from bertworks.nn.inputs import ModelInputs, model_inputs
from bertworks.nn.model import AnyHead, AnyHeadSpec, Model
from bertworks.tasks.task import TRANSITIONS, Task

SEQUENCES_AT_ONCE = 4096
"""Data sets are scored in chunks of about so many sequences, so that memory does not grow with their size."""


def score(
    model: Model, data: PackedBatch, *, device: torch.device, token_budget: int | TokenBudget, progress: Callable[[int], None] | None = None
) -> dict[str, Float[Array, "rows outputs"]]:
    """What each head says of a data set: a row for each sequence, or for each token, in their order.

    Of heads that are read at the tokens with a target only (masked language modelling), whose scores would be many times
    the size of all else, a row holds two numbers: the logarithm of the target's probability, and whether the target has
    the highest score. Transitions stand beside the scores of a head that has some (`transitions_of`).

    Sequences are computed shortest first, in batches of at most `token_budget` tokens, and put back in order; where
    memory runs out the budget is halved, and that is told (see `TokenBudget`). `progress` is called with the number of
    tokens done.
    """
    budget = token_budget if isinstance(token_budget, TokenBudget) else TokenBudget(token_budget)
    counts = {name: _rows_a_sequence(head.spec, name, data) for name, head in model.head_items()}
    starts = {name: np.cumsum(count) - count for name, count in counts.items()}
    results: dict[str, Array] = {}
    with torch.inference_mode():
        for indices, batch in prefetch((i, data.take(i)) for i in cut_by_tokens(data.lengths, budget.tokens)):
            for name, values in budget.compute(partial(_score_batch, model, batch, device)).items():
                if name not in results:
                    results[name] = np.zeros((int(counts[name].sum()), values.shape[1]), dtype=np.float32)
                of_sequence = counts[name][indices]
                results[name][np.repeat(starts[name][indices], of_sequence) + ragged_positions(of_sequence)] = values
            if progress is not None:
                progress(batch.tokens)
    return {**results, **transitions_of(model)}


def transitions_of(model: Model) -> dict[str, Float[Array, "labels_and_ends labels"]]:
    """The learnt scores of neighbouring tags of each head that has some, under its name and `TRANSITIONS`."""
    heads = {name: head.transitions for name, head in model.head_items() if isinstance(head, Head)}
    return {f"{name}{TRANSITIONS}": own.table().detach().cpu().numpy() for name, own in heads.items() if own is not None}


def _rows_a_sequence(spec: AnyHeadSpec, name: str, data: PackedBatch) -> Int[Array, "sequences"]:
    """How many rows a head scores of each sequence."""
    if spec.reads in ("tokens", "relations"):
        return data.lengths
    if spec.reads == "targets":
        wanted = data.token_targets[name] != IGNORED
        return np.add.reduceat(wanted, data.offsets[:-1], dtype=np.int64)
    return np.ones(data.sequences, dtype=np.int64)


def _score_batch(model: Model, batch: PackedBatch, device: torch.device, tokens: int) -> dict[str, Array]:
    """Scores of a batch, which is cut again where it has more than so many tokens."""
    parts = cut_by_tokens(batch.lengths, tokens)
    if len(parts) == 1:
        inputs = model_inputs(batch, device)
        scores = model(inputs)
        return {name: _told(head, scores[name], inputs, name).cpu().numpy() for name, head in model.head_items()}
    results = [_score_batch(model, batch.take(part), device, tokens) for part in parts]
    out = {}
    for name, head in model.head_items():
        counts = _rows_a_sequence(head.spec, name, batch)
        order = np.concatenate(parts)  # the sequences in the order in which they were scored
        of_sequence = counts[order]
        values = np.concatenate([result[name] for result in results])
        out[name] = np.empty_like(values)
        out[name][np.repeat((np.cumsum(counts) - counts)[order], of_sequence) + ragged_positions(of_sequence)] = values
    return out


def _told(head: AnyHead, scores: Float[Tensor, "rows outputs"], inputs: ModelInputs, name: str) -> Float[Tensor, "rows told"]:
    """Scores as they are, or what is told of targets instead."""
    if head.spec.reads != "targets":
        return scores
    targets = head.targets(inputs, name)[0][:, None]
    own = scores.gather(1, targets).float()
    totals = torch.cat([part.float().logsumexp(1) for part in scores.split(64)]) if len(scores) else scores.new_zeros(0).float()
    return torch.cat([own - totals[:, None], (own >= scores.amax(1, keepdim=True)).float()], dim=1)


def evaluate(model: Model, task: Task, data: PackedBatch, *, device: torch.device, token_budget: int | TokenBudget) -> Metrics:
    """The task's metrics on a data set with targets, chunk by chunk: memory does not grow with the set."""
    budget = token_budget if isinstance(token_budget, TokenBudget) else TokenBudget(token_budget)
    metrics = task.metrics()
    for chunk in chunks_of_groups(data):
        task.update_metrics(metrics, chunk, score(model, chunk, device=device, token_budget=budget))
    return metrics


def chunks_of_groups(data: PackedBatch, sequences: int = SEQUENCES_AT_ONCE) -> Iterator[PackedBatch]:
    """Consecutive parts of a data set, none of which cuts a group; groups must stand together."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(data.groups)) + 1, [data.sequences]])
    start = 0
    while start < data.sequences:
        stop = int(edges[min(int(np.searchsorted(edges, start + sequences, side="left")), len(edges) - 1)])
        yield data.take(np.arange(start, stop))
        start = stop
