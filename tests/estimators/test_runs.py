"""Run folders of a classifier: what stands in them, and the same model after an interruption."""

import json
import shutil
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bertworks as bw
from bertworks import TextClassifier
from bertworks.errors import CheckpointError, Interrupted
from bertworks.estimators import runs
from bertworks.training.progress import Progress, StepReport

Make = Callable[..., TextClassifier]


class StopAt(Progress):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            signal.raise_signal(signal.SIGINT)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "model").iterdir())}


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_an_interrupted_run_ends_in_the_same_model(
    make: Make, reviews: Callable[..., Any], targets: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    texts, labels = reviews(60)
    validation = reviews(24, seed=1)
    settings = {"epochs": 2, "log_steps": 1, "new_tokens": ["zorblax"], "class_weights": "balanced", "label_smoothing": 0.1}
    if kind == "number":
        del settings["class_weights"], settings["label_smoothing"]

    def fit(folder: Path, **more: Any) -> TextClassifier:
        answers, held_out = targets(kind, texts, labels), (validation[0], targets(kind, *validation))
        return make(**settings, output=folder, **more).fit(texts, answers, validation=held_out, resume=True)

    whole = fit(tmp_path / "whole")
    for step in (1, 4, 7):
        with pytest.raises(Interrupted):
            fit(tmp_path / "parted", progress=StopAt(step))
    with pytest.raises(CheckpointError, match="is not finished: there is no model yet"):
        bw.load(tmp_path / "parted")
    parted = fit(tmp_path / "parted")
    assert files_of(tmp_path / "parted") == files_of(tmp_path / "whole")
    assert parted.history_ == whole.history_
    assert parted.task_ == whole.task_


def test_what_stands_in_a_run_folder(make: Make, reviews: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    make(epochs=1, output=run, stride=5).fit(*reviews(40), validation=reviews(20, seed=1), provenance={"path": "reviews.csv"})
    settings = tomllib.loads((run / "config.toml").read_text())
    assert settings["classifier"]["stride"] == 5
    assert settings["training"]["precision"] == "float32"
    assert settings["training"]["token_budget"] == 4096, "what was chosen is stored as chosen"
    assert settings["data"] == {"path": "reviews.csv"}
    assert {path.name for path in run.iterdir()} >= {"config.toml", "log.jsonl", "checkpoints", "model"}
    kinds = [json.loads(line)["kind"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert kinds == ["train", "validation"]
    run.rename(tmp_path / "moved")
    assert bw.load(tmp_path / "moved", verify=True).predict(["good tea"]).shape == (1,)


def test_a_model_that_cannot_be_copied_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "seed-0" / "model"
    source.mkdir(parents=True)
    (source / "model.safetensors").write_bytes(bytes(1000))
    (source / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"cannot save .*model: .*gone cannot be copied \(.*No such file"):
        runs.copy_model(source, tmp_path / "model")
    (source / "gone").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, free=999))
        with pytest.raises(CheckpointError, match="the disk is full"):
            runs.copy_model(source, tmp_path / "model")
        with pytest.raises(CheckpointError, match="the disk is full"):
            runs.copy_file(source / "model.safetensors", tmp_path / "answers")
    assert [path.name for path in tmp_path.iterdir()] == ["seed-0"]
    runs.copy_model(source, tmp_path / "model")
    assert (tmp_path / "model/model.safetensors").read_bytes() == bytes(1000)
