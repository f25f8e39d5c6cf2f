"""Labels of words: named entities, parts of speech, whatever a word or a run of words can be.

What is labelled are words: those of the data where a sentence comes as a list of words, those of `tokenization/words.py`
where it comes as a text. The first piece of a word carries its label, as is usual (Devlin et al. 2019, section 5.3); a
model that learnt from lists of words takes the same for words in a text ("Jean-Claude" or "Jean", "-", "Claude"), as far as
the data show (`joiners`). A sentence that is longer than the model reads is cut into overlapping windows: in training a word
weighs 1 in all, and it is predicted from the window in which it has most context. Tags are decided for the whole sentence at
once, so that they keep the rules of their scheme (`tag_paths.py`).

With `transitions` a model learns as well which tags follow each other, by the probability of whole sequences of tags
(`nn/tag_sequences.py`). A long sentence is one sequence all the same: each word is scored in the window in which it has most context,
in training too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.tag_schemes import NAMELESS, OUTSIDE, Scheme, Span, all_tags, checked_scheme, parse, spans_of, tags_of
from bertworks.errors import DataError, SettingsError, nearest
from bertworks.evaluation.spans import SpanMetrics
from bertworks.tasks.sentence_reading import Reading, Sentence, Truth, read, targets_in_chains, targets_of, touched
from bertworks.tasks.stored_settings import from_stored
from bertworks.tasks.tag_paths import Lattice, Steps, best_paths, lattices, log_probabilities
from bertworks.tasks.task import SMOKE_TEXTS, TRANSITIONS, Scores, label_names
from bertworks.tokenization import Encoding, Overflow, Tokenizer

HEAD = "tags"
USUAL_JOINERS = "'.’"
"""For models whose training data are not known: names and abbreviations stay whole."""
_CHUNK = 1000


@dataclass(frozen=True)
class Entity:
    """A named entity, or another labelled stretch of a text: whole words of the original."""

    text: str
    label: str
    start: int
    """Its first character in the text …"""
    end: int
    """… and the one after its last."""
    score: float
    """The probability, by the model, that exactly these words are an entity with this label: of all sequences of tags that
    the scheme allows, the share of those that say so."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class Tagging:
    """The settings of one labelling of words, and its text side."""

    labels: tuple[str, ...]
    """Tags in the order of the head's outputs."""
    scheme: Scheme = "IOB2"
    """What the tags mean (`data/tag_schemes.py`)."""
    max_tokens: int = 512
    """Longest sequence, special tokens included."""
    overflow: Overflow = "window"
    stride: int | None = None
    """Overlap of neighbouring windows in tokens; None is a quarter of the room."""

    joiners: str = ""
    """Characters that do not end a word in a text, where they stand within one: told by words of the training data. Empty where
    labels may begin and end anywhere, as in data that are texts."""
    transitions: bool = False
    """Scores of tags that follow each other are learnt, too: a linear-chain conditional random field (Lafferty et al. 2001)."""

    name = "tagging"
    imitation = "divergence"

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return {HEAD: ("tag_sequence" if self.transitions else "token_classification", len(self.labels))}

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        if self.transitions:
            return {HEAD: ("tag_sequences", {"rules": self.steps.rules.astype(np.float32)})}
        return {HEAD: ("cross_entropy", {})}

    @property
    def types(self) -> tuple[str, ...]:
        """The names of entities, or of the labels of words."""
        if self.scheme == "words":
            return self.labels
        return tuple(dict.fromkeys(parse(tag, self.scheme).type for tag in self.labels if tag != OUTSIDE))

    @cached_property
    def steps(self) -> Steps:
        return Steps(self.labels, self.scheme)

    def with_transitions(self, scores: Scores) -> Self:
        """The same task, whose tags are decided by the transitions as well that a model gives with its `scores`, if it does. They are
        no setting, but weights of the model."""
        if f"{HEAD}{TRANSITIONS}" not in scores:
            return self
        task = replace(self)
        vars(task)["steps"] = replace(self.steps, learnt=scores[f"{HEAD}{TRANSITIONS}"])
        return task

    # ---- from words to a packed data set

    def encode(
        self, sentences: Sequence[Sentence], tokenizer: Tokenizer, truth: Sequence[Truth] | None = None, *, first_row: int = 0
    ) -> tuple[PackedBatch, list[Reading], Accounting]:
        """The whole data set as one packed batch, row `i` as group `i`, and how each row is read. Targets stand in the batch
        where `truth` is given; `first_row` is the number of the first row in messages.

        Raises `DataError` where a text is none, a tag is unknown, or a row is too long and `overflow` is "error".
        """
        ids: list[Array] = []
        segments: list[Array] = []
        groups: list[int] = []
        parts: dict[str, list[Array]] = {HEAD: [], f"{HEAD}_weights": [], f"{HEAD}_words": []}
        readings: list[Reading] = []
        seen = Accounting(rows=len(sentences))
        index = {tag: i for i, tag in enumerate(self.labels)}
        begin = 0
        for start in range(0, len(sentences), _CHUNK):
            chunk = sentences[start : start + _CHUNK]
            rows = tokenizer.encode_batch(
                [sentence.text for sentence in chunk],
                max_tokens=self.max_tokens,
                overflow=self.overflow,
                stride=self.stride,
                first_row=first_row + start,
            )
            for row, (sentence, windows) in enumerate(zip(chunk, rows, strict=True), start):
                reading, copies = read(sentence, windows, begin, self.joiners)
                readings.append(reading)
                ids += [window.ids for window in windows]
                segments += [window.segment_ids for window in windows]
                groups += [row] * len(windows)
                tokens = sum(len(window) for window in windows)
                if truth is not None:
                    wanted = [self._index(tag, index, first_row + row) for tag in self._tags_read(reading, truth[row])]
                    labels = np.array(wanted, dtype=np.int64)
                    if self.transitions:
                        of_row = targets_in_chains(reading, labels, begin, [len(window) for window in windows])
                    else:
                        of_row = targets_of(reading, copies, labels, begin, tokens)
                    for name, values in of_row.items():
                        parts[f"{HEAD}{name}"].append(values)
                begin += tokens
                _count(seen, windows)
        numbers = np.array(groups, dtype=np.int64)
        window = np.arange(len(numbers)) - np.searchsorted(numbers, numbers)
        targets = {} if truth is None else {name: np.concatenate(values) for name, values in parts.items() if values}
        batch = PackedBatch.from_sequences(ids, segments, groups=numbers, keys=(numbers << 20) | window, token_targets=targets)
        return batch, readings, seen

    def _index(self, tag: str, index: Mapping[str, int], row: int) -> int:
        if tag not in index:
            known = f"{', '.join(self.labels[:8])}{' …' if len(index) > 8 else ''}"
            raise DataError(
                f"row {row}: the tag {tag!r} is none of the {len(index)} tags of the model ({known}).{nearest(tag, self.labels)}"
            )
        return index[tag]

    def _tags_read(self, reading: Reading, truth: Truth) -> list[str]:
        """The tag of each word that is read."""
        if truth.tags is None:
            return tags_of(touched(reading, truth.spans or ()), len(reading.places), self.scheme)
        return [truth.tags[number] for number in reading.numbers]

    def lost(self, reading: Reading, truth: Truth) -> list[Span]:
        """The spans that a model which learnt this row perfectly would not give back: decode(encode(truth)) lacks them.

        Words of which the tokenizer makes nothing, words that are not read, and spans whose borders lie within a word or
        that overlap another are the reasons. The spans count in words, or in characters, as the truth does.
        """
        tags = self._tags_read(reading, truth)
        if truth.tags is None:
            kept = set(self.character_spans(reading, tags))
            return [span for span in truth.spans or () if span not in kept]
        again = set(spans_of(self.word_tags(reading, tags), self.scheme))
        return [span for span in spans_of(truth.tags, self.scheme) if span not in again]

    # ---- from scores to answers

    def word_scores(self, readings: Sequence[Reading], scores: Float[Array, "tokens labels"]) -> list[Float[Array, "read labels"]]:
        """The logarithms of the probabilities of each tag of each word that is read, by the scores of the batch's tokens."""
        return [log_probabilities(scores[reading.places]) for reading in readings]

    def paths(self, scores: Sequence[Float[Array, "read labels"]]) -> list[list[str]]:
        """The tag of each word that is read of each row: the best sequence that the scheme allows."""
        return [[self.labels[number] for number in path.tolist()] for path in best_paths(scores, self.steps)]

    def lattices(self, scores: Sequence[Float[Array, "read labels"]]) -> list[Lattice]:
        """The probabilities of all allowed tags of each row."""
        return lattices(scores, self.steps)

    def word_tags(self, reading: Reading, tags: Sequence[str]) -> list[str]:
        """The tags of all words of a row, by those of the words that are read. A word that is not gets "O", unless an entity goes
        on around it; where tags are plain labels, the first label of the model."""
        if self.scheme == "words":
            found = dict(zip(reading.numbers.tolist(), tags, strict=True))
            unread = OUTSIDE if OUTSIDE in self.labels else self.labels[0]
            return [found.get(number, unread) for number in range(reading.words)]
        return tags_of(self.word_spans(reading, tags), reading.words, self.scheme)

    def word_spans(self, reading: Reading, tags: Sequence[str]) -> list[Span]:
        """The spans of words of a row, by the tags of those that are read."""
        of = reading.numbers.tolist()
        return [Span(of[start], of[end - 1] + 1, label) for start, end, label in spans_of(tags, self.scheme)]

    def character_spans(self, reading: Reading, tags: Sequence[str]) -> list[Span]:
        """The same as spans of characters; words outside of all are none."""
        at = reading.spans.tolist()
        return [Span(at[a][0], at[b - 1][1], label) for a, b, label in spans_of(tags, self.scheme) if label != OUTSIDE]

    def entities(self, readings: Sequence[Reading], scores: Sequence[Float[Array, "read labels"]]) -> list[list[Entity]]:
        """The entities of each row, in their order, with spans of the row's text."""
        out = []
        for reading, tags, lattice in zip(readings, self.paths(scores), self.lattices(scores), strict=True):
            spans = [span for span in spans_of(tags, self.scheme) if span.label != OUTSIDE]
            found = []
            for span, (start, end, label) in zip(spans, self.character_spans(reading, tags), strict=True):
                text = reading.sentence.text[start:end]
                found.append(Entity(text, label or NAMELESS, start, end, lattice.span_probability(span)))
            out.append(found)
        return out

    # ---- metrics and settings

    def metrics(self, replicates: int = 0, types: Sequence[str] | None = None) -> SpanMetrics:
        """Empty metrics, also of `types` that the model does not know; with `replicates`, they give confidence intervals."""
        return SpanMetrics(types or self.types, self.scheme, replicates=replicates)

    def update_metrics(self, metrics: SpanMetrics, batch: PackedBatch, scores: Scores) -> None:
        """Adds whole rows, by their words: the words that have no piece are not in the batch, and so are not counted."""
        words = batch.token_targets[f"{HEAD}_words"]
        places = np.flatnonzero(words >= 0)
        group = np.repeat(batch.groups, batch.lengths)[places]
        order = np.lexsort((words[places], group))
        edges = np.flatnonzero(np.diff(group[order])) + 1
        rows = np.split(places[order], edges) if len(places) else []
        found = self.with_transitions(scores).paths([log_probabilities(scores[HEAD][row]) for row in rows])
        targets = batch.token_targets[HEAD][:, 0] if self.transitions else batch.token_targets[HEAD]
        metrics.update([[self.labels[i] for i in targets[row]] for row in rows], found)

    def settings(self) -> dict[str, Any]:
        stored = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return stored if self.transitions else {k: v for k, v in stored.items() if k != "transitions"}

    def config_changes(self) -> dict[str, Any]:
        """Tags as `transformers` reads them."""
        return label_names(self.labels)

    def check_room(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_batch([], max_tokens=self.max_tokens, overflow=self.overflow, stride=self.stride)

    def smoke_inputs(self) -> list[Any]:
        return list(SMOKE_TEXTS)

    def smoke_outputs(self, inputs: list[Any], tokenizer: Tokenizer, score: Callable[[PackedBatch], Scores]) -> list[Any]:
        """The probability of each tag, before any rule of the scheme: the mean over the words of each text. Of a model with
        transitions, by them and the rules."""
        for value in inputs:
            if not isinstance(value, str):
                raise DataError(f"a case's input is {value!r:.60}, not a text")
        task = Tagging(self.labels, self.scheme, self.max_tokens, joiners=self.joiners)
        batch, readings, _ = task.encode([Sentence(text) for text in inputs], tokenizer)
        scores = score(batch)
        found = task.word_scores(readings, scores[HEAD])
        learnt = task.with_transitions(scores).lattices(found) if self.transitions else None
        probabilities = [np.exp(values) for values in found] if learnt is None else [lattice.marginals() for lattice in learnt]
        return [values.mean(axis=0).tolist() if len(values) else [0.0] * len(self.labels) for values in probabilities]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        task = from_stored(cls, settings, "labels of words")
        checked_scheme(task.scheme)
        if not task.labels or len(set(task.labels)) < len(task.labels):
            raise SettingsError("labels of words: labels must be at least one, and none may stand twice")
        return task


def infer(truth: Iterable[Truth], scheme: Scheme, **options: Any) -> Tagging:
    """The task that labelled rows pose: all tags that occur, or all that the scheme has for the types of spans.

    Raises `DataError` where there is nothing to tell apart.
    """
    seen: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for row in truth:
        seen.update(row.tags or ())
        types.update(span.label for span in row.spans or ())
    known = set(seen) | set(all_tags(types, scheme) if types else ())
    if scheme != "words":
        known.add(OUTSIDE)
    if len(known) < 2:
        what = f"the tag {next(iter(seen), OUTSIDE)!r}" if seen else "no entity"
        raise DataError(f"all words have {what}: there is nothing to learn. Look at the data, or name another column of tags")
    return Tagging(tuple(sorted(known, key=lambda tag: _order(tag, scheme))), scheme, **options)


def _order(tag: str, scheme: Scheme) -> tuple[bool, str, str]:
    """ "O" first, then by type."""
    return tag != OUTSIDE, parse(tag, scheme).type, tag


def _count(seen: Accounting, windows: Sequence[Encoding]) -> None:
    seen.sequences += len(windows)
    seen.tokens += sum(len(window) for window in windows)
    seen.unknown_tokens += sum(window.unknown_tokens for window in windows)
    seen.windowed_rows += len(windows) > 1
    lost = windows[0].truncated_tokens
    seen.truncated_rows += lost > 0
    seen.truncated_tokens += lost
