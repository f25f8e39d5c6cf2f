"""How it was made, on which machine, and how to go on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bertworks.estimators.reports.blocks import Block, Cell, Code, Prose, Section
from bertworks.estimators.reports.run_record import RunRecord, training_steps
from bertworks.estimators.reports.wording import count, facts_table, mapping, number
from bertworks.estimators.runs import answer_steps, quoted, vector_steps
from bertworks.estimators.runs import next_steps as commands

_MACHINE = ("device", "precision", "threads", "token_budget")


def settings(run: RunRecord) -> Section | None:
    """Every setting, as config.toml has it."""
    tables = [
        facts_table(f"[{name}]", as_written(values), ("setting", "value"))
        for name, values in run.settings.items()
        if isinstance(values, Mapping) and values
    ]
    plain = [(str(name), values) for name, values in run.settings.items() if not isinstance(values, Mapping)]
    if plain:
        tables.insert(0, facts_table("Settings", as_written(dict(plain)), ("setting", "value")))
    if not tables:
        return None
    told = "Every setting of this run, as config.toml has it. What is not named there was not set."
    return Section("settings", "Settings", (Prose(told), *tables))


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values, those of inner tables as outer.inner.

    >>> list(flat({"a": {"b": 1}, "c": []}))
    [('a.b', 1), ('c', [])]
    """
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def as_written(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings by name with their values as a settings file has them; texts without quotation marks.

    >>> as_written({"epochs": 3.0, "spread": {"a": True}, "schedule": "linear"})
    [('epochs', '3.0'), ('spread.a', 'true'), ('schedule', 'linear')]
    """
    return [(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)) for name, value in flat(values)]


def machine(run: RunRecord) -> Section | None:
    """Where it was computed, with what, and how fast."""
    facts: list[tuple[str, Any]] = []
    if run.model.get("bertworks"):
        facts.append(("bertworks", run.model["bertworks"]))
    chosen = {**mapping(run.about.get("machine")), **{k: v for k, v in mapping(run.settings.get("training")).items() if k in _MACHINE}}
    facts += [(name.replace("_", " "), value) for name, value in flat(chosen)]
    known = {name for name, _ in facts}
    facts += [(name.replace("_", " "), value) for name, value in flat(run.machine) if name.replace("_", " ") not in known]
    facts += _speed(run)
    return Section("machine", "Machine and versions", (facts_table("Where and how it was computed", facts, ("", "")),)) if facts else None


def _speed(run: RunRecord) -> list[tuple[str, Cell]]:
    lines = training_steps(run.logs.get(run.kept_training or "", []))
    rates = [rate for line in lines if (rate := number(line.get("tokens_per_second"))) is not None]
    facts = [("tokens a second (median)", count(median(rates)))] if rates else []
    tokens = number(lines[-1].get("tokens")) if lines else None
    return [*facts, ("tokens trained on", count(tokens))] if tokens is not None else facts


def next_steps(run: RunRecord) -> Section | None:
    """Commands to go on with, as seen from the folder in which the run's folder is."""
    name = Path(run.name)
    if not run.finished:
        lines = [f"bertworks train --resume {quoted(name)}", f"bertworks report {quoted(name)}"]
    else:
        steps = vector_steps(name) if run.gives_vectors else answer_steps(name) if run.answers_questions else commands(name, run.pairs)
        lines = [*steps, f"bertworks report {quoted(name)}"]
    told = "Commands for a terminal in the folder that holds this run's folder, with data of your own:"
    blocks: list[Block] = [Prose(told), Code("sh", "\n".join(lines))]
    if run.finished:
        blocks.append(
            Code(
                "python",
                f"import bertworks as bw\n\nmodel = bw.load({json.dumps(run.name, ensure_ascii=False)})\nmodel.{_example(run)}",
            )
        )
    return Section("next", "How to go on", blocks)


def _example(run: RunRecord) -> str:
    if run.answers_questions:
        return 'answer("a question", "a text that may answer it")'
    if run.gives_vectors:
        return 'encode(["a new text"])'
    return 'predict([("a first text", "a second text")])' if run.pairs else 'predict(["a new text"])'
