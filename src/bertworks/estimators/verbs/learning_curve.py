"""`learning_curve`: what more rows would bring."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.errors import DataError, SettingsError
from bertworks.estimators.studies import Study, StudyReport, Trial, headline_of, part_of, study_folder, study_settings
from bertworks.training.progress import Progress

SHARES = (0.1, 0.25, 0.5, 1.0)


def learning_curve(
    data: Any,
    *,
    task: str | None = None,
    shares: Sequence[float] = SHARES,
    output: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> StudyReport:
    """Trains on growing `shares` of the training rows, each with the rows of the smaller ones in it, every class in its share
    and questions on one context together, and evaluates on the same validation rows.

    If the score still rises from the last but one share to the whole, more rows are likely to help. `task` and `settings` are
    those of `train`; the folder is by default `runs/<name of the data>-learning-curve`. A study that was interrupted
    goes on with the same call.

    Raises `SettingsError` and `DataError` as `train` does, and for shares outside (0, 1].
    """
    if not shares or not all(isinstance(share, int | float) and 0 < share <= 1 for share in shares):
        raise SettingsError(f"shares must lie in (0, 1], not {list(shares)}")
    shares = sorted(set(map(float, shares)))
    training, reading, usual = study_settings("learning-curve", data, task, model, settings)
    about = {"kind": "learning_curve", "shares": shares}
    study = Study(study_folder(output, data, "learning-curve"), training, reading, usual, about, progress=progress)
    whole = study.material.rows.division
    chosen: list[Any] = [np.arange(len(whole.keys))]
    for share in shares[::-1]:  # each a part of the next larger
        held = max(0.0, 1 - share * len(whole.keys) / len(chosen[-1]))  # groups of rows may have been more than their share
        kept, _ = whole.part(chosen[-1]).hold_out(held, reading.validation_seed)
        chosen.append(chosen[-1][kept])

    parts = {len(part): (share, part) for share, part in zip(shares, chosen[:0:-1], strict=True)}  # of equal ones the largest share
    if len(parts) < min(2, len(shares)):
        raise DataError(f"the {len(whole.keys):,} rows do not divide into these shares: too many of them belong together")

    def trials() -> Iterator[Trial]:
        for share, part in parts.values():
            yield Trial(f"share-{share:g}", {"share": share, "rows": len(part)}, usual, part_of(study.material, part))

    done = study.run(trials(), [])
    headline = headline_of(done)
    same = [f"{share:g}" for share in shares if share not in {share for share, _ in parts.values()}]
    lines = [f"left out, as they have the rows of the next larger share: {', '.join(same)}"] if same else []
    if len(done) > 1:
        last, before = done[-1], done[-2]
        gain = last.score - before.score
        lines.append(f"from {before.differs['rows']:,} to {last.differs['rows']:,} rows: {headline.replace('_', ' ')} {gain:+.4f}")
    return study.report(done, headline, lines)
