"""The sequences of pretraining, addressed by a number that counts through all epochs."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
from jaxtyping import Bool, Int

from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.copies import changed_copy
from bertworks.data.corpus.plans import COPY, NoPairsError, Plan, SequenceSettings, plan, sequences_in
from bertworks.data.corpus.shards import Documents, Shard
from bertworks.data.sampler import permutation

POOL = 16
"""Shards whose sequences are shuffled together: memory for plans stays bounded in the size of the corpus."""


class Sequences:
    """All sequences of all epochs of a corpus: number 0, 1, 2 … A sequence is a function of its number, of the settings
    and of the corpus.

    An epoch has as many sequences as would hold the corpus's tokens, were all full; it shuffles the shards, then the
    sequences of each pool of shards.
    """

    def __init__(self, shards: Sequence[Shard], settings: SequenceSettings, *, start_id: int, end_id: int) -> None:
        """`start_id` and `end_id` are the ids of the special tokens at the beginning and behind each text."""
        self.shards, self.settings = shards, settings
        self._start, self._end = start_id, end_id
        self._sizes = [len(shard.tokens) for shard in shards]
        self.per_epoch = sum(sequences_in(sum(self._sizes[i] for i in pool), settings) for pool in self._pools(0))
        self._plan = lru_cache(maxsize=2)(self._make_plan)

    def _pools(self, epoch: int) -> list[list[int]]:
        """Numbers of the shards of each pool. The pools of every epoch have the same numbers of shards."""
        if len(self.shards) <= POOL:
            return [list(range(len(self.shards)))]
        order = permutation(self.settings.seed, epoch, len(self.shards)).tolist()
        return [sorted(order[i : i + POOL]) for i in range(0, len(order), POOL)]

    def _make_plan(self, epoch: int, pool: int) -> tuple[Plan, Int[Array, "sequences"]]:
        numbers = self._pools(epoch)[pool]
        made = plan([(i, self.shards[i]) for i in numbers], self.settings, epoch)
        if not len(made) or (self.settings.copies < 1 and (made.labels == COPY).all() and self.settings.pairing == "sentence_order"):
            raise NoPairsError(
                f"no document has two sentences that begin within {self.settings.room} tokens, and their order is what is learnt: "
                "take text with longer documents, each sentence apart (corpus prepare … --lines), or longer sequences"
            )
        return made, permutation(self.settings.seed + 1, epoch * 2**20 + pool, len(made))

    def mean_tokens(self) -> float:
        """Tokens of a sequence in the mean, special tokens included, by those of the first pool of shards, which is drawn by lot. Changed
        copies are taken to be as long as their texts, as they are in the mean."""
        made, _ = self._plan(0, 0)
        pieces = made.parts[:, 2] - made.parts[:, 1] + 1  # each with the special token behind it
        copied = pieces[made.offsets[:-1][made.labels == COPY]]
        return float(pieces.sum() + copied.sum() + len(made)) / max(1, len(made))

    def take(self, numbers: Int[Array, "taken"]) -> tuple[PackedBatch, Bool[Array, "tokens"]]:
        """The sequences of some numbers, packed, and which of their tokens begin a word (special tokens do not).

        Keys are the numbers, `targets["pairing"]` the labels of `Plan`, `segment_ids` 1 in the second text of a pair.
        """
        places = [self._find(number) for number in np.asarray(numbers).tolist()]
        return packed(places, self.shards, self.settings, np.asarray(numbers), start_id=self._start, end_id=self._end)

    def _find(self, number: int) -> tuple[Plan, int]:
        """The plan that sequence `number` is in, and its place there."""
        epoch, within = divmod(number, self.per_epoch)
        sizes = [sequences_in(sum(self._sizes[i] for i in pool), self.settings) for pool in self._pools(epoch)]
        ends = list(accumulate(sizes))
        # the sizes of an epoch's pools may add up to a few sequences more or less than those of the first epoch
        pool = min(int(np.searchsorted(ends, within, side="right")), len(ends) - 1)
        made, order = self._plan(epoch, pool)
        return made, int(order[(within - (ends[pool] - sizes[pool])) % len(order)])


def packed(
    places: Sequence[tuple[Plan, int]],
    shards: Sequence[Documents],
    settings: SequenceSettings,
    keys: Int[Array, "taken"],
    *,
    start_id: int,
    end_id: int,
) -> tuple[PackedBatch, Bool[Array, "tokens"]]:
    """Sequences by their plans and places there, packed, and which of their tokens begin a word (special tokens do not).

    Plans name the documents of their parts by numbers among `shards`; changed copies are drawn by the keys. `targets["pairing"]` are the
    labels of `Plan`, `segment_ids` 1 in the second text of a pair.
    """
    ids: list[Array] = []
    segments: list[Array] = []
    words: list[Array] = []
    labels: list[int] = []
    for (made, at), key in zip(places, keys.tolist(), strict=True):
        labels.append(int(made.labels[at]))
        parts = made.parts[made.offsets[at] : made.offsets[at + 1]].tolist()
        texts = [(shards[shard].tokens[start:stop], shards[shard].word_starts(start, stop)) for shard, start, stop in parts]
        if labels[-1] == COPY:
            room = settings.room - len(texts[0][0])
            texts.append(changed_copy(*texts[0], shards[parts[0][0]], at_most=room, seed=settings.seed, number=key))
        special = np.zeros(1, dtype=bool)
        ids.append(np.concatenate([[start_id], *(piece for tokens, _ in texts for piece in (tokens, [end_id]))]))
        words.append(np.concatenate([special, *(piece for _, begins in texts for piece in (begins, special))]))
        second = len(ids[-1]) - len(texts[0][0]) - 2 if settings.pairing != "none" else 0
        segments.append(np.repeat([0, 1], [len(ids[-1]) - second, second]))
    batch = PackedBatch.from_sequences(ids, segments, keys=keys, targets={"pairing": np.array(labels, dtype=np.int64)})
    return batch, np.concatenate(words) if words else np.zeros(0, dtype=bool)


def every_sequence(
    documents: Documents, settings: SequenceSettings, *, number: int, first_key: int, start_id: int, end_id: int, at_once: int
) -> Iterator[tuple[PackedBatch, Bool[Array, "tokens"]]]:
    """All sequences of some documents once, in the order of the text, at most `at_once` packed together; nothing is shuffled or left
    for another epoch.

    Lengths and pairs are drawn anew for every `number`. Keys count on from `first_key`.
    """
    made = plan([(0, documents)], settings, number)
    for start in range(0, len(made), at_once):
        some = range(start, min(start + at_once, len(made)))
        keys = first_key + np.array(some, dtype=np.int64)
        yield packed([(made, at) for at in some], [documents], settings, keys, start_id=start_id, end_id=end_id)
