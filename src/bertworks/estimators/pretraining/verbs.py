"""The verbs for pretrained models: `evaluate` (in `evaluation`), and `predict`, which fills in what is masked in a text."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.data.faults import OnBadRows
from bertworks.data.text_data import read_texts
from bertworks.data.writing import check_writable, with_columns, write_table
from bertworks.errors import SettingsError
from bertworks.estimators.data_settings import check_given, with_reading
from bertworks.estimators.load import load
from bertworks.estimators.mask_filler import Filled, MaskFiller
from bertworks.estimators.pretraining.evaluation import evaluate
from bertworks.estimators.verbs.predict import PredictionReport

__all__ = ["FilledText", "answers", "evaluate", "predict"]

_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class FilledText:
    """A text with its masks filled."""

    filled: Filled
    probabilities: bool = False
    """Whether the further candidates are shown too."""

    @property
    def line(self) -> str:
        """What the command line shows: what stands best in each mask, its probability, the candidates where they were asked for, and
        the text with all masks filled."""
        masks = self.filled.masks
        parts = ["|".join(mask[0].token for mask in masks), "|".join(f"{mask[0].score:.4f}" for mask in masks)]
        parts += [" ".join(f"{each.token}={each.score:.4f}" for each in mask) for mask in masks if self.probabilities]
        return "\t".join(" ".join(part.split()) for part in [*parts, self.filled.filled])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return self.filled.to_dict()


def answers(
    classifier: MaskFiller,
    rows: Sequence[Any],
    *,
    probabilities: bool = False,
    first_row: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[list[FilledText], Accounting]]:
    """Texts with their masks filled (`MaskFiller.fill`), some at a time, with what became of them. `first_row` is the number of the
    first text in messages.

    Raises `SettingsError` for a text without a mask.
    """
    for row in rows:
        if not isinstance(row, str) or classifier.mask_token not in row:
            raise SettingsError(
                f"a pretrained model fills in masks, and there is no {classifier.mask_token} in {row!r:.60}: write it where a word is "
                "wanted (as for fill-mask), or use next-sentence, features or explain, or train a model from it (train … --model)"
            )
    for start in range(0, len(rows), _TEXTS_AT_ONCE):
        some = list(rows[start : start + _TEXTS_AT_ONCE])
        yield (
            [FilledText(filled, probabilities) for filled in classifier.fill(some, first_row=first_row + start)],
            _accounting(classifier, some),
        )
        if progress is not None:
            progress(start + len(some), len(rows))


def _accounting(filler: MaskFiller, texts: list[str]) -> Accounting:
    windows = filler.tokenizer.encode_batch(texts, max_tokens=filler.task_.max_tokens, offsets=False)
    tokens = sum(len(window) for of_text in windows for window in of_text)
    return Accounting(len(texts), sum(map(len, windows)), tokens, windowed_rows=sum(len(of_text) > 1 for of_text in windows))


def predict(
    model: str | Path,
    texts: str | Sequence[str] | None = None,
    *,
    file: Any = None,
    output: str | Path | None = None,
    probabilities: bool = False,
    split: str | None = None,
    text: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionReport:
    """Fills the masks of `texts` (one, or several) or of every row of `file`.

    With `output`, the table in `file` is written there with all its columns and further ones: `prediction`, the text with its masks
    filled, and `score`, a list of the probabilities of what stands best in each mask by itself. The other arguments are those of
    `verbs.predict`. Raises `SettingsError` for a text without a mask.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding}
    check_given(texts, file, output, reading | {"delimiter": delimiter})
    if output is not None:
        check_writable(output)
    filler: MaskFiller = load(model, device=device, precision=precision, threads=threads)
    started, read = time.perf_counter(), None
    if file is not None:
        read = read_texts(file, label=False, require_labels=False, delimiter=delimiter, **reading)
    given = [texts] if isinstance(texts, str) else [] if texts is None else list(texts)
    found: list[FilledText] = []
    seen = Accounting()
    for some, accounting in answers(filler, given if read is None else read.texts, probabilities=probabilities, progress=progress):
        found += some
        seen += accounting
    seen = seen if read is None else with_reading(seen, read.accounting)
    if output is None or read is None:
        return PredictionReport(found, None, seen, Counter(), seconds=time.perf_counter() - started)
    columns = {"prediction": [each.filled.filled for each in found]}
    table, notes = with_columns(read.table.data, {**columns, "score": [[mask[0].score for mask in each.filled.masks] for each in found]})
    return PredictionReport([], write_table(table, output), seen, Counter(), notes, time.perf_counter() - started)
