"""What labelled words are like, and what would spoil a training on them."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bertworks.data.inspection import Finding, Inspection, TextRows, inspect_rows
from bertworks.data.inspection.findings import by_level
from bertworks.data.inspection.rows import FEW, listing, of_all
from bertworks.data.tag_schemes import faults
from bertworks.data.tagged import TaggedData
from bertworks.estimators.entities.data_settings import TaggedRows, as_key, count_labels
from bertworks.estimators.entities.recognizer import find_losses
from bertworks.estimators.entities.rows import readable
from bertworks.tasks.tagging import infer
from bertworks.tokenization import Tokenizer

_RARE = 5
"""Entities below which a type is too rare to be learnt or measured."""
_AROUND = 2
"""Words that are shown beside a faulty tag."""
_CHUNK = 1000


def inspect_tagged(
    rows: TaggedRows,
    against: TaggedRows | None = None,
    *,
    tokenizer: Tokenizer | None = None,
    limit: int | None = None,
    model_name: str = "the model",
    data: TaggedData | None = None,
) -> Inspection:
    """Looks through labelled sentences: how often each label occurs; tags that break the rules of their scheme; sentences that
    stand there twice, with other labels, or in `against` too; labels that a model cannot give back; words that the tokenizer
    does not know; lengths."""
    texts = _text_rows(rows)
    other = None if against is None else _text_rows(against)
    columns = {} if data is None else {"text": data.text_column, "label": data.label_column}
    found = inspect_rows(
        texts,
        other,
        tokenizer=tokenizer,
        limit=limit,
        model_name=model_name,
        columns=columns,
        accounting=None if data is None else data.accounting,
    )
    counts = count_labels(rows.labels, rows.sentences, rows.scheme)
    what = "words" if rows.scheme == "words" else "entities"
    more = [*_labels(rows, against, counts, what), *_faults(rows, texts), *_contradictions(rows, texts)]
    if tokenizer is not None:
        more += [*_lost(rows, texts, tokenizer), *_unknown_words(rows, texts, tokenizer, model_name)]
    return replace(found, labels=dict(counts.most_common()), labels_count=what, findings=by_level([*more, *found.findings]))


def _text_rows(rows: TaggedRows) -> TextRows:
    return TextRows.of([as_key(sentence) for sentence in rows.sentences], numbers=rows.numbers, name=rows.name)


def _labels(rows: TaggedRows, against: TaggedRows | None, counts: Counter[str], what: str) -> Iterator[Finding]:
    if not counts or (len(counts) < 2 and what == "words"):
        yield Finding(
            "error",
            "Nothing to learn",
            f"There {'is one label only' if counts else f'are no {what}'} in {len(rows.sentences):,} rows. Choose another column of labels "
            "with label=… (--label …), or look at how they are written.",
        )
        return
    rare = [f"{name} ({count})" for name, count in counts.items() if count < _RARE]
    if rare:
        message = f"Of {len(rare)} labels there are fewer than {_RARE} {what}, too few to be learnt or measured: {listing(rare, 8)}."
        yield Finding("warning", "Rare labels", message)
    if against is not None:
        there = count_labels(against.labels, against.sentences, rows.scheme)
        for name, only in (
            (against.name, [label for label in there if label not in counts]),
            ("these data", [x for x in counts if x not in there]),
        ):
            if only:
                yield Finding("warning", f"Labels of {name} only", f"{listing(only, 8)}: a model learns no label that it does not see.")


def _faults(rows: TaggedRows, texts: TextRows) -> Iterator[Finding]:
    """Tags that must not stand where they stand."""
    places, examples = [], []
    for place, (sentence, tags) in enumerate(zip(rows.sentences, rows.labels, strict=True)):
        wrong = [] if isinstance(sentence, str) else faults(tags, rows.scheme)
        if wrong:
            places.append(place)
            first, last = max(0, wrong[0] - _AROUND), wrong[0] + _AROUND + 1
            shown = " ".join(f"{word}/{tag}" for word, tag in zip(sentence[first:last], tags[first:last], strict=True))
            examples.append(f"row {rows.numbers[place]}: {shown}")
    if places:
        yield texts.finding(
            "warning" if len(places) > FEW * len(texts) else "note",
            f"Tags that break the rules of {rows.scheme}",
            f"{of_all(len(places), len(texts))} have a tag that must not follow the one before it. They are read as conlleval reads them; "
            "the strict convention does not count such entities. Mend them, or name another scheme (--scheme).",
            places,
            examples,
        )


def _contradictions(rows: TaggedRows, texts: TextRows) -> Iterator[Finding]:
    """Sentences that are labelled in two ways."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for place, sentence in enumerate(rows.sentences):
        groups[as_key(sentence)].append(place)
    contrary = [group for group in groups.values() if len({str(rows.labels[place]) for place in group}) > 1]
    if contrary:
        positions = sorted(place for group in contrary for place in group)
        yield texts.finding(
            "warning" if len(positions) > FEW * len(texts) else "note",
            "Same sentence, different labels",
            f"{of_all(len(positions), len(texts))} have the words of another row but not its labels: at most one of them can be right.",
            positions,
            (texts.group(group) for group in contrary),
        )


def _lost(rows: TaggedRows, texts: TextRows, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Labels that decode(encode(labels)) lacks, for texts of any length."""
    truth = rows.truth
    task = infer(truth, rows.scheme, max_tokens=1 << 30)
    losses = []
    for start in range(0, len(truth), _CHUNK):
        _, readings, _ = task.encode(readable(rows.sentences[start : start + _CHUNK]), tokenizer)
        losses += [replace(loss, row=loss.row + start) for loss in find_losses(task, readings, truth[start : start + _CHUNK])]
    places = sorted({loss.row for loss in losses})
    if places:
        yield texts.finding(
            "warning" if len(places) > FEW * len(texts) else "note",
            "Labels that a model cannot give back",
            f"{len(losses):,} labels in {of_all(len(places), len(texts))}: labels are given to whole words, once.",
            places,
            (f"row {rows.numbers[loss.row]}: {loss.label} “{loss.text}”: {loss.why}" for loss in losses),
        )


def _unknown_words(rows: TaggedRows, texts: TextRows, tokenizer: Tokenizer, name: str) -> Iterator[Finding]:
    """Words of which the vocabulary has no piece."""
    if tokenizer.unknown_id is None:
        return
    words: Counter[str] = Counter()
    places = []
    for start in range(0, len(texts), _CHUNK):
        for place, (encoding,) in enumerate(tokenizer.encode_batch(texts.texts[start : start + _CHUNK], first_row=start), start):
            unknown = np.flatnonzero((encoding.ids == tokenizer.unknown_id) & (encoding.sequence_ids >= 0))
            if len(unknown):
                places.append(place)
                words.update(texts.texts[place][a:b] for a, b in encoding.offsets[unknown].tolist())
    if words:
        most = listing((f"{word} ({count})" for word, count in words.most_common(12)), 12)
        message = (
            f"{len(words):,} words in {of_all(len(places), len(texts))} are unknown to the tokenizer of {name}, so that only what stands "
            f"around them can tell what they are: {most}."
        )
        yield texts.finding("warning" if len(places) > 0.05 * len(texts) else "note", "Unknown words", message, places)
