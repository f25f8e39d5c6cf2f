"""`zero_shot`: texts sorted by the nearness of their vectors to those of descriptions; no labelled text is needed."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.data.faults import OnBadRows
from bertworks.data.text_data import check_one_text, read_texts
from bertworks.data.writing import check_writable, with_columns, write_table
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.data_settings import check_given, with_reading
from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
from bertworks.estimators.rows import text_rows
from bertworks.estimators.verbs.predict import PredictionReport

_DIGITS = 6


@dataclass(frozen=True)
class ZeroShotAnswer:
    """The label of a text."""

    text: str
    prediction: str
    """The label whose description is nearest."""
    score: float
    """The similarity of the text to that description; not a probability."""
    scores: dict[str, float]
    """The similarity to the description of every label."""

    @property
    def line(self) -> str:
        """As the command line shows it."""
        return f"{' '.join(self.prediction.split())}\t{self.score:.4f}\t{' '.join(self.text.split())}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return dict(vars(self))


def descriptions_of(labels: Sequence[str]) -> dict[str, str]:
    """Labels with their descriptions, from texts "label=description"; a label without one describes itself.

    Raises `SettingsError` where one is empty or stands twice, or there are fewer than two.

    >>> descriptions_of(["sports=a text about sport", "politics"])
    {'sports': 'a text about sport', 'politics': 'politics'}
    """
    out: dict[str, str] = {}
    for given in labels:
        name, equals, text = (part.strip() for part in given.partition("="))
        if not name or (equals and not text):
            raise SettingsError(f"the label '{given}' lacks its {'description' if name else 'name'}: \"sports=a text about sport\", say")
        if name in out:
            raise SettingsError(f"the label '{name}' stands twice: a label has one description")
        out[name] = text or name
    return _at_least_two(out)


def _described(labels: Any) -> dict[str, str]:
    """Labels with their descriptions, however they were given. Raises `SettingsError` where they are none."""
    if not isinstance(labels, Mapping):
        given: list[Any] = [None] if isinstance(labels, str) or not isinstance(labels, Iterable) else list(labels)
        if not all(isinstance(label, str) for label in given):
            raise SettingsError('labels are a list of texts, labels=["sports=a text about sport", …], or a dict of descriptions by labels')
        return descriptions_of(given)
    out: dict[str, str] = {}
    for label, text in labels.items():
        name = str(label)
        if not name.strip():
            raise SettingsError('a label is empty: give it a name, {"sports": "a text about sport"}, say')
        if not isinstance(text, str) or not text.strip():
            raise SettingsError(f"the label '{name}' lacks its description: give it a text, {{{name!r}: 'a text about sport', …}}, say")
        if name in out:
            raise SettingsError(f"two labels are written '{name}': answers would not tell them apart; give one another name")
        out[name] = text
    return _at_least_two(out)


def _at_least_two(described: dict[str, str]) -> dict[str, str]:
    if len(described) < 2:
        raise SettingsError('texts are sorted into two labels at least: labels=["sports=a text about sport", …] (--labels for each)')
    return described


def zero_shot(
    model: str | Path | SentenceEncoder,
    texts: str | Sequence[str] | None = None,
    *,
    labels: Sequence[str] | Mapping[str, str],
    file: Any = None,
    output: str | Path | None = None,
    text: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionReport:
    """Gives each of `texts`, or each row of `file`, the label whose description is nearest (`SentenceEncoder.zero_shot`).

    `labels` are descriptions by their labels, or texts "label=description". With `output`, the table in `file` is written there with
    the further columns `prediction`, `score`, and `similarity_<label>` for each. `progress` is called with the rows done and the
    rows in all. Rows of the file whose text is empty are left out and counted.

    Raises `SettingsError` for labels that are none, `DataError` for an empty text among `texts`, and where a file cannot be read or
    has two texts in a row, `CheckpointError` where there is no such model.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding}
    check_given(texts, file, output, reading | {"delimiter": delimiter}, "texts or a file to sort")
    described = _described(labels)
    if output is not None:
        check_writable(output)
    started = time.perf_counter()
    data = None
    if file is None:
        rows = [texts] if isinstance(texts, str) else text_rows(texts)
        empty = next((number for number, row in enumerate(rows) if isinstance(row, str) and not row.strip()), None)
        if empty is not None:
            which = "the text" if len(rows) == 1 else f"text {empty} (the first is 0)"
            raise DataError(f"{which} is empty, and no label is near to nothing: leave it out (of a file such rows are left out: --file)")
    else:
        data = read_texts(file, label=False, delimiter=delimiter, **reading)
        check_one_text(data)
        rows = data.texts
    if not rows:
        raise DataError("there are no texts to sort")
    encoder = model if isinstance(model, SentenceEncoder) else SentenceEncoder(model, device=device, precision=precision, threads=threads)
    found: list[ZeroShotAnswer] = []
    seen = Accounting()
    for answers, of_part in _answers(encoder, rows, described):
        found += answers
        seen += of_part
        if progress is not None:
            progress(len(found), len(rows))
    counts = Counter(answer.prediction for answer in found)
    if data is None or output is None:
        seen = seen if data is None else with_reading(seen, data.accounting)
        return PredictionReport(found, None, seen, counts, seconds=time.perf_counter() - started)
    columns: dict[str, list[Any]] = {"prediction": [answer.prediction for answer in found], "score": [answer.score for answer in found]}
    columns |= {f"similarity_{name}": [answer.scores[name] for answer in found] for name in described}
    table, notes = with_columns(data.table.data, columns)
    path = write_table(table, output)
    return PredictionReport([], path, with_reading(seen, data.accounting), counts, notes, time.perf_counter() - started)


def _answers(
    encoder: SentenceEncoder, rows: Sequence[str], described: Mapping[str, str]
) -> Iterator[tuple[list[ZeroShotAnswer], Accounting]]:
    """The answers chunk by chunk, with what became of the texts: vectors are not kept."""
    done = 0
    for vectors, seen in encoder.encode_stream(rows):
        found = encoder.zero_shot(vectors, described)
        answers = []
        for text, label, values in zip(rows[done : done + len(vectors)], found.labels, found.scores, strict=True):
            scores = {name: round(float(value), _DIGITS) for name, value in zip(described, values, strict=True)}
            answers.append(ZeroShotAnswer(text, str(label), scores[str(label)], scores))
        done += len(vectors)
        yield answers, seen
