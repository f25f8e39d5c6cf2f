"""`bertworks report`, after a real training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertworks.cli.main import run
from bertworks.errors import CheckpointError
from bertworks.estimators.workflows import report, train
from tests.estimators.reports.documents import html_of, markdown_of, titles_of


@pytest.fixture(scope="module", params=[1, 2], ids=["one seed", "two seeds"])
def trained(request: pytest.FixtureRequest, tiny_bert: Path, reviews: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts, labels = reviews(60)
    settings = {"epochs": 2, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "log_steps": 1, "validation_fraction": 0.3}
    folder = tmp_path_factory.mktemp("runs") / "reviews-1"
    return train({"text": texts, "label": labels}, model=tiny_bert, output=folder, seeds=request.param, **settings).folder


def test_after_a_training(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(trained), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"folder": str(trained), "files": [str(trained / "report.html"), str(trained / "report.md")]}
    titles = titles_of(html_of(trained))
    assert {"Accounting", "Metrics", "Classes", "Confusion", "Calibration", "Training", "Settings"} <= set(titles)
    assert ("Seeds" in titles) == (trained / "seed-0").exists()
    metrics = json.loads((trained / "metrics.json").read_text())
    assert f"{metrics['validation']['accuracy']:.4f}" in markdown_of(trained).plain
    accounting = json.loads((trained / "accounting.json").read_text())
    assert f"It learnt from {accounting['training']['rows']} rows and was measured on 18 other rows" in html_of(trained).plain


def test_what_is_printed(trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["report", str(trained), "--card"]) == 0
    out = capsys.readouterr().out
    for name in ("report.html", "report.md", "model/README.md"):
        assert (trained / name).exists()
        assert str(trained / name) in out
    assert str(trained) not in (trained / "model" / "README.md").read_text()


def test_a_card_is_not_overwritten_unasked(trained: Path) -> None:
    card = trained / "model" / "README.md"
    card.write_text("what I know about my model")
    report(trained)
    assert card.read_text() == "what I know about my model"
    report(trained, card=True)
    assert card.read_text() != "what I know about my model"


def test_wrong_folders(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(trained.parent / "reviews-2")]) == 4
    assert "reviews-1'?" in capsys.readouterr().err
    assert run(["report"]) == 2


def test_a_card_needs_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[data]\nsource = 'x'\n")
    with pytest.raises(CheckpointError, match="has no model yet"):
        report(tmp_path, card=True)
