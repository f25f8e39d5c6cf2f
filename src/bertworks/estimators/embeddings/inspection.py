"""What rows of a training of vectors are like, and what would spoil it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.inspection import Finding, Inspection, TextRows
from bertworks.data.inspection.characters import check_characters
from bertworks.data.inspection.findings import MOST_ROWS, Level, by_level
from bertworks.data.inspection.lengths import count_tokens, describe_lengths
from bertworks.data.inspection.reading import check_reading
from bertworks.data.inspection.repeats import check_repeats
from bertworks.data.inspection.rows import FEW, MOST_EXAMPLES, listing, of_all
from bertworks.data.inspection.texts import check_texts
from bertworks.data.inspection.unknown import check_unknown
from bertworks.data.labels import read_labels
from bertworks.data.text_data import TextData
from bertworks.errors import DataError
from bertworks.estimators.embeddings.data_settings import EmbeddingRows, lacks_scores
from bertworks.estimators.embeddings.ranked import check_partners
from bertworks.estimators.embeddings.scored import check_scores
from bertworks.tasks.embedding import SentenceEmbedding
from bertworks.tokenization import Tokenizer

_MANY = 5 * FEW
_EMPTY = ("empty text", "empty second text")
_TOLD_ELSEWHERE = "Pairs of the same text"
"""What the checks of labelled texts tell, and `check_scores` and `check_partners` tell better."""


def inspect_embedding_rows(
    rows: EmbeddingRows,
    against: EmbeddingRows | None = None,
    *,
    task: SentenceEmbedding,
    tokenizer: Tokenizer,
    model_name: str = "the model",
) -> Inspection:
    """Looks through rows of one text, of a pair or of a pair with negatives, with scores or without, for what would spoil a training.

    `against` are rows to validate or test on. Lengths are those of each text, in tokens as `task` reads it with `tokenizer`.
    """
    texts, scores = rows.texts, None if rows.scores is None else np.asarray(rows.scores, dtype=np.float64)
    shown = _text_rows(rows)
    findings = [finding for finding in check_texts(shown) if finding.title != _TOLD_ELSEWHERE]
    findings += [*check_characters(shown), *_repeats(rows, against)]
    pairs = min(map(len, texts)) > 1
    if scores is not None and pairs:
        findings += check_scores(shown, texts, scores)
    elif scores is not None:
        findings.append(_scores_of_single_texts(rows))
    elif pairs:
        findings += check_partners(shown, texts)
    if against is not None:
        findings += [*_shared_texts(rows, against), *_scores_beyond(rows, against)]
    sizes, tokens = _count(rows, task, tokenizer, shown.pairs is not None)
    findings += [*_too_long(shown, texts, sizes, task, model_name), *check_unknown(shown, tokens, tokenizer, model_name)]
    return Inspection(
        rows=len(texts),
        findings=by_level(findings),
        lengths=describe_lengths(sizes, "tokens", task.max_tokens),
        accounting=rows.accounting,
    )


def check_source(source: Any, data: TextData, options: Mapping[str, Any]) -> Iterator[Finding]:
    """What happened in reading, as `check_reading` tells it (with its `options`), and labels of pairs that are no scores."""
    seen = data.accounting
    empty = {reason: count for reason, count in seen.notes.items() if reason in _EMPTY}
    notes = Counter({reason: count for reason, count in seen.notes.items() if reason not in _EMPTY})
    moved = replace(seen, dropped=Counter(seen.dropped) + Counter(empty), notes=notes)
    yield from check_reading(source, replace(data, accounting=moved), options)
    if lacks_scores(data):
        yield _no_scores(data)


def _no_scores(data: TextData) -> Finding:
    """Labels of pairs of which one or another is no number: a training stops at them."""
    column, wrong = data.table.data[data.label_column], []
    for place, value in enumerate(column.to_pylist()):
        try:
            read_labels(column.slice(place, 1), "number", data.table.name)
        except DataError:
            wrong.append((int(data.table.rows[place]), str(value)))
    different = Counter(value for _, value in wrong)
    told = f"'{data.label_column}' holds no number in {of_all(len(wrong), len(data))}: {listing((f'{x:.40}' for x in different), 4)}."
    if len(wrong) < 0.5 * len(data):
        remedy = "Mend these rows, or leave them out."
    else:
        remedy = (
            'If each pair belongs together, say so with objective="ranking" (--objective ranking); else leave out the pairs that do '
            'not, or choose a column of scores with label="…" (--label …).'
        )
    shown = tuple(f"row {row}: {value:.70}" for row, value in wrong[:MOST_EXAMPLES])
    message = f"{told} A training stops at that. {remedy} Below, the rows are taken as pairs that belong together."
    return Finding("error", "Labels that are no scores", message, tuple(row for row, _ in wrong[:MOST_ROWS]), len(wrong), shown)


def _text_rows(rows: EmbeddingRows) -> TextRows:
    """The rows with all texts after the first as one."""
    several = max(map(len, rows.texts)) > 1
    texts: Any = [(row[0], "\n".join(row[1:])) for row in rows.texts] if several else [row[0] for row in rows.texts]
    return TextRows.of(texts, rows.scores, kind="number", numbers=rows.numbers, name=rows.name)


def _repeats(rows: EmbeddingRows, against: EmbeddingRows | None) -> Iterator[Finding]:
    """Duplicates and overlap. Scores of pairs do not depend on the order of their texts; negatives count where all rows have some."""
    width = min(max(map(len, each.texts)) for each in (rows, against) if each is not None)

    def plain(some: EmbeddingRows) -> TextRows:
        cut = [row[:width] if rows.scores is None else tuple(sorted(row[:width])) for row in some.texts]
        return _text_rows(replace(some, texts=cut, scores=None))

    yield from check_repeats(plain(rows), None if against is None else plain(against))


def _scores_of_single_texts(rows: EmbeddingRows) -> Finding:
    message = (
        f'{rows.name} has scores, but one text a row: a training stops at that. Name the second column with pair="…" (--pair …), or, to '
        'learn from the texts alone, objective="simcse" (--objective simcse).'
    )
    return Finding("error", "Scores of single texts", message)


def _shared_texts(rows: EmbeddingRows, against: EmbeddingRows) -> Iterator[Finding]:
    """Texts of other rows, in rows that are not here as a whole."""
    if max(map(len, rows.texts)) < 2:
        return
    here = {text.strip(): int(number) for row, number in zip(rows.texts, rows.numbers, strict=True) for text in row}
    whole = {frozenset(text.strip() for text in row[:2]) for row in rows.texts}
    found = []
    for place, row in enumerate(against.texts):
        shared = [text.strip() for text in row if text.strip() in here]
        if shared and frozenset(text.strip() for text in row[:2]) not in whole:
            found.append((place, shared[0]))
    if found:
        shown = _text_rows(against)
        yield shown.finding(
            "warning" if len(found) > _MANY * len(against.texts) else "note",
            f"Single texts of {against.name} that stand here too",
            f"{of_all(len(found), len(against.texts))} of {against.name} have a text that stands here in another row. Where new texts are "
            "what counts, keep each text in one of the two only.",
            (place for place, _ in found),
            (
                f"row {shown.numbers[place]} of {against.name} has a text of row {here[text]} here: {shown.excerpt(place)}"
                for place, text in found
            ),
        )


def _scores_beyond(rows: EmbeddingRows, against: EmbeddingRows) -> Iterator[Finding]:
    if rows.scores is None or against.scores is None:
        return
    low, high = min(rows.scores), max(rows.scores)
    beyond = [place for place, score in enumerate(against.scores) if not low <= score <= high]
    if beyond:
        yield _text_rows(against).finding(
            "warning" if len(beyond) > _MANY * len(against.texts) else "note",
            f"Scores of {against.name} beyond those here",
            f"{of_all(len(beyond), len(against.texts))} of {against.name} have a score outside of {low:g} to {high:g}, the lowest and the "
            "highest here: are the two on the same scale?",
            beyond,
        )


def _count(
    rows: EmbeddingRows, task: SentenceEmbedding, tokenizer: Tokenizer, pairs: bool
) -> tuple[Int[Array, "texts"], Int[Array, "rows 2"]]:
    """The tokens of each text, one after another; and of each row its tokens, as many special ones as a row of its form would have
    in one sequence, and the unknown ones among them."""
    prompt = task.prompt(None)
    different = {text: number for number, text in enumerate(dict.fromkeys(text for row in rows.texts for text in row))}
    counted = count_tokens([task.cased(prompt + text) for text in different], None, tokenizer)
    of_text = counted[[different[text] for row in rows.texts for text in row]]
    ends = np.cumsum([len(row) for row in rows.texts])
    own = of_text - [tokenizer.special_tokens_per_sequence(False), 0]
    summed: Array = np.add.reduceat(own, np.concatenate([[0], ends[:-1]]), axis=0)
    summed[:, 0] += tokenizer.special_tokens_per_sequence(pairs)
    return of_text[:, 0], summed


def _too_long(
    rows: TextRows, texts: list[tuple[str, ...]], sizes: Int[Array, "texts"], task: SentenceEmbedding, name: str
) -> Iterator[Finding]:
    over = np.flatnonzero(sizes > task.max_tokens)
    if not len(over):
        return
    row_of_text = np.repeat(np.arange(len(texts)), [len(row) for row in texts])
    level: Level = "note"
    what = "They are read whole, in overlapping windows, unless overflow (--overflow) says otherwise."
    if task.overflow == "error":
        level, what = "error", 'A training stops at them: choose overflow="window" (--overflow window), or shorten them.'
    elif task.overflow != "window":
        level = "note" if len(over) <= FEW * len(sizes) else "warning"
        what = (
            f"The rest is not read, by overflow '{task.overflow}', which is set or was saved with the model: "
            'choose overflow="window" (--overflow window) to read all.'
        )
    message = f"{of_all(len(over), len(sizes), 'texts')} have more than the {task.max_tokens:,} tokens that {name} reads at once. {what}"
    yield rows.finding(level, "Longer than the model reads", message, dict.fromkeys(row_of_text[over].tolist()))
