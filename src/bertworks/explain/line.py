"""The straight line from a baseline to some sequences: a value, and its gradient by the tokens' vectors, at points of it."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bertworks.batch import Array, PackedBatch
from bertworks.explain import quadrature
from bertworks.explain.targets import Part
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model

MOST_INTERVALS = 512


class Line:
    """The sequences of a part on their way from the baseline to themselves, together."""

    def __init__(
        self,
        model: Model,
        batch: PackedBatch,
        head: str,
        part: Part,
        baseline: int | None,
        kept: Bool[Array, "tokens"],
        device: torch.device,
        token_budget: int,
    ) -> None:
        """`batch` and `kept` are of all sequences; the other arguments are those of `integrated_gradients`."""
        self._model, self._device, self._head, self._value = model, device, head, part.value
        self.tokens = np.concatenate([np.arange(batch.offsets[i], batch.offsets[i + 1]) for i in part.sequences])
        """Which tokens of the batch these are."""
        self._batch = batch.take(part.sequences)
        self._at_once = max(1, token_budget // self._batch.tokens)
        self._in_turn = self._batch.tokens > token_budget and self._batch.sequences > 1
        table = model.encoder.embeddings.token.weight.detach()
        end = table[torch.from_numpy(self._batch.input_ids).to(device)]
        self._start = torch.zeros_like(end) if baseline is None else table[baseline].expand_as(end).clone()
        same = torch.from_numpy(np.ascontiguousarray(kept[self.tokens])).to(device)
        self._start[same] = end[same]
        self._way = end - self._start
        # the points of the finest rule, of which those of a coarser one are every second, fourth …
        self._done = np.zeros(MOST_INTERVALS + 1, dtype=bool)
        self._values = np.zeros(MOST_INTERVALS + 1)
        self._products = np.zeros((MOST_INTERVALS + 1, self._batch.tokens))

    def refine(self, intervals: int) -> None:
        """Computes the points of a rule that are not computed yet."""
        wanted = np.arange(0, MOST_INTERVALS + 1, MOST_INTERVALS // intervals)
        missing = wanted[~self._done[wanted]]
        for chosen in np.split(missing, np.arange(self._at_once, len(missing), self._at_once)):
            self._values[chosen], self._products[chosen] = self._at(quadrature.points(MOST_INTERVALS)[chosen])
            self._done[chosen] = True

    def integral(self, intervals: int) -> Float[Array, "length"]:
        """The attributions by the rule of so many intervals."""
        return np.asarray(quadrature.weights(intervals) @ self._products[:: MOST_INTERVALS // intervals])

    @property
    def ends(self) -> tuple[float, float]:
        """The value at the baseline and at the text."""
        return float(self._values[0]), float(self._values[-1])

    def _at(self, places: Float[Array, "points"]) -> tuple[Float[Array, "points"], Float[Array, "points length"]]:
        """The value, and each token's gradient times its way, at some places of the line."""
        copies, length = len(places), self._batch.tokens
        share = torch.from_numpy(places.astype(np.float32)).to(self._device)[:, None, None]
        vectors = (self._start + share * self._way).reshape(copies * length, -1)
        if self._in_turn:
            values, gradient = self._gradient_in_turn(vectors)
        else:
            vectors.requires_grad_()
            rows = self._rows(self._batch.take(np.tile(np.arange(self._batch.sequences), copies)), vectors)
            values = self._value(rows.view(copies, -1, rows.shape[1]))
            (gradient,) = torch.autograd.grad(values.sum(), vectors)
        products = (gradient.view(copies, length, -1) * self._way).sum(-1)
        return _numpy(values), _numpy(products)

    def _gradient_in_turn(self, vectors: Float[Tensor, "length width"]) -> tuple[Float[Tensor, "1"], Float[Tensor, "length width"]]:
        """At one place, a sequence at a time, so that memory does not grow with their number: first all rows, by which the value
        is derived, then the rows again, for their own derivatives (the chain rule)."""
        edges = self._batch.offsets.tolist()
        alone = [(self._batch.take([i]), vectors[edges[i] : edges[i + 1]]) for i in range(self._batch.sequences)]
        with torch.no_grad():
            rows = torch.cat([self._rows(sequence, own) for sequence, own in alone])
        rows.requires_grad_()
        values = self._value(rows[None])
        (slopes,) = torch.autograd.grad(values.sum(), rows)
        gradients: list[Tensor] = []
        for (sequence, own), slope in zip(alone, slopes, strict=True):
            own = own.clone().requires_grad_()
            gradients += torch.autograd.grad((self._rows(sequence, own) * slope).sum(), own)
        return values, torch.cat(gradients)

    def _rows(self, sequences: PackedBatch, vectors: Float[Tensor, "tokens width"]) -> Float[Tensor, "rows outputs"]:
        rows: Tensor = self._model(replace(model_inputs(sequences, self._device), token_vectors=vectors))[self._head]
        return rows


def _numpy(x: Tensor) -> Array:
    return x.detach().cpu().double().numpy()  # on the CPU, since Apple's GPUs have no float64
