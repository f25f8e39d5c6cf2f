"""`explain`: one text, and why a model answers as it does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.architectures.registry import GOOGLE_CONFIG
from bertworks.checkpoints.files import read_json
from bertworks.errors import SettingsError
from bertworks.estimators.encoder import Encoder
from bertworks.estimators.explanation import BaselineName, explain_classifier
from bertworks.estimators.load import load
from bertworks.estimators.stored_task import SETTINGS, read_task
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.verbs import kinds
from bertworks.explain import Explanation, Kind
from bertworks.explain.saving import resolved_kind
from bertworks.tasks.fill_mask import FillMask


@dataclass(frozen=True)
class ExplanationReport:
    """What an explanation gave."""

    explanation: Explanation
    kind: Kind
    """What was computed and written."""
    layer: int | None
    head: int | None
    output: Path | None
    """The file that was written."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {} if self.output is None else {"output": str(self.output)}
        return out | self.explanation.to_dict(self.kind, layer=self.layer, head=self.head) | {"seconds": self.seconds}


@kinds.dispatched(kinds.of_explained)
def explain(
    model: str | Path,
    text: str,
    pair: str | None = None,
    *,
    target: Any = None,
    kind: Kind | None = None,
    layer: int | None = None,
    head: int | None = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    output: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExplanationReport:
    """Explains a model's answer for `text` (and `pair`), see `TextClassifier.explain`; of a bare encoder, its attention.

    `kind` says what is computed, all that there is by default; `output` is a file, whose suffix decides what it is (see
    `Explanation.save`). `progress` is told what is being computed.

    Raises `CheckpointError` where there is no such model, `SettingsError` for an option that does not fit it, `DataError`
    for a text that it cannot read.
    """
    started = time.perf_counter()
    machine: dict[str, Any] = {"device": device, "precision": precision, "threads": threads}
    given = text if pair is None else (text, pair)
    if _is_bare(model):
        if target is not None or window is not None or baseline != "pad":
            raise SettingsError("a bare encoder has no labels, no windows and no attributions: leave out target, window and baseline")
        explanation = Encoder(model, **machine).explain(given)
    else:
        explanation = explain_classifier(load(model, **machine), given, target=target, window=window, baseline=baseline, progress=progress)
    return written(explanation, kind, layer, head, output, started)


def written(
    explanation: Explanation, kind: Kind | None, layer: int | None, head: int | None, output: str | Path | None, started: float
) -> ExplanationReport:
    """Writes what is asked for, where it is asked for; `started` is the time from which seconds are counted."""
    path = None if output is None else Path(output)
    picture = path is not None and path.suffix.lower() in (".png", ".svg")
    chosen = resolved_kind(explanation, kind, layer, head, picture=picture)
    if path is not None:
        explanation.save(path, chosen, layer=layer, head=head)
    return ExplanationReport(explanation, chosen, layer, head, path, time.perf_counter() - started)


def _is_bare(model: str | Path) -> bool:
    """Whether a folder holds an encoder without a head, or with those of its pretraining, rather than a finished model."""
    folder = model_path(model)
    if not (folder / "config.json").exists():
        return (folder / GOOGLE_CONFIG).exists()
    if (folder / SETTINGS).exists():
        return read_task(folder)[0].name == FillMask.name
    classes = read_json(folder / "config.json").get("architectures")
    return isinstance(classes, list) and not any("For" in str(name) for name in classes)
