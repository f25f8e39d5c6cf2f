"""What a corpus consists of, and what became of the text that it was made from."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from bertworks.data.corpus.encoded import EncodedDocuments
from bertworks.data.text_stream import TextCounts


@dataclass(frozen=True)
class Totals:
    """What some documents consist of."""

    documents: int = 0
    sentences: int = 0
    words: int = 0
    """Words as the tokenizer sees them; for most, punctuation marks are words."""
    tokens: int = 0
    unknown_tokens: int = 0
    """Tokens for what the vocabulary does not know ([UNK])."""
    special_tokens: int = 0
    """Special tokens that the text itself holds: someone wrote [MASK]."""
    single_sentences: int = 0
    """Documents of one sentence; they have no pairs of sentences."""

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})

    @classmethod
    def of(cls, documents: EncodedDocuments, unknown_id: int | None, special_ids: Collection[int]) -> "Totals":
        """Counts documents."""
        special = [number for number in special_ids if number != unknown_id]
        return cls(
            documents=len(documents),
            sentences=len(documents.sentence_lengths),
            words=int(documents.word_starts.sum()),
            tokens=len(documents.tokens),
            unknown_tokens=0 if unknown_id is None else int(np.count_nonzero(documents.tokens == unknown_id)),
            special_tokens=int(np.isin(documents.tokens, special).sum()),
            single_sentences=int(np.count_nonzero(documents.document_lengths == 1)),
        )


@dataclass
class CorpusAccounting:
    """What became of the documents that were read."""

    documents: int = 0
    """Documents that were read."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Documents that are not in the corpus, by reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """What else happened to the text, by kind."""
    reading: TextCounts = field(default_factory=TextCounts)
    """What was read of the files, and what was not."""

    def __add__(self, other: "CorpusAccounting") -> "CorpusAccounting":
        return CorpusAccounting(
            self.documents + other.documents, self.dropped + other.dropped, self.notes + other.notes, self.reading + other.reading
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, in an order that does not depend on what was met first."""
        counters = {"dropped": _sorted(self.dropped), "notes": _sorted(self.notes)}
        return {"documents": self.documents, **counters, "reading": {n: _sorted(v) for n, v in self.reading.to_dict().items()}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CorpusAccounting":
        reading: dict[str, Any] = {name: Counter(value) if isinstance(value, dict) else value for name, value in values["reading"].items()}
        return cls(values["documents"], Counter(values["dropped"]), Counter(values["notes"]), TextCounts(**reading))

    def lines(self) -> list[str]:
        """What a person should know; lines about losses appear only where there are any."""
        out = self.reading.lines()
        out += [f"{count:,} documents dropped: {reason}" for reason, count in self.dropped.items()]
        return out + [f"{count:,} {kind}" for kind, count in self.notes.items()]


def _sorted(value: Any) -> Any:
    return dict(sorted(value.items())) if isinstance(value, dict) else value
