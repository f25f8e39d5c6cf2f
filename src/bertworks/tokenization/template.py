"""Where a tokenizer puts its special tokens, found out by asking it.

A family's rule may be written in many ways (BERT's, RoBERTa's and general templates, or a chain of them); one
probe text encoded with and without special tokens shows the result of any of them, as long as it adds the same
tokens to every text. With the rule at hand, windows are put together from arrays, without encoding anything again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
from tokenizers import Tokenizer as Backend

from bertworks.batch import Array
from bertworks.errors import CheckpointError
from bertworks.tokenization.encoding import SPECIAL, Piece
from bertworks.tokenization.library import explained
from bertworks.tokenization.windows import Selection


@dataclass(frozen=True)
class Slot:
    """A place in the template: special tokens (`text` is -1 and `ids` are they), or a text."""

    text: int
    segment: int
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Template:
    """How one text, or two, become a sequence."""

    slots: tuple[Slot, ...]

    @property
    def special_tokens(self) -> int:
        """Special tokens that it adds to a sequence."""
        return sum(len(slot.ids) for slot in self.slots)

    def fill(self, texts: Sequence[Array], selections: Sequence[Selection]) -> tuple[Array, tuple[Piece, ...]]:
        """The ids of a sequence that reads these selections of these texts, and the pieces that it consists of."""
        ids: list[Array | Sequence[int]] = []
        pieces: list[Piece] = []
        for slot in self.slots:
            if slot.text == SPECIAL:
                ids.append(slot.ids)
                pieces.append(Piece(SPECIAL, slot.segment, len(slot.ids), ()))
            else:
                selection = selections[slot.text]
                ids += [texts[slot.text][start:end] for start, end in selection]
                pieces.append(Piece(slot.text, slot.segment, sum(end - start for start, end in selection), selection))
        return np.concatenate([np.asarray(part, dtype=np.int64) for part in ids]), tuple(pieces)


def derive_template(backend: Backend, pair: bool) -> Template:
    """The template of a tokenizer for one text or for two.

    Raises `CheckpointError` where the tokenizer does anything but add constant tokens around whole texts.
    """
    probe, plain = _probe(backend)
    full = backend.encode(probe, probe) if pair else backend.encode(probe)
    sources = full.sequence_ids if pair else [0] * len(full)
    rows = zip(full.special_tokens_mask, sources, full.type_ids, full.ids, strict=True)
    slots: list[Slot] = []
    for (special, source, segment), run in groupby(rows, key=lambda row: row[:3]):
        ids = tuple(row[3] for row in run)
        if special:
            slots.append(Slot(SPECIAL, segment, ids))
        elif source is None or ids != plain:
            raise CheckpointError("this tokenizer's post-processor does more than add special tokens around whole texts; it cannot be used")
        else:
            slots.append(Slot(source, segment))
    if sorted(slot.text for slot in slots if slot.text != SPECIAL) != list(range(1 + pair)):
        raise CheckpointError("this tokenizer's post-processor does not use each text exactly once")
    return Template(tuple(slots))


def _probe(backend: Backend) -> tuple[str, tuple[int, ...]]:
    """A text that gives at least one token, and its tokens."""
    problem = ""
    for text in _candidates(backend):
        try:
            with explained(CheckpointError):
                ids = tuple(backend.encode(text, add_special_tokens=False).ids)
        except CheckpointError as error:
            problem = f" ({error})"
            continue
        if ids:
            return text, ids
    raise CheckpointError(f"this tokenizer makes no token of any text{problem}; is its vocabulary empty, or without its unknown token?")


def _candidates(backend: Backend) -> Iterator[str]:
    yield from ("a", "1", ".")
    yield from islice(backend.get_vocab(), 100)  # which takes as long as reading the tokenizer, and is next to never needed
