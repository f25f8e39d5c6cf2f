"""What the numbers of a run are worth: against the baselines, with so few rows, as probabilities."""

from collections.abc import Mapping
from math import pi, sqrt
from typing import Any

from bertworks.estimators.reports.blocks import Notice
from bertworks.estimators.reports.run_record import RunRecord, training_steps
from bertworks.estimators.reports.wording import (
    LOWER_IS_BETTER,
    counted,
    decimal,
    interval_of,
    interval_text,
    mapping,
    metric_name,
    number,
    rows_in,
)

WIDE = 0.05
"""Half the width of an interval from which on it is called wide."""
FEW_ROWS = 100
"""Validation rows below which figures without an interval are called rough."""
MISCALIBRATED = 0.05
"""Expected calibration error from which on confidences are called off, where chance does not explain it."""


def better(name: str, value: float, other: float) -> bool:
    """Whether a value of a metric is better than another."""
    return value < other if name in LOWER_IS_BETTER else value > other


def best_baseline(run: RunRecord) -> tuple[str, Mapping[str, Any]] | None:
    """The baseline that is best by the main metric, the first of equally good ones; None where there is none."""
    found: tuple[str, Mapping[str, Any]] | None = None
    best = 0.0
    for name, metrics in run.baselines.items():
        value = number(metrics.get(run.headline or ""))
        if value is not None and (found is None or better(run.headline or "", value, best)):
            found, best = (name, metrics), value
    return found


def notices(run: RunRecord) -> list[Notice]:
    """What a person should know before relying on the model, the gravest first."""
    found = [_unfinished(run), _no_validation(run), _against_baseline(run), _wide_interval(run), _calibration(run)]
    found += [_dropped(run), _truncated(run)]
    return [notice for notice in found if notice is not None]


def _unfinished(run: RunRecord) -> Notice | None:
    if run.finished:
        return None
    steps = [line for lines in run.logs.values() for line in training_steps(lines)]
    done = f" It got to step {steps[-1]['step']:,} of {number(steps[-1].get('steps')) or 0:,.0f}." if steps else ""
    return Notice("warning", "This run is not finished", f"There is no final model yet.{done} Resume it to go on.")


def _no_validation(run: RunRecord) -> Notice | None:
    if run.validation or not run.finished:
        return None
    text = (
        "Nothing here says how good the model is: no rows were held out. Evaluate it on labelled rows that it has not seen, "
        "or train with a validation fraction."
    )
    return Notice("warning", "Without validation data", text)


def _against_baseline(run: RunRecord) -> Notice | None:
    """Whether the main metric lies beyond the interval of the best baseline, on the better side."""
    name, found = run.headline or "", best_baseline(run)
    value = number(run.validation.get(name))
    if found is None or value is None:
        return None
    baseline, metrics = found
    other, interval = number(metrics.get(name)) or 0.0, interval_of(metrics, name)
    reached = f"{baseline} reaches {metric_name(name)} {decimal(other)}"
    if not better(name, value, other):
        text = f"{reached}, this model {decimal(value)}. Look at the labels and the mistakes, give it more rows, or use the baseline."
        return Notice("warning", "No better than a baseline", text)
    if interval is None or better(name, value, interval[0] if name in LOWER_IS_BETTER else interval[1]):
        return None
    text = (
        f"{reached} (95 % interval {interval_text(interval)}), and this model's {decimal(value)} lies within that interval: with "
        f"{counted(run.validation_rows or 0, 'validation row')} the difference may be chance. More validation rows would tell."
    )
    return Notice("warning", "Not clearly better than a baseline", text)


def _wide_interval(run: RunRecord) -> Notice | None:
    name, rows = run.headline or "", run.validation_rows
    interval = interval_of(run.validation, name)
    if rows is None:
        return None
    if interval is None:
        text = f"There are only {counted(rows, 'validation row')}: take the figures as rough ones."
        return Notice("warning", "Few validation rows", text) if rows < FEW_ROWS else None
    if interval[1] - interval[0] <= 2 * WIDE:
        return None
    text = (
        f"With {counted(rows, 'validation row')} the true {metric_name(name)} may lie anywhere from {interval_text(interval)}. "
        "Four times as many rows would halve that width."
    )
    return Notice("warning", "The interval is wide", text)


def _calibration(run: RunRecord) -> Notice | None:
    name = "expected_calibration_error"
    error = number(mapping(run.calibration.get("after")).get(name, run.validation.get(name)))
    if error is None or error <= MISCALIBRATED or error <= 2 * chance_calibration_error(run.validation):
        return None
    text = (
        f"On average the confidence differs from the share of right answers by {decimal(error)} (expected calibration error): "
        "do not read it as a probability."
    )
    return Notice("warning", "Confidences are off", text)


def chance_calibration_error(metrics: Mapping[str, Any]) -> float:
    """The expected calibration error that a perfectly calibrated model would show on so many rows, about.

    The hits in a bin of n rows with confidence p are binomial; their mean absolute deviation from n·p is
    √(2/π · n·p·(1 - p)), by the normal approximation.

    >>> round(chance_calibration_error({"reliability": [{"rows": 100, "confidence": 0.9}]}), 3)
    0.024
    """
    bins = [(number(b.get("rows")) or 0.0, number(b.get("confidence")) or 0.0) for b in rows_in(metrics.get("reliability"))]
    deviations = sum(sqrt(2 / pi * rows * max(0.0, p * (1 - p))) for rows, p in bins)
    return deviations / max(1.0, sum(rows for rows, _ in bins))


def _seen(run: RunRecord) -> list[tuple[str, Mapping[str, Any]]]:
    return [(str(part), mapping(seen)) for part, seen in run.accounting.items()]


def _dropped(run: RunRecord) -> Notice | None:
    told = []
    for part, seen in _seen(run):
        reasons = {reason: number(rows) or 0 for reason, rows in mapping(seen.get("dropped")).items()}
        if total := sum(reasons.values()):
            told.append(f"{counted(total, f'{part} row')} ({', '.join(f'{reason}: {rows:,.0f}' for reason, rows in reasons.items())})")
    return Notice("warning", "Rows were left out", f"Not used at all: {'; '.join(told)}.") if told else None


def _truncated(run: RunRecord) -> Notice | None:
    told = []
    for part, seen in _seen(run):
        rows, tokens = number(seen.get("truncated_rows")) or 0, number(seen.get("truncated_tokens")) or 0
        if rows:
            told.append(f"{counted(tokens, 'token')} of {counted(rows, f'{part} row')}")
    if not told:
        return None
    return Notice("warning", "Texts were cut", f'Not read: {", ".join(told)}. Long texts are read whole with overflow = "window".')


def oddities(run: RunRecord) -> Notice | None:
    """That the inspection of the data found something, where it did."""
    levels = [finding.get("level") for finding in rows_in(run.inspection.get("findings"))]
    errors, warnings = levels.count("error"), levels.count("warning")
    told = [counted(many, noun) for many, noun in ((errors, "error"), (warnings, "warning")) if many]
    if not told:
        return None
    return Notice("warning", "The data have oddities", f"Their inspection found {' and '.join(told)}: see the section on the data.")
