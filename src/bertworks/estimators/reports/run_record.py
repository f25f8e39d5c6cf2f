"""What a run folder holds, read into plain dictionaries. A file or a key that is not there is an empty one."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bertworks.checkpoints.files import read_json
from bertworks.checkpoints.toml_files import read_toml
from bertworks.errors import CheckpointError, nearest_beside
from bertworks.estimators.reports.wording import LOWER_IS_BETTER, mapping, number, rows_in
from bertworks.estimators.runs import ACCOUNTING, METRICS, SETTINGS, is_finished

Values = Mapping[str, Any]

LOG, INSPECTION, MACHINE = "log.jsonl", "inspection.json", "machine.json"
MODEL = ("bertworks.json", "few_shot.json")
"""The files of a model folder of which one holds task, settings and history (`stored_task`, which would import torch)."""
_HEADLINES = {"single": "accuracy", "multi": "micro_f1", "number": "spearman"}
"""Main metrics of kinds of labels, for model folders and logs, which do not name theirs."""


@dataclass(frozen=True)
class RunRecord:
    """All that is known of a training, by the files that hold it. Every part may be empty."""

    name: str
    settings: Values = field(default_factory=dict)
    """config.toml."""
    logs: Mapping[str, Sequence[Values]] = field(default_factory=dict)
    """The lines of log.jsonl, by the name of the training: one, or one for each seed."""
    metrics: Values = field(default_factory=dict)
    """metrics.json."""
    accounting: Values = field(default_factory=dict)
    """accounting.json."""
    inspection: Values = field(default_factory=dict)
    """inspection.json."""
    machine: Values = field(default_factory=dict)
    """machine.json."""
    model: Values = field(default_factory=dict)
    """model/bertworks.json, or few_shot.json: task, its settings, and what is known about the training."""
    config: Values = field(default_factory=dict)
    """model/config.json."""
    finished: bool = True

    @property
    def validation(self) -> Values:
        """The metrics of the validation data."""
        return mapping(self.metrics.get("validation"))

    @property
    def baselines(self) -> dict[str, Values]:
        """The metrics of each baseline on the same rows."""
        return {str(name): mapping(found) for name, found in mapping(self.metrics.get("baselines")).items() if found}

    @property
    def calibration(self) -> Values:
        """The temperature that was fitted, and what it did to the confidences."""
        return mapping(self.metrics.get("calibration") or self.about.get("calibration"))

    @property
    def task_settings(self) -> Values:
        return mapping(self.model.get("settings"))

    @property
    def about(self) -> Values:
        return mapping(self.model.get("about"))

    @property
    def kind(self) -> str | None:
        """What labels are: "single", "multi" or "number"; None for tasks without labels and where nothing tells."""
        stored = self.task_settings.get("kind")
        if isinstance(stored, str) or self.gives_vectors:
            return stored if isinstance(stored, str) else None
        signs = {"confusion": "single", "per_label": "multi", "spearman": "number"}
        return next((kind for sign, kind in signs.items() if sign in self.validation), None)

    @property
    def labels(self) -> list[str]:
        """The labels' names in the order of the model's outputs; of a model that finds spans, the types of spans."""
        stored = self.task_settings.get("labels")
        if self.finds_spans or not stored:
            stored = [row.get("label") for row in self.per_label]
        return [str(label) for label in stored]

    @property
    def per_label(self) -> list[Values]:
        """Precision, recall, F1 and support of each label."""
        found = (self.validation.get(name) for name in ("per_class", "per_label", "per_type"))
        return rows_in(next((rows for rows in found if rows), None))

    @property
    def answers_questions(self) -> bool:
        """Whether the task is to answer questions by their contexts."""
        return self.model.get("task") == "question_answering"

    @property
    def chooses(self) -> bool:
        """Whether the task is to choose one of several texts."""
        return self.model.get("task") == "multiple_choice"

    @property
    def is_few_shot(self) -> bool:
        """Whether it is a sentence encoder with a logistic regression on its vectors."""
        return self.model.get("task") == "few_shot"

    @property
    def finds_spans(self) -> bool:
        """Whether the model labels words, or finds entities, in a text."""
        return self.model.get("task") == "tagging" or "per_type" in self.validation

    @property
    def gives_vectors(self) -> bool:
        """Whether the model turns texts into vectors."""
        return self.model.get("task") == "sentence_embedding" or "embeddings" in self.settings

    @property
    def pairs(self) -> bool:
        """Whether a row is a pair of texts."""
        return bool(self.metrics.get("pairs") or self.task_settings.get("pairs"))

    @property
    def headline(self) -> str | None:
        """The main metric's name."""
        named = self.metrics.get("headline") or _HEADLINES.get(self.kind or "")
        if named:
            return str(named)
        seen = {name for lines in self.logs.values() for line in evaluations(lines) for name in line}
        return next((name for name in _HEADLINES.values() if name in seen), None)

    @property
    def validation_rows(self) -> int | None:
        rows = number(self.validation.get("rows"))
        return None if rows is None else int(rows)

    @property
    def training_rows(self) -> int | None:
        """Rows that were learnt from: those handed in, without those that were dropped."""
        known = number(self.about.get("rows"))
        if known is not None:
            return int(known)
        seen = mapping(self.accounting.get("training"))
        rows = number(seen.get("rows"))
        return None if rows is None else int(rows - sum(number(dropped) or 0 for dropped in mapping(seen.get("dropped")).values()))

    @cached_property
    def kept_training(self) -> str | None:
        """The name, in `logs`, of the training whose model was kept: the best of several seeds, the first of equals."""
        seeds = rows_in(self.metrics.get("seeds"))
        scores = [(number(seed.get(self.headline or "")), str(seed.get("folder"))) for seed in seeds]
        known = [(score, folder) for score, folder in scores if score is not None]
        if known:
            return str(self._best(known))
        return next(iter(self.logs)) if len(self.logs) == 1 else None

    @cached_property
    def kept_step(self) -> int | None:
        """The step whose weights were kept (so far): that of the best evaluation, the first of equally good ones."""
        stored = number(mapping(self.about.get("validation")).get("step"))
        if stored is not None:
            return int(stored)
        lines = evaluations(self.logs.get(self.kept_training or "", []))
        scores = [(number(line.get(self.headline or "")), line["step"]) for line in lines]
        known = [(score, step) for score, step in scores if score is not None]
        return int(self._best(known)) if known else None

    def _best(self, scores: list[tuple[float, Any]]) -> Any:
        sign = -1 if self.headline in LOWER_IS_BETTER else 1
        return max(scores, key=lambda pair: sign * pair[0])[1]


def evaluations(lines: Sequence[Values]) -> list[Values]:
    """The lines of a log that evaluations wrote."""
    return [line for line in lines if line.get("kind") == "validation" and number(line.get("step")) is not None]


def training_steps(lines: Sequence[Values]) -> list[Values]:
    """The lines of a log that steps wrote."""
    return [line for line in lines if line.get("kind") == "train" and number(line.get("step")) is not None]


def read_run(folder: str | Path, metrics: Values | None = None) -> RunRecord:
    """Reads what a run folder holds, be it finished or not. `metrics` are those of a run that ends just now: metrics.json, by which
    it counts as finished, is written last.

    Raises `CheckpointError` where it is no run folder, or a file in it is damaged.
    """
    path = Path(folder)
    _require_run(path)
    finished = metrics is not None or is_finished(path)
    metrics = _optional(path / METRICS) if metrics is None else metrics
    parts = [str(seed.get("folder")) for seed in rows_in(metrics.get("seeds"))] or sorted(p.name for p in path.glob("seed-*"))
    logs = {part: _log(path / part / LOG) for part in parts} or {"": _log(path / LOG)}
    return RunRecord(
        name=Path(os.path.abspath(path)).name,
        settings=_settings(path / SETTINGS),
        logs={part: lines for part, lines in logs.items() if lines},
        metrics=metrics,
        accounting=_optional(path / ACCOUNTING),
        inspection=_optional(path / INSPECTION),
        machine=_optional(path / MACHINE),
        model=_of_model(path / "model"),
        config=_optional(path / "model" / "config.json"),
        finished=finished,
    )


def read_model(folder: str | Path, name: str) -> RunRecord:
    """What a model folder by itself says of its training: settings, rows, the main figures of its validation data."""
    path = Path(folder)
    model = _of_model(path)
    about = mapping(model.get("about"))
    outdated = {"step"}
    if mapping(model.get("settings")).get("thresholds") is not None:
        outdated |= {"micro_f1", "macro_f1", "exact_match"}  # they were measured before the thresholds were tuned
    if about.get("calibration"):
        outdated |= {"log_loss", "expected_calibration_error"}  # and these before the temperature was
    figures = {key: value for key, value in mapping(about.get("validation")).items() if key not in outdated}
    return RunRecord(
        name=name,
        settings={"training": mapping(about.get("training"))},
        metrics={"validation": figures, "steps": about.get("steps")},
        accounting={"training": mapping(about.get("accounting"))} if about.get("accounting") else {},
        model=model,
        config=_optional(path / "config.json"),
    )


def _require_run(path: Path) -> None:
    if (path / SETTINGS).exists() or (path / METRICS).exists():
        return
    if path.exists():
        above = next((p for p in path.absolute().parents if (p / SETTINGS).exists()), None)
        hint = f" Did you mean '{above}'?" if above else ""
        raise CheckpointError(f"'{path}' has neither {SETTINGS} nor {METRICS}: it is no run folder.{hint}")
    names = [entry.name for entry in path.parent.glob("*") if (entry / SETTINGS).exists()] if path.parent.is_dir() else []
    raise CheckpointError(f"the run '{path}' does not exist.{nearest_beside(path, names)}")


def _of_model(folder: Path) -> Values:
    """Task, settings and history of a model, by the file of its folder that holds them."""
    return next((found for name in MODEL if (found := _optional(folder / name))), {})


def _optional(path: Path) -> Values:
    return read_json(path) if path.exists() else {}


def _settings(path: Path) -> Values:
    return read_toml(path) if path.exists() else {}


def _log(path: Path) -> list[Values]:
    """The lines of a log; a last line that is being written, or was cut off by a kill, is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    found = []
    for place, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line.decode("utf-8")))
        except ValueError as error:  # no JSON, or no UTF-8
            what = getattr(error, "msg", error)
            raise CheckpointError(f"{path}, line {place}: {what}; remove the line, or copy the file again") from error
    return [line for line in found if isinstance(line, dict)]
