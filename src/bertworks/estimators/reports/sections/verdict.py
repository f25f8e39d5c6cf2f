"""The first section: what the model does and how well, in plain words, and what to beware of."""

from bertworks.estimators.reports.blocks import Block, Cell, Figures, Prose, Section
from bertworks.estimators.reports.judgement import best_baseline, notices, oddities
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import (
    count,
    counted,
    decimal,
    figure,
    interval_of,
    interval_text,
    listed,
    metric_name,
    number,
    shorten,
)

_NAMED_LABELS = 8
_LABEL_WIDTH = 40


def verdict(run: RunRecord) -> Section:
    """What the model does, the main metric with its interval beside the best baseline, and every warning."""
    told = " ".join(part for part in (purpose(run), rows(run), quality(run)) if part)
    blocks: list[Block] = [Prose(told)] if told else []
    shown = _figures(run)
    if shown:
        blocks.append(Figures(shown))
    odd = oddities(run)
    return Section("verdict", "In short", (*blocks, *notices(run), *([odd] if odd is not None else [])))


def purpose(run: RunRecord) -> str:
    """What the model does, in a sentence."""
    texts = "pairs of texts" if run.pairs else "texts"
    labels = [shorten(label, _LABEL_WIDTH) for label in run.labels]
    if run.kind == "single" and labels:
        return f"This model sorts {texts} into {counted(len(labels), 'class', 'classes')}: {listed(labels, _NAMED_LABELS)}."
    if run.kind == "multi" and labels:
        any_of = "a label where it applies" if len(labels) == 1 else f"those of {len(labels)} labels that apply"
        return f"This model gives {texts} {any_of}: {listed(labels, _NAMED_LABELS)}."
    if run.kind == "number":
        return f"This model gives {texts} a number."
    if run.finds_spans and labels:
        of = f"{counted(len(labels), 'type')}: {listed(labels, _NAMED_LABELS)}"
        words = run.task_settings.get("scheme") == "words"
        return f"This model {'gives every word of a text a label' if words else 'finds entities in texts'}, of {of}."
    if run.chooses:
        return "This model chooses, of several texts, the one that goes with a text: the answer to a question, say."
    if run.gives_vectors:
        return "This model turns texts into vectors that are near where texts mean the same."
    task = str(run.model.get("task") or "").replace("_", " ")
    return f"This model was trained for {task}." if task else ""


def rows(run: RunRecord) -> str:
    """How many rows it learnt from, and on how many it was measured."""
    learnt = f"It learnt from {counted(run.training_rows, 'row')}" if run.training_rows is not None else ""
    if run.validation_rows is None:
        return f"{learnt}." if learnt else ""
    measured = f"measured on {counted(run.validation_rows, 'other row')}"
    return f"{learnt} and was {measured}." if learnt else f"It was {measured}."


def quality(run: RunRecord) -> str:
    """The main metric with its interval, and the best baseline's."""
    name = run.headline or ""
    value = number(run.validation.get(name))
    if value is None:
        return ""
    spread = interval_text(interval_of(run.validation, name))
    told = f"Its {metric_name(name)} there is {decimal(value)}{f' (95 % interval {spread})' if spread else ''}"
    found = best_baseline(run)
    if found is None:
        return told + "."
    baseline, metrics = found
    spread = interval_text(interval_of(metrics, name))
    other = decimal(number(metrics.get(name)) or 0.0)
    which = "the baseline" if len(run.baselines) == 1 else "the best baseline"
    return f"{told}; {which}, {baseline}, reaches {other}{f' ({spread})' if spread else ''}."


def _figures(run: RunRecord) -> list[tuple[str, Cell]]:
    name = run.headline or ""
    shown: list[tuple[str, Cell]] = []
    if number(run.validation.get(name)) is not None:
        spread = interval_text(interval_of(run.validation, name))
        shown.append((metric_name(name), figure(run.validation[name], note=f"95 %: {spread}" if spread else "")))
    found = best_baseline(run)
    if found is not None:
        shown.append((found[0], figure(found[1].get(name), note=metric_name(name))))
    if run.training_rows is not None:
        shown.append(("training rows", count(run.training_rows)))
    if run.validation_rows is not None:
        shown.append(("validation rows", count(run.validation_rows)))
    return shown
