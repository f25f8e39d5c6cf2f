"""The most probable tokens where a masked-LM head is asked."""

import numpy as np
import torch
from jaxtyping import Float, Int

from bertworks.batch import Array, PackedBatch
from bertworks.data.sampler import cut_by_tokens
from bertworks.nn.heads import IGNORED
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model


def top_tokens(
    model: Model,
    head: str,
    batch: PackedBatch,
    count: int,
    *,
    device: torch.device,
    token_budget: int,
    allowed: Int[Array, "allowed"] | None = None,
) -> tuple[Int[Array, "targets count"], Float[Array, "targets count"]]:
    """The `count` most probable token ids at each target of a batch, the most probable first, and their log-probabilities.

    With `allowed`, only these ids are considered; their probabilities remain shares of the whole vocabulary. Targets come
    in the order of the batch.
    """
    wanted = (batch.token_targets[head] != IGNORED).astype(np.int64)
    of_sequence = np.add.reduceat(wanted, batch.offsets[:-1]) if batch.sequences else np.zeros(0, dtype=np.int64)
    starts = np.cumsum(of_sequence) - of_sequence
    total, count = int(of_sequence.sum()), min(count, model.spec.embedding.vocabulary if allowed is None else len(allowed))
    ids, logarithms = np.zeros((total, count), dtype=np.int64), np.zeros((total, count), dtype=np.float32)
    with torch.inference_mode():
        for part in cut_by_tokens(batch.lengths, token_budget):
            scores = model(model_inputs(batch.take(part), device))[head].float().log_softmax(1)
            if allowed is not None:
                scores = scores[:, torch.from_numpy(allowed).to(device)]
            values, places = scores.topk(count, dim=1)
            found = places.cpu().numpy()
            rows = np.concatenate([np.arange(starts[i], starts[i] + of_sequence[i]) for i in part])
            ids[rows] = found if allowed is None else allowed[found]
            logarithms[rows] = values.cpu().numpy()
    return ids, logarithms
