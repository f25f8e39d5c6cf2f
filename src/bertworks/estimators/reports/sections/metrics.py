"""How good the model is: all metrics beside those of the baselines, and each label."""

from bertworks.estimators.reports.blocks import Block, Cell, Picture, Prose, Section, Table
from bertworks.estimators.reports.charts.comparison import draw_comparison
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import (
    LOWER_IS_BETTER,
    count,
    decimal,
    figure,
    interval_of,
    interval_text,
    mapping,
    metric_name,
    named,
    number,
    rows_in,
)

_MOST_LABELS = 200
_MODEL = "this model"
_OUTCOMES = {
    "correct": "found, with the right borders and label",
    "boundary": "found with other borders",
    "type": "found with another label",
    "boundary_and_type": "found with other borders and another label",
    "missed": "not found",
    "spurious": "made up: predictions that touch no entity",
}


def metrics(run: RunRecord) -> Section | None:
    """Every metric with its interval, beside those of the baselines."""
    if not metric_names(run):
        return None
    blocks: list[Block] = [metrics_table(run)]
    blocks += [Prose(f"{name}: {note}") for name, found in run.baselines.items() if (note := found.get("note"))]
    picture = _comparison(run)
    blocks += [picture] if picture is not None else []
    blocks += [Prose(optimism(run))] if run.kept_step is not None else []
    return Section("metrics", "Metrics", blocks)


def metric_names(run: RunRecord) -> list[str]:
    """The metrics of the validation data that are single numbers, the main one first."""
    names = [name for name, value in run.validation.items() if number(value) is not None and name not in ("rows", "words")]
    if "accuracy" in names and run.kind == "single":
        names = [name for name in names if name != "micro_f1"]  # the same for a single label
    return sorted(names, key=lambda name: name != run.headline)


def metrics_table(run: RunRecord) -> Table:
    """A row a metric, a column for the model and one for each baseline."""
    columns = {_MODEL: run.validation, **run.baselines}
    names = metric_names(run)
    lines = []
    for name in names:
        cells = [figure(found.get(name), note=interval_text(interval_of(found, name))) for found in columns.values()]
        lines.append([Cell(metric_name(name) + (" ↓" if name in LOWER_IS_BETTER else "")), *cells])
    rows = "" if run.validation_rows is None else f" of {run.validation_rows:,} rows"
    intervals = " 95 % intervals beside the numbers." if any(cell.note for line in lines for cell in line) else ""
    lower = " ↓: lower is better." if LOWER_IS_BETTER.intersection(names) else ""
    strong = 0 if names[:1] == [run.headline] else None
    return Table(f"Validation{rows}.{intervals}{lower}", ("metric", *columns), lines, strong)


def _comparison(run: RunRecord) -> Picture | None:
    """The main metric of all, where there is something to compare and an interval to compare it by."""
    name = run.headline or ""
    compared = {_MODEL: run.validation, **run.baselines}
    shown = [(who, value, interval_of(found, name)) for who, found in compared.items() if (value := number(found.get(name))) is not None]
    if len(shown) < 2 or not any(interval for _, _, interval in shown):
        return None
    told = [f"{who} {decimal(value)}" + (f" ({interval_text(interval)})" if interval else "") for who, value, interval in shown]
    what = metric_name(name)
    alternative = f"{what} of the model and the baselines with 95 % intervals: {'; '.join(told)}."
    return Picture("comparison", alternative, f"{what}, with 95 % intervals", lambda palette: draw_comparison(palette, what, shown))


def optimism(run: RunRecord) -> str:
    """What was chosen on the validation rows, so that the figures flatter."""
    tuned = ["the step that was kept"]
    tuned += ["the seed"] if rows_in(run.metrics.get("seeds")) else []
    tuned += ["the thresholds"] if run.task_settings.get("thresholds") else []
    tuned += ["the temperature"] if run.calibration.get("temperature") not in (None, 1) else []
    chosen = f"{', '.join(tuned[:-1])} and {tuned[-1]} were" if len(tuned) > 1 else f"{tuned[0]} was"
    return (
        f"{chosen[0].upper()}{chosen[1:]} chosen on these same validation rows, so the figures are slightly too good. Rows that played "
        "no part in the training have the last word: evaluate the model on them."
    )


def per_label(run: RunRecord) -> Section | None:
    """Precision, recall and F1 of each label, with its threshold where labels have one."""
    table = per_label_table(run)
    if table is None:
        return None
    return Section("labels", "Types" if run.finds_spans else "Labels" if run.kind == "multi" else "Classes", (table,))


def span_errors(run: RunRecord) -> Section | None:
    """What became of the true entities, and how many were made up."""
    found = mapping(run.validation.get("errors"))
    if not found:
        return None
    lines = [[Cell(_OUTCOMES.get(name, name)), count(value)] for name, value in found.items()]
    told = (
        f"By conlleval's reading of the tags, whose scheme is {run.validation.get('scheme')}. The strict convention counts only entities "
        "that are spelled by the rules of the scheme; where all are, the two agree."
    )
    return Section(
        "errors", "Kinds of errors", (Table("Entities of the validation data", ("what became of them", "entities"), lines), Prose(told))
    )


def per_label_table(run: RunRecord) -> Table | None:
    """A row a label in the model's order; of very many labels those with the lowest F1."""
    rows = run.per_label
    if not rows:
        return None
    one, many = ("type", "types") if run.finds_spans else ("label", "labels") if run.kind == "multi" else ("class", "classes")
    caption = f"Each {one} of the validation data"
    if len(rows) > _MOST_LABELS:
        rows = sorted(rows, key=lambda row: number(row.get("f1")) or 0.0)[:_MOST_LABELS]
        caption = f"The {_MOST_LABELS} of {len(run.per_label):,} {many} with the lowest F1"
    limits = run.task_settings.get("thresholds")
    thresholds = dict(zip(run.labels, limits, strict=False)) if isinstance(limits, list) else {}
    lines = []
    for row in rows:
        cells = [Cell(named(row.get("label"))), *(figure(row.get(key)) for key in ("precision", "recall", "f1")), count(row.get("support"))]
        lines.append([*cells, figure(thresholds.get(str(row.get("label"))))] if thresholds else cells)
    return Table(
        caption,
        (one, "precision", "recall", "F1", "support" if run.finds_spans else "rows", *(("threshold",) if thresholds else ())),
        lines,
    )
