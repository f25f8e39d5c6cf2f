"""The loss of whole sequences of tags, whose neighbours have scores too: a linear-chain conditional random field.

A word that is read in another window than the word before or after it has that word's right tag as its neighbour: each window loses
the tags of its own words, given those around them. So a window can be learnt from without the rest of its document, and a document
without windows loses the whole sequence, as in Lafferty et al. 2001 (blocks given what is around them: Besag 1975, a pseudo-likelihood;
Lindsay 1988, composite likelihoods).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bertworks.batch import ragged_positions
from bertworks.nn.heads import IGNORED
from bertworks.nn.layout import Layout
from bertworks.nn.transitions import Transitions

TAG_SEQUENCES = "tag_sequences"
"""What tasks call this loss."""


@dataclass(frozen=True)
class TagSequences:
    """The negative logarithm of the probability of the right tags of each sentence, among all that the rules allow.

    Labels are `[tokens, 3]`, in the columns the tag of a word that is scored at the token (else `IGNORED`), and what stands before
    and after the word: `IGNORED` for the next word of the same sequence, -1 where the sentence begins or ends, or the tag of a word
    that is read elsewhere. `rules` are added to the transitions, `[labels + 2, labels]` as `Transitions.table`: 0, or a large
    negative number for what the scheme of the tags forbids. Right tags that break the rules are held against those that do not.

    A word weighs 1, so that without transitions and rules this is the cross-entropy of words.
    """

    transitions: Transitions
    rules: Float[Tensor, "labels_and_ends labels"]

    def sum(
        self,
        scores: Float[Tensor, "tokens labels"],
        labels: Int[Tensor, "tokens 3"],
        weights: Tensor | None = None,
        layout: Layout | None = None,
    ) -> Float[Tensor, ""]:
        assert weights is None, "words in a sequence all weigh the same"
        words = (labels[:, 0] != IGNORED).nonzero()[:, 0]
        learnt = self.transitions.table()
        if not len(words):
            return (scores.sum() + learnt.sum()) * 0
        # a word's scores count by their differences only: as probabilities they keep sums over long sentences small
        emissions = scores[words].log_softmax(1)
        tag, before, after = labels[words].unbind(1)
        starts, ends = (before != IGNORED).nonzero()[:, 0], (after != IGNORED).nonzero()[:, 0]
        outputs = scores.shape[1]
        before, after = (torch.where(near < 0, outputs, near) for near in (before[starts], after[ends]))
        totals = _log_partition(emissions, starts, ends, before, after, learnt + self.rules)

        beneath = tag.roll(1).index_put((starts,), before)
        own = emissions.gather(1, tag[:, None])[:, 0] + learnt[beneath, tag]
        broken = self.rules[beneath, tag] < 0
        piece = torch.zeros_like(tag).index_fill(0, starts, 1).cumsum(0) - 1
        right = torch.zeros_like(totals).index_add(0, piece, own) + _leaving(learnt)[after, tag[ends]]
        breaks = torch.zeros_like(totals).index_add(0, piece, broken.to(totals)) + (_leaving(self.rules)[after, tag[ends]] < 0) > 0
        return (torch.where(breaks, torch.logaddexp(totals, right), totals) - right).sum()

    def count(self, labels: Int[Tensor, "tokens 3"], weights: Tensor | None = None, layout: Layout | None = None) -> float:
        return float((labels[:, 0] != IGNORED).sum())


def _log_partition(
    emissions: Float[Tensor, "words labels"],
    starts: Int[Tensor, "pieces"],
    ends: Int[Tensor, "pieces"],
    before: Int[Tensor, "pieces"],
    after: Int[Tensor, "pieces"],
    table: Float[Tensor, "labels_and_ends labels"],
) -> Float[Tensor, "pieces"]:
    """The logarithm of the sum, over all sequences of tags, of the exponential of their scores (Rabiner 1989, section III A).

    All pieces go on by a word at a time, the longest first, so that those with a word left are the first ones: there is no padding.
    """
    first, sizes = starts.cpu().numpy(), (ends - starts + 1).cpu().numpy()
    longest_first = np.argsort(-sizes, kind="stable")
    going_on = len(sizes) - np.cumsum(np.bincount(sizes))[:-1]
    order = first[longest_first][ragged_positions(going_on)] + np.repeat(np.arange(len(going_on)), going_on)
    by_place = emissions.index_select(0, torch.from_numpy(order).to(emissions.device)).split(going_on.tolist())
    sorted_by_size = torch.from_numpy(longest_first).to(emissions.device)

    between = table[:-2]
    ahead, ended = table[before[sorted_by_size]] + by_place[0], list[Tensor]()
    for own in by_place[1:]:
        if len(own) < len(ahead):
            ended.append(ahead[len(own) :])
        ahead = torch.logsumexp(ahead[: len(own), :, None] + between, dim=1) + own
    ended.append(ahead)
    totals = (torch.cat(ended[::-1]) + _leaving(table)[after[sorted_by_size]]).logsumexp(1)
    return torch.zeros_like(totals).index_copy(0, sorted_by_size, totals)


def _leaving(table: Float[Tensor, "labels_and_ends labels"]) -> Float[Tensor, "labels_and_end labels"]:
    """The other way about: a row for each tag that may stand after, then that of the end; columns for the tag before."""
    return torch.cat([table[:-2].T, table[-1:]])
