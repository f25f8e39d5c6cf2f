"""Segments: the runs of documents that make one shard each, and what is written down of each that is finished.

A segment ends with the document that fills its shard. So where it ends is decided by the text alone, and a preparation that
was interrupted goes on behind the last segment that was written down.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt64

from bertworks.batch import Array
from bertworks.checkpoints.files import read_json, write_json
from bertworks.data.corpus.duplicates import Seen
from bertworks.data.corpus.encoded import EncodedDocuments
from bertworks.data.corpus.encoder import EncodedBatch, RawDocument
from bertworks.data.corpus.recipe import InputFile, documents_of, sha256_of
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.data.corpus.totals import CorpusAccounting, Totals
from bertworks.data.text_stream import TextCounts
from bertworks.errors import CheckpointError

_BATCH = 1 << 18
"""Characters that are handed out at once."""


class Position(NamedTuple):
    """The next document to be read."""

    file: int = 0
    document: int = 0
    """Its number in the file."""
    ordinal: int = 0
    """Its number among all documents that are read."""


class Batch(NamedTuple):
    """Documents as they were read, and the files that ended among them."""

    documents: list[RawDocument]
    ended: list[tuple[int, TextCounts]]
    """For each file that ended here, how many documents stand before that, and what was counted in the file."""


def batches(files: tuple[InputFile, ...], settings: PreparationSettings, start: Position, watch: Any) -> Iterator[Batch]:
    """The documents of all files from `start` on. `watch` is called with the bytes read so far of all files."""
    held, ended, size = list[RawDocument](), list[tuple[int, TextCounts]](), 0
    before = sum(file.bytes for file in files[: start.file])
    for number, file in enumerate(files[start.file :], start.file):
        counts = TextCounts()
        for document in documents_of(file.path, settings, counts, progress=lambda read, _, before=before: watch(before + read)):
            if number == start.file and document.number < start.document:
                continue
            held.append(RawDocument(document.text, number, document.number, file.style))
            size += len(document.text)
            if size >= _BATCH:
                yield Batch(held, ended)
                held, ended, size = [], [], 0
        ended.append((len(held), counts))
        before += file.bytes
        watch(before)
    yield Batch(held, ended)


@dataclass
class Segment:
    """A run of documents. Those for training fill its shard; those held out are put together with others later."""

    number: int
    end: Position
    """Where the next segment begins."""
    train: list[EncodedDocuments] = field(default_factory=list)
    held_out: list[EncodedDocuments] = field(default_factory=list)
    tokens: int = 0
    """Tokens for training."""
    accounting: CorpusAccounting = field(default_factory=CorpusAccounting)
    last: bool = False
    """Whether the text ends here."""


EMPTY, DUPLICATE, NEAR_DUPLICATE = "without a token", "the same text as an earlier one", "nearly the same text as an earlier one"
_TRAIN, _HELD_OUT, _DROPPED = 0, 1, 2


class Segmenter:
    """Sorts documents out and puts them together to segments."""

    def __init__(self, settings: PreparationSettings, near: Int[Array, "documents"] | None) -> None:
        """`near` are the numbers of the near duplicates among all documents that are read, ascending."""
        self._settings = settings
        self._near = near
        self._seen = Seen() if settings.deduplicate == "exact" else None

    def remember(self, hashes: UInt64[Array, "documents"]) -> None:
        """Takes note of documents of earlier segments, so that their duplicates are known."""
        if self._seen is not None:
            self._seen.add(hashes)

    def segments(self, encoded: Iterable[tuple[Batch, EncodedBatch]], number: int, start: Position) -> Iterator[Segment]:
        """The segments from number `number` on, which begins at `start`. The last may be empty."""
        segment, at = Segment(number, start), start
        for batch, result in encoded:
            documents = result.documents
            fates, dropped = self._fates(documents, at.ordinal)
            tokens = np.cumsum(np.where(fates == _TRAIN, documents.document_tokens, 0))
            done, counted = 0, 0
            while done < len(documents) or counted < len(batch.ended):
                room = self._settings.shard_tokens - segment.tokens + (int(tokens[done - 1]) if done else 0)
                stop = min(int(np.searchsorted(tokens, room)) + 1, len(documents))
                full = stop > done and int(tokens[stop - 1]) >= room
                self._add(segment, result, fates, dropped, done, stop)
                while counted < len(batch.ended) and (batch.ended[counted][0] < stop or not full):
                    segment.accounting.reading += batch.ended[counted][1]
                    counted += 1
                if stop > done:
                    last = batch.documents[stop - 1]
                    segment.end = Position(last.source, last.number + 1, at.ordinal + stop)
                done = stop
                if full:
                    yield segment
                    segment = Segment(segment.number + 1, segment.end)
            at = at._replace(ordinal=at.ordinal + len(documents))
        segment.last = True
        yield segment

    def _fates(self, documents: EncodedDocuments, ordinal: int) -> tuple[Int[Array, "documents"], dict[str, Bool[Array, "documents"]]]:
        """What each document is for, and which are dropped, by reason."""
        empty = documents.document_lengths == 0
        dropped = {EMPTY: empty}
        if self._seen is not None:
            new: Bool[Array, "documents"] = np.zeros(len(documents), dtype=bool)
            new[~empty] = self._seen.add(documents.hashes[~empty])
            dropped[DUPLICATE] = ~empty & ~new
        if self._near is not None:
            first, last = np.searchsorted(self._near, [ordinal, ordinal + len(documents)])
            near: Bool[Array, "documents"] = np.zeros(len(documents), dtype=bool)
            near[self._near[first:last] - ordinal] = True
            dropped[NEAR_DUPLICATE] = ~empty & near
        fates = np.where(documents.hashes < np.uint64(self._settings.held_out * 2.0**64), _HELD_OUT, _TRAIN)
        for some in dropped.values():
            fates[some] = _DROPPED
        return fates, dropped

    def _add(
        self, segment: Segment, result: EncodedBatch, fates: Array, dropped: dict[str, Bool[Array, "documents"]], start: int, stop: int
    ) -> None:
        """Adds documents `start` to `stop` of a batch to a segment."""
        some = result.documents.between(start, stop)
        for fate, parts in ((_TRAIN, segment.train), (_HELD_OUT, segment.held_out)):
            chosen = some.take(fates[start:stop] == fate)
            if len(chosen):
                parts.append(chosen)
                segment.tokens += len(chosen.tokens) if fate == _TRAIN else 0
        lost = Counter({reason: int(count) for reason, mask in dropped.items() if (count := mask[start:stop].sum())})
        segment.accounting += CorpusAccounting(stop - start, lost, result.counts(start, stop))


@dataclass(frozen=True)
class WrittenShard:
    """A shard on the disk."""

    file: str
    bytes: int
    sha256: str
    totals: Totals

    def is_whole(self, folder: Path) -> bool:
        """Whether the file is what was written, to the byte."""
        path = folder / self.file
        try:
            return path.stat().st_size == self.bytes and sha256_of(path) == self.sha256
        except OSError:
            return False

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "WrittenShard":
        return cls(**{**values, "totals": Totals(**values["totals"])})


@dataclass(frozen=True)
class SegmentRecord:
    """What is written down of a finished segment."""

    key: str
    """The recipe's."""
    train: WrittenShard | None
    held_out: WrittenShard | None
    accounting: CorpusAccounting
    end: Position
    last: bool

    def write(self, path: Path) -> None:
        """Writes it; from then on the segment is finished."""
        values = {**asdict(self), "accounting": self.accounting.to_dict(), "end": self.end._asdict()}
        write_json(path, values)

    @classmethod
    def read(cls, path: Path, folder: Path, key: str) -> "SegmentRecord | None":
        """What `write` wrote, if it belongs to the recipe with that key, and the shards in `folder` are what it says."""
        try:
            values = read_json(path)
            shards = [None if values[name] is None else WrittenShard.from_dict(values[name]) for name in ("train", "held_out")]
            accounting = CorpusAccounting.from_dict(values["accounting"])
            record = cls(values["key"], shards[0], shards[1], accounting, Position(**values["end"]), values["last"])
        except (CheckpointError, KeyError, TypeError, AttributeError):
            return None
        sound = record.key == key and all(shard is None or shard.is_whole(folder) for shard in shards)
        return record if sound else None
