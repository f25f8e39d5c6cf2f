"""Scores for a whole data set, batch by batch, in the order of its sequences."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.data.prefetch import prefetch
from bertworks.data.sampler import cut_by_tokens
from bertworks.evaluation import Metrics
from bertworks.inference.memory import TokenBudget
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model
from bertworks.tasks.task import Task

SEQUENCES_AT_ONCE = 4096
"""Data sets are scored in chunks of about so many sequences, so that memory does not grow with their size."""


def score(
    model: Model, data: PackedBatch, *, device: torch.device, token_budget: int | TokenBudget, progress: Callable[[int], None] | None = None
) -> dict[str, Float[Array, "sequences outputs"]]:
    """Scores of each head for every sequence (heads that read one state a sequence).

    Sequences are computed shortest first, in batches of at most `token_budget` tokens, and put back in order; where
    memory runs out the budget is halved, and that is told (see `TokenBudget`). `progress` is called with the number of
    tokens done.
    """
    budget = token_budget if isinstance(token_budget, TokenBudget) else TokenBudget(token_budget)
    results: dict[str, Array] = {}
    with torch.inference_mode():
        for indices, batch in prefetch((i, data.take(i)) for i in cut_by_tokens(data.lengths, budget.tokens)):
            for name, values in budget.compute(partial(_score_batch, model, batch, device)).items():
                if name not in results:
                    results[name] = np.zeros((data.sequences, values.shape[1]), dtype=np.float32)
                results[name][indices] = values
            if progress is not None:
                progress(batch.tokens)
    return results


def _score_batch(model: Model, batch: PackedBatch, device: torch.device, tokens: int) -> dict[str, Array]:
    """Scores of a batch, which is cut again where it has more than so many tokens."""
    parts = cut_by_tokens(batch.lengths, tokens)
    if len(parts) == 1:
        return {name: scores.cpu().numpy() for name, scores in model(model_inputs(batch, device)).items()}
    results = [_score_batch(model, batch.take(part), device, tokens) for part in parts]
    back = np.argsort(np.concatenate(parts), kind="stable")
    return {name: np.concatenate([result[name] for result in results])[back] for name in results[0]}


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
