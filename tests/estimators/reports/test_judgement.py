"""What is warned of, and what is not."""

from typing import Any

import numpy as np
import pytest

from bertworks.estimators.reports import RunRecord
from bertworks.estimators.reports.judgement import best_baseline, chance_calibration_error, notices, oddities
from bertworks.evaluation import ClassificationMetrics


def record(validation: dict[str, Any] | None = None, baselines: dict[str, Any] | None = None, **more: Any) -> RunRecord:
    """A run with an accuracy of 0.9 on 1,000 rows, and no cause for a warning."""
    usual = {"rows": 1000, "accuracy": 0.9, "intervals": {"accuracy": [0.88, 0.92]}}
    metrics = {"headline": "accuracy", "validation": usual if validation is None else validation, "baselines": baselines}
    return RunRecord("run", metrics=metrics, **more)


def titles(run: RunRecord) -> list[str]:
    return [notice.title for notice in notices(run)]


def baseline(value: float, low: float, high: float) -> dict[str, Any]:
    return {"rows": 1000, "accuracy": value, "intervals": {"accuracy": [low, high]}}


def test_nothing_is_said_without_a_cause() -> None:
    assert titles(record()) == []
    assert titles(record(baselines={"TF-IDF": baseline(0.8, 0.77, 0.83)})) == []


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (baseline(0.91, 0.89, 0.93), ["No better than a baseline"]),
        (baseline(0.9, 0.88, 0.92), ["No better than a baseline"]),
        (baseline(0.89, 0.87, 0.91), ["Not clearly better than a baseline"]),
        (baseline(0.87, 0.85, 0.9), ["Not clearly better than a baseline"]),
        (baseline(0.87, 0.85, 0.899), []),
        ({"accuracy": 0.899}, []),
    ],
    ids=["worse", "equal", "within", "at the edge", "beyond", "no interval"],
)
def test_baselines(found: dict[str, Any], title: list[str]) -> None:
    run = record(baselines={"weak": baseline(0.5, 0.4, 0.6), "strong": found})
    assert titles(run) == title
    assert best_baseline(run) == ("strong", found)
    assert all("strong" in notice.text for notice in notices(run))


def test_lower_can_be_better() -> None:
    model = {"rows": 1000, "loss": 1.0, "intervals": {"loss": [0.95, 1.05]}}
    for value, title in ((0.9, ["No better than a baseline"]), (1.02, ["Not clearly better than a baseline"]), (1.2, [])):
        found = {"loss": value, "intervals": {"loss": [value - 0.1, value + 0.1]}}
        metrics = {"headline": "loss", "validation": {**model, "intervals": {}}, "baselines": {"worst": {"loss": 9.0}, "best": found}}
        run = RunRecord("run", metrics=metrics)
        assert titles(run) == title
        assert best_baseline(run) == ("best", found)


@pytest.mark.parametrize(("low", "high", "wide"), [(0.8, 0.9001, True), (0.8, 0.9, False)])
def test_wide_intervals(low: float, high: float, wide: bool) -> None:
    run = record({"rows": 150, "accuracy": 0.85, "intervals": {"accuracy": [low, high]}})
    assert titles(run) == (["The interval is wide"] if wide else [])


@pytest.mark.parametrize(("rows", "few"), [(99, True), (100, False)])
def test_few_rows_without_interval(rows: int, few: bool) -> None:
    assert titles(record({"rows": rows, "accuracy": 0.85})) == (["Few validation rows"] if few else [])


def calibrated(rows: int, seed: int, overconfident: float = 0.0) -> dict[str, Any]:
    """Metrics of answers that are right as often as they are sure, or less often."""
    draws = np.random.default_rng(seed)
    sure = draws.uniform(0.5, 1, rows)
    right = draws.random(rows) < sure - overconfident
    metrics = ClassificationMetrics(["no", "yes"])
    metrics.update(right.astype(np.int64), np.stack([1 - sure, sure], axis=1))
    return metrics.compute()


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_chance_alone_makes_a_calibration_error(rows: int) -> None:
    """The mean over many perfectly calibrated sets is what is foretold for one of them."""
    many = [calibrated(rows, seed) for seed in range(150)]
    foretold = np.mean([chance_calibration_error(metrics) for metrics in many])
    assert foretold == pytest.approx(np.mean([metrics["expected_calibration_error"] for metrics in many]), rel=0.1)


def test_calibration_is_judged_beside_chance() -> None:
    assert "Confidences are off" not in titles(record(calibrated(60, 0)))
    assert calibrated(60, 0)["expected_calibration_error"] > 0.05, "as large an error of many rows would be told"
    assert "Confidences are off" in titles(record(calibrated(2000, 0, overconfident=0.15)))
    assert "Confidences are off" not in titles(record(calibrated(2000, 0)))


def test_rows_and_tokens_that_were_lost() -> None:
    seen = {"training": {"dropped": {"empty text": 2, "missing label": 1}}, "validation": {"truncated_rows": 1, "truncated_tokens": 700}}
    dropped, cut = notices(record(accounting=seen))
    assert dropped.text == "Not used at all: 3 training rows (empty text: 2, missing label: 1)."
    assert cut.text.startswith("Not read: 700 tokens of 1 validation row.")


def test_findings_are_summed_up() -> None:
    found = [{"level": level} for level in ("error", "warning", "warning", "note")]
    told = oddities(record(inspection={"findings": found}))
    assert told is not None
    assert "1 error and 2 warnings" in told.text
    assert oddities(record(inspection={"findings": found[-1:]})) is None
