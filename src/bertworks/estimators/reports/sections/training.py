"""How the training went, and how much of its result is due to the seed."""

from collections.abc import Sequence

from bertworks.estimators.reports.blocks import Block, Cell, Picture, Prose, Section, Table
from bertworks.estimators.reports.charts.training import Curves, Mark, Points, draw_training
from bertworks.estimators.reports.run_record import RunRecord, Values, evaluations, training_steps
from bertworks.estimators.reports.wording import counted, decimal, duration, figure, metric_name, number, rows_in

_SHOWN = ("log_loss", "macro_f1", "mean_squared_error", "loss")
"""Metrics that the table of evaluations has besides the main one, where there are such."""
_MOST_EVALUATIONS = 12


def training(run: RunRecord) -> Section | None:
    """Training loss, the main metric on the validation data and the learning rate, step by step."""
    curves = {part: _curves(lines, run.headline or "") for part, lines in run.logs.items()}
    curves = {part: found for part, found in curves.items() if found.loss or found.metric}
    if not curves:
        return None
    kept = run.kept_training if run.kept_training in curves else next(iter(curves))
    told, name = _in_words(run, kept), metric_name(run.headline or "")
    mark = None if run.kept_step is None else Mark(run.kept_step, "kept" if run.finished else "best so far")
    alternative = "Curves of the training loss, the validation metric and the learning rate over the steps."
    caption = "Training loss, validation metric and learning rate, step by step"
    caption += "; the kept seed stands out" if run.kept_training and len(curves) > 1 else ""
    picture = Picture("training", alternative, caption, lambda palette: draw_training(palette, curves, kept, name, mark))
    table = _evaluations_table(run, kept)
    blocks: list[Block] = [*([Prose(told)] if told else []), picture, *([table] if table is not None else [])]
    return Section("training", "Training", blocks)


def _curves(lines: Sequence[Values], headline: str) -> Curves:
    steps = training_steps(lines)
    return Curves(_points(steps, "loss"), _points(evaluations(lines), headline), _points(steps, "learning_rate"))


def _points(lines: Sequence[Values], name: str) -> Points:
    return [(float(line["step"]), value) for line in lines if (value := number(line.get(name))) is not None]


def _in_words(run: RunRecord, kept: str) -> str:
    steps, seconds = number(run.metrics.get("steps")), number(run.metrics.get("seconds"))
    told = []
    if steps is not None:
        time = "" if seconds is None else f" in {duration(seconds)}"
        told.append(f"{counted(steps, 'step')}{time}{', all seeds together' if len(run.logs) > 1 else ''}.")
    if run.kept_step is not None:
        scores = {line["step"]: number(line.get(run.headline or "")) for line in evaluations(run.logs.get(kept, []))}
        score = scores.get(run.kept_step)
        reached = "" if score is None else f", with {metric_name(run.headline or '')} {decimal(score)}"
        were = "were kept" if run.finished else "are the best so far"
        told.append(f"The weights of step {run.kept_step:,} {were}: the best evaluation{reached}.")
    return " ".join(told)


def _evaluations_table(run: RunRecord, kept: str) -> Table | None:
    """The evaluations of the kept training in numbers; of very many some, evenly spread, and the kept one."""
    lines = evaluations(run.logs.get(kept, []))
    names = [name for name in dict.fromkeys((run.headline or "", *_SHOWN)) if any(number(line.get(name)) is not None for line in lines)]
    if not names:
        return None
    last = len(lines) - 1
    places = {round(i * last / (_MOST_EVALUATIONS - 1)) for i in range(_MOST_EVALUATIONS)}
    few = len(lines) <= _MOST_EVALUATIONS
    chosen = [line for i, line in enumerate(lines) if few or i in places or line["step"] == run.kept_step]
    rows = [[Cell(f"{line['step']:,}", float(line["step"])), *(figure(line.get(name)) for name in names)] for line in chosen]
    strong = next((i for i, line in enumerate(chosen) if line["step"] == run.kept_step), None)
    caption = "Evaluations" if few else f"Evaluations ({len(chosen)} of {len(lines):,})"
    stands_out = "; the best stands out" if strong is not None else ""
    return Table(f"{caption}{stands_out}", ("step", *map(metric_name, names)), rows, strong)


def seeds(run: RunRecord) -> Section | None:
    """The main metric of each of several trainings that differ in their seed only."""
    found = rows_in(run.metrics.get("seeds"))
    if not found:
        return None
    name = run.headline or ""
    rows = [(Cell(str(seed.get("seed", "–"))), figure(seed.get(name)), Cell(str(seed.get("folder") or "–"))) for seed in found]
    strong = next((i for i, seed in enumerate(found) if str(seed.get("folder")) == run.kept_training), None)
    blocks: list[Block] = [Table("The seed whose model was kept stands out", ("seed", metric_name(name), "folder"), rows, strong)]
    center, spread = number(run.metrics.get("mean")), number(run.metrics.get("standard_deviation"))
    if center is not None and spread is not None:
        text = f"Mean ± standard deviation of {metric_name(name)}: {decimal(center)} ± {decimal(spread)}. "
        text += "The kept model is the best of these, so its own figure is too good; another training may be expected to reach the mean."
        blocks.append(Prose(text))
    return Section("seeds", "Seeds", blocks)
