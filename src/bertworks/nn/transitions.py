"""Learnt scores of tags that follow each other: the second half of a linear-chain conditional random field (Lafferty et al. 2001)
on top of an encoder (Lample et al. 2016, section 2.2), whose first half is the scores of a head."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Transitions(nn.Module):
    """A score for each tag after each other, at the beginning and at the end of a sentence.

    They are biases, one for each pair of neighbours: they begin at 0 and are not decayed.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs, outputs))
        """Of the tag of the column after that of the row."""
        self.first_bias = nn.Parameter(torch.zeros(outputs))
        self.last_bias = nn.Parameter(torch.zeros(outputs))

    def table(self) -> Float[Tensor, "labels_and_ends labels"]:
        """All of them: a row for each tag that may stand before, then that of the beginning, then that of the end."""
        return torch.cat([self.bias, self.first_bias[None], self.last_bias[None]])
