"""Whether confidences can be read as probabilities."""

from collections.abc import Mapping
from typing import Any

from bertworks.estimators.reports.blocks import Block, Cell, Picture, Prose, Section, Table
from bertworks.estimators.reports.charts.reliability import draw_reliability
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import LOWER_IS_BETTER, decimal, figure, mapping, metric_name, number, rows_in


def calibration(run: RunRecord) -> Section | None:
    """The calibration error before and after a temperature was fitted, and the reliability diagram."""
    blocks = about_calibration(run)
    bins = _filled(run.validation)
    if bins:
        before = _filled(mapping(run.calibration.get("before")))
        caption = "Reliability: how many of the answers given with each confidence are right, with 95 % intervals"
        blocks.append(Picture("reliability", _in_words(bins), caption, lambda palette: draw_reliability(palette, bins, before)))
    return Section("calibration", "Calibration", blocks) if blocks else None


def about_calibration(run: RunRecord) -> list[Block]:
    """The calibration error and what was done about it, without the diagram."""
    temperature, error = number(run.calibration.get("temperature")), number(run.validation.get("expected_calibration_error"))
    before, after = (mapping(run.calibration.get(name)) for name in ("before", "after"))
    told = []
    if temperature == 1:
        told.append("The confidences are left as they are: the validation rows gave no cause to scale them, or are too few to tell.")
    elif temperature is not None:
        told.append(f"The scores are divided by a temperature of {decimal(temperature)}, fitted on the validation rows.")
        if not after:
            told.append("What that brings cannot be told: half of the rows would be too few to fit it on, with the other half to judge by.")
    if error is not None:
        told.append(f"The expected calibration error, the mean distance of confidence and accuracy, is {decimal(error)}.")
    blocks: list[Block] = [Prose(" ".join(told))] if told else []
    table = _before_and_after(before, after) if after and temperature != 1 else None
    return [*blocks, table] if table is not None else blocks


def _before_and_after(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table | None:
    names = [name for name in {**before, **after} if number(before.get(name)) is not None or number(after.get(name)) is not None]
    lines = [[Cell(metric_name(name)), figure(before.get(name)), figure(after.get(name))] for name in names if name in LOWER_IS_BETTER]
    caption = "Without and with a temperature, fitted for each half of the rows on the other half; lower is better"
    return Table(caption, ("metric", "without", "with"), lines) if lines else None


def _filled(metrics: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The bins of a reliability diagram that have rows."""
    return [one for one in rows_in(metrics.get("reliability")) if number(one.get("rows"))]


def _in_words(bins: list[Mapping[str, Any]]) -> str:
    most = max(bins, key=lambda one: number(one.get("rows")) or 0.0)
    rows, sure, right = (number(most.get(key)) or 0.0 for key in ("rows", "confidence", "accuracy"))
    largest = f"The largest has {rows:,.0f} rows: mean confidence {decimal(sure)}, accuracy {decimal(right)}."
    return f"Reliability diagram, bins with rows: {len(bins)}. {largest}"
