"""Replaced-token detection (Clark et al. 2020, section 2): a generator fills in hidden tokens, the discriminator says of every
token whether it was replaced.

Both are computed in one forward pass, since what the discriminator reads, and what it is to say, come about in between. No
gradient goes through the draw. The embeddings, with their positions, segments and norm, are one module in both (section 3.2,
"Weight Sharing"), and so get the gradients of both.
"""

from dataclasses import replace
from math import ceil, sqrt

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bertworks.batch import Array
from bertworks.nn.dropout import DropoutKeys, random_bits
from bertworks.nn.heads import IGNORED
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.model import AnyHead, Model

_VALUES_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 26}
"""Scores that a token is drawn from together, in float32: on a CPU they stay in a core's cache."""
_LARGEST_BELOW_1 = 1 - 2.0**-24


class ReplacedTokens(Model):
    """A discriminator, whose encoder and heads this model's are, with its `generator`.

    The generator has one head, of the kind masked_lm, and with it reads the batch as it is: with hidden tokens. In the place
    of every token to be predicted stands, for the discriminator, one that is drawn from the generator's softmax. Both kinds
    of scores are this model's, and so are the heads of both (`head_items`).
    """

    def __init__(self, discriminator: Model, generator: Model, detector: str, ordinary_ids: Int[Array, "ordinary"]) -> None:
        """Takes the modules of both over, and gives the generator the discriminator's embeddings, which must have the same
        shape. `detector` is the name of the head that says which tokens were replaced. Only `ordinary_ids` are drawn.
        """
        nn.Module.__init__(self)  # what `Model` would make is there
        self.spec, self.encoder, self.heads = discriminator.spec, discriminator.encoder, discriminator.heads
        self.generator = generator
        self.generator.encoder.embeddings = self.encoder.embeddings
        ((self._predictor, _),) = generator.head_items()
        self._detector = detector
        penalty = torch.full((self.spec.embedding.vocabulary,), -torch.inf)
        penalty[torch.from_numpy(np.asarray(ordinary_ids))] = 0.0
        self.register_buffer("penalty", penalty, persistent=False)

    def compute_in(self, dtype: torch.dtype) -> "ReplacedTokens":
        super().compute_in(dtype)
        self.generator.compute_in(dtype)
        return self

    def head_items(self) -> list[tuple[str, AnyHead]]:
        return [*self.generator.head_items(), *self.heads_of_encoder()]

    def forward(self, inputs: ModelInputs) -> dict[str, Float[Tensor, "rows outputs"]]:
        """The scores of all heads. Those of the detector have two columns: the score, and what it should say, 1 where the
        token was replaced by another, else 0.

        The detector's targets in `inputs` are, of each token, the number by which the one that replaces it is drawn.
        """
        generated = self.generator(replace(inputs, dropout=self._keys_of_generator(inputs.dropout)))
        true = inputs.targets[self._predictor]
        rows = (true != IGNORED).nonzero()[:, 0]
        drawn = draw(generated[self._predictor].detach(), inputs.targets[self._detector][rows], self.get_buffer("penalty"))
        scores = super().forward(replace(inputs, input_ids=inputs.input_ids.index_copy(0, rows, drawn)))
        wanted = torch.zeros(len(true), device=true.device).index_copy(0, rows, (drawn != true[rows]).float())
        scores[self._detector] = torch.cat([scores[self._detector], wanted[:, None]], dim=1)
        return {**generated, **scores}

    def _keys_of_generator(self, keys: DropoutKeys | None) -> DropoutKeys | None:
        """Keys of its own, made of those at a site that the discriminator has not: masks of the two never coincide."""
        return None if keys is None else DropoutKeys(keys.site(self.encoder.next_dropout_site + 2 * len(self.heads)))


def draw(
    scores: Float[Tensor, "targets vocabulary"], keys: Int[Tensor, "targets"], penalty: Float[Tensor, "vocabulary"]
) -> Int[Tensor, "targets"]:
    """An id for each row, drawn from the softmax of its scores: a function of these and of the row's key, a 64-bit number.

    `penalty` is added to the scores, -inf for ids that must not be drawn. The largest of scores with Gumbel noise is a draw
    from their softmax (Gumbel 1954; Maddison et al. 2014, section 2), here made twice: of blocks of √vocabulary ids, whose
    scores are the logarithms of their sums, then of the ids in the block. So a row takes 2 · √vocabulary random numbers, not
    as many as there are ids. Computed in float32. As scores differ by rounding when a batch is cut in another way, so may a
    draw, where the two largest values are nearer than that: once in a million draws, say. (Where the cumulative distribution
    passes a random number it would be a thousand times as often, as every id has an edge there.)
    """
    vocabulary = scores.shape[1]
    size = ceil(sqrt(vocabulary))
    blocks = ceil(vocabulary / size)
    parts = []
    step = max(1, _VALUES_AT_ONCE.get(scores.device.type, 1 << 18) // vocabulary)
    for part, of_rows in zip(scores.split(step), keys.split(step), strict=True):
        values = F.pad(part.float() + penalty, (0, blocks * size - vocabulary), value=-torch.inf).unflatten(1, (blocks, size))
        block = (values.logsumexp(2) + _gumbel(of_rows, blocks)).argmax(1)  # [targets]
        within = values[torch.arange(len(block), device=block.device), block]  # [targets, size]
        parts.append(block * size + (within + _gumbel(of_rows, size, first=blocks)).argmax(1))
    return torch.cat(parts)


def _gumbel(keys: Int[Tensor, "rows"], columns: int, first: int = 0) -> Float[Tensor, "rows columns"]:
    """Gumbel noise, finite and fine where it is large: -log(-log(1 - u)) of numbers u with 63 random bits, rounded to float32
    (near 0, where the noise is largest, that keeps 24 of them).
    """
    u = ((random_bits(keys, columns, first) & 0x7FFFFFFFFFFFFFFF) | 1).float() * 2.0**-63
    return -(-torch.log1p(-u.clamp(max=_LARGEST_BELOW_1))).log()
