"""The sections of a report, in order. Each is made from a run's record, or is None where it does not apply.

A task with other results adds a builder of its own to the list; the templates need not change.
"""

from collections.abc import Callable, Sequence

from bertworks.estimators.reports.blocks import Section
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.sections.calibration import calibration
from bertworks.estimators.reports.sections.closing import machine, next_steps, settings
from bertworks.estimators.reports.sections.confusion import confusion
from bertworks.estimators.reports.sections.data import accounting, data
from bertworks.estimators.reports.sections.metrics import metrics, per_label, span_errors
from bertworks.estimators.reports.sections.mistakes import mistakes
from bertworks.estimators.reports.sections.training import seeds, training
from bertworks.estimators.reports.sections.verdict import verdict

Builder = Callable[[RunRecord], Section | None]

SECTIONS: tuple[Builder, ...] = (
    verdict,
    accounting,
    data,
    metrics,
    per_label,
    span_errors,
    confusion,
    calibration,
    training,
    seeds,
    mistakes,
    settings,
    machine,
    next_steps,
)


def build(run: RunRecord, builders: Sequence[Builder] = SECTIONS) -> list[Section]:
    """The sections that apply to a run."""
    return [section for section in (builder(run) for builder in builders) if section is not None]
