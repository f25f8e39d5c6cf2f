"""`train`: from a source of labelled texts to a run folder with a finished model."""

from pathlib import Path
from typing import Any, Literal

from bertworks.data.faults import OnBadRows
from bertworks.estimators.classification_training import TRAINING
from bertworks.estimators.launched import launched
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs import kinds
from bertworks.training.progress import Progress


@launched
@kinds.dispatched(kinds.of_training)
def train(
    data: Any = None,
    *,
    task: str | None = None,
    output: str | Path | None = None,
    model: str | Path | None = None,
    validation: Any = None,
    validation_split: str | None = None,
    validation_fraction: float = 0.1,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    kind: Literal["auto", "single", "multi", "number"] = "auto",
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    resume: str | Path | None = None,
    seeds: int = 1,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainReport:
    """Trains a text classifier on any source of labelled texts, and keeps everything in a run folder.

    `data` and the arguments down to `delimiter` are the fields of `DataSettings`; `settings` are parameters of
    `TextClassifier` and fields of `TrainingConfig`. `output` is the run folder, by default the next free
    `runs/<name of the data>-<n>`. With `resume`, the run in that folder goes on with its own settings, and ends in
    the same bits as one that was never interrupted. `seeds` trains so many times, on the same rows, and keeps the
    best model.

    `task` says what is to be learnt where the form of the data does not: classification (this), entities … (`kinds.KINDS`).
    Other tasks have a function like this one, with options of their own.

    Several processes that `torchrun` starts train together (`training/leading.py`), and each gets the report; `output` must be
    named then. As such a command is given once for many beginnings, it goes on with the run that it began in `output`.

    Raises `SettingsError` for wrong arguments, `DataError` for data that cannot be learnt from, `Interrupted` after
    Ctrl-C, once the state is saved.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "pair": pair, "label": label, "kind": kind, "shuffle_seed": shuffle_seed}
    reading |= {"limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    return TRAINING.train(
        data, reading, settings, output=output, model=model, validation=validation, resume=resume, seeds=seeds, progress=progress
    )
