"""Scores for a whole data set, batch by batch, in the order of its sequences."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.data.prefetch import prefetch
from bertworks.data.sampler import cut_by_tokens
from bertworks.evaluation import Metrics
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model
from bertworks.tasks.task import Task

SEQUENCES_AT_ONCE = 4096
"""Data sets are scored in chunks of about so many sequences, so that memory does not grow with their size."""


def score(
    model: Model, data: PackedBatch, *, device: torch.device, token_budget: int, progress: Callable[[int], None] | None = None
) -> dict[str, Float[Array, "sequences outputs"]]:
    """Scores of each head for every sequence (heads that read one state a sequence).

    Sequences are computed shortest first, in batches of at most `token_budget` tokens, and put back in order.
    `progress` is called with the number of tokens done.
    """
    results: dict[str, Array] = {}
    with torch.inference_mode():
        for indices in prefetch(_batches(data, token_budget)):
            batch = data.take(indices)
            for name, scores in model(model_inputs(batch, device)).items():
                values = scores.cpu().numpy()
                if name not in results:
                    results[name] = np.zeros((data.sequences, values.shape[1]), dtype=np.float32)
                results[name][indices] = values
            if progress is not None:
                progress(batch.tokens)
    return results


def evaluate(model: Model, task: Task, data: PackedBatch, *, device: torch.device, token_budget: int) -> Metrics:
    """The task's metrics on a data set with targets, chunk by chunk: memory does not grow with the set."""
    metrics = task.metrics()
    for chunk in chunks_of_groups(data):
        task.update_metrics(metrics, chunk, score(model, chunk, device=device, token_budget=token_budget))
    return metrics


def chunks_of_groups(data: PackedBatch, sequences: int = SEQUENCES_AT_ONCE) -> Iterator[PackedBatch]:
    """Consecutive parts of a data set, none of which cuts a group; groups must stand together."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(data.groups)) + 1, [data.sequences]])
    start = 0
    while start < data.sequences:
        stop = int(edges[min(int(np.searchsorted(edges, start + sequences, side="left")), len(edges) - 1)])
        yield data.take(np.arange(start, stop))
        start = stop


def _batches(data: PackedBatch, token_budget: int) -> Iterator[Array]:
    yield from cut_by_tokens(data.lengths, token_budget)
