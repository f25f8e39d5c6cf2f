"""What tasks compute from the encoder's output: one module runs any `HeadSpec`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.dropout import DropoutKeys, dropout
from bertworks.nn.encoder import EncoderOutput
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.layout import Layout
from bertworks.nn.linear import HalfCopies, Linear, linear
from bertworks.nn.norm import build_norm
from bertworks.nn.transitions import Transitions
from bertworks.spec import HeadSpec

IGNORED = -100
"""The target of a token that has none, as in PyTorch."""


class Head(nn.Module):
    """An optional dense layer with activation and norm, then a projection to the outputs.

    Heads that read one state a sequence compute in float32; heads that read tokens compute in the encoder's dtype. `transitions`
    are no part of the scores: the loss and the decoding of whole sequences add them.
    """

    def __init__(self, spec: HeadSpec, hidden: int) -> None:
        super().__init__()
        self.spec = spec
        self.dense = Linear(hidden, spec.dense, spec.dense_bias) if spec.dense else None
        width = spec.dense or hidden
        self.norm = build_norm(spec.norm, width)
        self.output = None if spec.tied else Linear(width, spec.outputs, spec.bias)
        self.bias = nn.Parameter(torch.zeros(spec.outputs)) if spec.tied and spec.bias else None
        self.transitions = Transitions(spec.outputs) if spec.transitions else None
        self._half = HalfCopies()

    def forward(
        self, encoded: EncoderOutput, inputs: ModelInputs, name: str, tokens_weight: Tensor, site: int
    ) -> Float[Tensor, "rows outputs"]:
        """A row of scores for each sequence, token or target, as the description says: in float32, but those of targets,
        which may be many times the size of all else, in the encoder's dtype.

        `name` is that of the head and of its targets, `tokens_weight` the token embedding for a tied projection, `site`
        the head's first dropout site.
        """
        x, keys = self.read(encoded, inputs, name)
        scores = self.score(x, keys, tokens_weight, site)
        return scores if self.spec.reads == "targets" else scores.float()

    def score(
        self, x: Float[Tensor, "rows hidden"], keys: DropoutKeys | None, tokens_weight: Tensor, site: int
    ) -> Float[Tensor, "rows outputs"]:
        """The scores of states, whichever they are, in their dtype; the arguments are those of `forward`."""
        x = dropout(x, self.spec.input_dropout, keys, site)
        if self.dense is not None:
            x = self.dense(x)
        if self.spec.activation is not None:
            x = ACTIVATIONS[self.spec.activation](x)
        x = dropout(self.norm(x), self.spec.dropout, keys, site + 1)
        return self.output(x) if self.output is not None else linear(x, tokens_weight, self.bias, self._half)

    def read(self, encoded: EncoderOutput, inputs: ModelInputs, name: str) -> tuple[Float[Tensor, "rows hidden"], DropoutKeys | None]:
        """The states that the head reads and the dropout keys of their rows."""
        hidden, layout = encoded.hidden, inputs.layout
        offsets = layout.tensor(hidden.device).long()
        match self.spec.reads:
            case "tokens":
                return hidden, inputs.dropout
            case "targets":
                rows = (inputs.targets[name] != IGNORED).nonzero()[:, 0]
                return hidden[rows], _keys_at(inputs.dropout, rows)
            case "first":
                return encoded.at("first", layout).float(), _keys_at(inputs.dropout, offsets[:-1])
            case "last":
                return encoded.at("last", layout).float(), _keys_at(inputs.dropout, offsets[1:] - 1)
            case "mean":
                return mean_of_sequences(hidden, layout), _keys_at(inputs.dropout, offsets[:-1])
            case "pooled":
                assert encoded.pooled is not None, "a head that reads the pooler needs an encoder with one"
                return encoded.pooled, _keys_at(inputs.dropout, offsets[:-1])

    def targets(self, inputs: ModelInputs, name: str) -> tuple[Tensor, Tensor | None]:
        """The targets of the rows that `forward` scores, and their weights where there are any."""
        labels, weights = inputs.targets[name], inputs.targets.get(f"{name}_weights")
        if self.spec.reads != "targets":
            return labels, weights
        rows = labels != IGNORED
        return labels[rows], None if weights is None else weights[rows]


def mean_of_sequences(hidden: Float[Tensor, "tokens hidden"], layout: Layout) -> Float[Tensor, "sequences hidden"]:
    """The mean hidden state of each sequence, in float32."""
    sums = torch.zeros(layout.sequences, hidden.shape[1], device=hidden.device)
    sums = sums.index_add(0, layout.sequence_of_token(hidden.device), hidden.float())
    return sums / torch.from_numpy(layout.lengths).to(hidden.device)[:, None]


def _keys_at(keys: DropoutKeys | None, rows: Tensor) -> DropoutKeys | None:
    return None if keys is None else DropoutKeys(keys.tokens[rows])
