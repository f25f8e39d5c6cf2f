"""What an inspection finds, in words and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bertworks.accounting import Accounting
from bertworks.data.inspection.lengths import Lengths
from bertworks.errors import DataError

Level = Literal["error", "warning", "note"]
"""error: a training cannot be right; warning: look at it first; note: good to know."""
MOST_ROWS = 20
"""Row numbers that a finding names."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found in the data."""

    level: Level
    title: str
    """In a few words."""
    message: str
    """One or two sentences with the numbers and the remedy."""
    rows: tuple[int, ...] = ()
    """Numbers of the first rows it concerns, as counted in their source: in the second source where the title names that."""
    count: int = 0
    """All rows that it concerns; 0 where it concerns none in particular."""
    examples: tuple[str, ...] = ()
    """Lines that show it: excerpts with row numbers."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**vars(self), "rows": list(self.rows), "examples": list(self.examples)}


@dataclass(frozen=True)
class Inspection:
    """What labelled texts are like, and what is wrong with them."""

    rows: int
    """Rows that were looked at."""
    findings: tuple[Finding, ...]
    """Errors first, then warnings, then notes."""
    labels: Mapping[str, int] | None = None
    """How often each label occurs, the most frequent first; None for numbers and without labels."""
    labels_count: str = "rows"
    """What is counted under `labels`: rows, entities or words."""
    lengths: Lengths | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The names of the columns `text`, `pair` and `label`, and the list of those that are `unused`, where they are known."""
    accounting: Accounting | None = None
    """What became of the source's rows in reading."""

    def of_level(self, level: Level) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def raise_if_wrong(self) -> None:
        """Raises `DataError` with the first finding of the level "error", if there is one."""
        errors = self.of_level("error")
        if errors:
            more = f" ({len(errors) - 1} more: {', '.join(e.title for e in errors[1:])})" if len(errors) > 1 else ""
            raise DataError(f"{errors[0].title}: {errors[0].message}{more}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "rows": self.rows,
            "columns": dict(self.columns),
            "findings": [finding.to_dict() for finding in self.findings],
            "labels": None if self.labels is None else dict(self.labels),
            **({} if self.labels_count == "rows" else {"labels_count": self.labels_count}),
            "lengths": None if self.lengths is None else self.lengths.to_dict(),
            "accounting": None if self.accounting is None else self.accounting.to_dict(),
        }


def by_level(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes, each in the order given."""
    return tuple(sorted(findings, key=lambda finding: get_args(Level).index(finding.level)))
