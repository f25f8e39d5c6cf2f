"""The rows that the model gets most wrong, quoted."""

from collections.abc import Mapping
from typing import Any

from bertworks.estimators.reports.blocks import Excerpt, Excerpts, Prose, Section
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import decimal, named, number, rows_in, shorten

_WIDTH = 400
"""Characters of a text that are quoted."""


def mistakes(run: RunRecord) -> Section | None:
    """Where the model was surest and wrong, or, for numbers, farthest off."""
    found = rows_in(run.metrics.get("mistakes"))
    if not found:
        return None
    how = "farthest from the truth" if run.kind == "number" else "the surest of all that are wrong"
    told = f"{len(found)} answers, {how}. Some may be errors of the labels, others show what the model does not see."
    if any(len(str(row.get(name) or "")) > _WIDTH for row in found for name in ("text", "pair")):
        told += f" Texts are cut after {_WIDTH} characters here."
    return Section("mistakes", "Mistakes", (Prose(told), Excerpts([_excerpt(row) for row in found])))


def _excerpt(row: Mapping[str, Any]) -> Excerpt:
    texts = [shorten(str(row[name]), _WIDTH) for name in ("text", "pair") if row.get(name) is not None]
    facts = [(title, _written(row[name])) for name, title in (("label", "label"), ("prediction", "prediction")) if name in row]
    for name in ("confidence", "error"):
        value = number(row.get(name))
        if value is not None:
            facts.append((name, decimal(value)))
    if row.get("row") is not None:
        facts.append(("row", named(row["row"])))
    return Excerpt(texts, facts)


def _written(value: Any) -> str:
    return decimal(value) if isinstance(value, float) else named(value)
