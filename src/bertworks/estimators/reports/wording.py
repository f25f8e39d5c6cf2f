"""How metrics are called and numbers are written."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from bertworks.estimators.reports.blocks import ABSENT, Cell, Table

LOWER_IS_BETTER = frozenset({"log_loss", "expected_calibration_error", "mean_squared_error", "mean_absolute_error", "loss", "perplexity"})
"""Metrics of which a lower value is the better one."""
_NAMES = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "f1": "F1",
    "conlleval_f1": "F1 (conlleval)",
    "conlleval_precision": "precision (conlleval)",
    "conlleval_recall": "recall (conlleval)",
    "strict_f1": "F1 (strict)",
    "strict_precision": "precision (strict)",
    "strict_recall": "recall (strict)",
    "matthews_correlation": "Matthews correlation",
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "r2": "R²",
}

_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, and marks that turn the direction of all that follows."""


def metric_name(name: str) -> str:
    """A metric as a person calls it.

    >>> metric_name("macro_f1"), metric_name("log_loss")
    ('macro F1', 'log loss')
    """
    return _NAMES.get(name, name.replace("_", " "))


def number(value: Any) -> float | None:
    """The value where it is a finite number, else None: files may lack it.

    >>> number(2), number(None), number(True), number(float("nan"))
    (2.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def decimal(value: float) -> str:
    """Four decimals; fewer for large numbers, more for small ones.

    >>> decimal(0.93333), decimal(12345.678), decimal(0.00012345), decimal(0.0)
    ('0.9333', '12,345.7', '0.000123', '0.0000')
    """
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    if 0 < abs(value) < 0.001:
        return f"{value:.3g}"
    return f"{value:.4f}"


def figure(value: Any, *, note: str = "") -> Cell:
    """A cell with a metric; a dash where there is none."""
    plain = number(value)
    return ABSENT if plain is None else Cell(decimal(plain), plain, note)


def count(value: Any) -> Cell:
    """A cell with a whole number."""
    plain = number(value)
    return ABSENT if plain is None else Cell(f"{plain:,.0f}", plain)


def percent(share: float, decimals: int = 1) -> str:
    """A share in percent.

    >>> percent(0.1234), percent(0.1, 0)
    ('12.3 %', '10 %')
    """
    return f"{100 * share:.{decimals}f} %"


def counted(value: float, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> counted(1, "row"), counted(1200, "row"), counted(2, "class", "classes")
    ('1 row', '1,200 rows', '2 classes')
    """
    return f"{value:,.0f} {one if value == 1 else many or one + 's'}"


def interval_of(metrics: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The interval of a metric, as metrics.json has it; None where there is none."""
    found = mapping(metrics.get("intervals")).get(name)
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != 2:
        return None
    low, high = number(found[0]), number(found[1])
    return None if low is None or high is None else (low, high)


def interval_text(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval, or nothing.

    >>> interval_text((0.5, 0.75))
    '0.5000 to 0.7500'
    """
    return "" if interval is None else f"{decimal(interval[0])} to {decimal(interval[1])}"


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows_in(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in a list; none where it is no list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def named(value: Any) -> str:
    """A label, several labels, or a number, as text.

    >>> named(["a", "b"]), named(0.5), named(None), named([])
    ('a, b', '0.5', '–', 'none')
    """
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(named, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def listed(names: Sequence[str], most: int) -> str:
    """Names in a row, the first few where there are many.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def shorten(text: str, width: int) -> str:
    """A text that fits into a width.

    >>> shorten("positive", 4)
    'pos…'
    """
    return text if len(text) <= width else text[: width - 1] + "…"


def facts_table(caption: str, facts: Sequence[tuple[str, Any]], columns: tuple[str, str] = ("", "")) -> Table:
    """Names and values in two columns."""
    return Table(caption, columns, [(Cell(name), value if isinstance(value, Cell) else Cell(named(value))) for name, value in facts])


def duration(seconds: float) -> str:
    """A time as a person says it.

    >>> duration(4.26), duration(75), duration(7325)
    ('4.3 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def printable(text: str) -> str:
    """A text in which every character can be shown; others become �.

    >>> printable("a\\x00b\\nc")
    'a�b\\nc'
    """
    return _UNSEEN.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def in_one_line(text: str) -> str:
    """A text with single spaces in place of any white space, in which every character can be shown.

    >>> in_one_line(" a\\n\\tb ")
    'a b'
    """
    return " ".join(printable(text).split())
