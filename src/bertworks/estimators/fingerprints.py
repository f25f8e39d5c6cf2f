"""Short hashes of data and models, by which what is gone on with is known to be the same."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from bertworks.batch import Array, PackedBatch
from bertworks.nn.model import Model

_SAMPLES = 64


def fingerprint_of_data(data: PackedBatch) -> str:
    """A hash of an encoded data set with its targets."""
    digest = hashlib.sha256()
    targets = [values[name] for values in (data.targets, data.token_targets) for name in sorted(values)]
    for values in (data.input_ids, data.segment_ids, data.offsets, data.groups, *targets):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:16]


def fingerprint_of_rows(rows: Iterable[Any]) -> str:
    """A hash of rows as they were read: plain values, or dataclasses of them."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()[:16]


def fingerprint_of_array(values: Array) -> str:
    """A hash of numbers and of their shape."""
    return hashlib.sha256(f"{values.shape}{values.dtype}".encode() + np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def fingerprint_of_model(model: Model) -> str:
    """A hash of a model's description and of a sample of each of its weights (all of them would take seconds)."""
    digest = hashlib.sha256(repr((model.spec, [(name, head.spec) for name, head in model.head_items()])).encode())
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().flatten()
        digest.update(name.encode() + values[:: max(1, len(values) // _SAMPLES)].contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
