"""Rows of a file that cannot be read: named one by one, or left out and counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bertworks.errors import DataError, SettingsError

OnBadRows = Literal["error", "drop"]

MOST_FAULTS = 100
"""Where bad rows are an error, reading stops after this many of them."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read: the line it begins in (from 1), the reason as it is counted, and the details."""

    line: int
    reason: str
    detail: str


def check_on_bad_rows(value: str) -> None:
    """Raises `SettingsError` unless `value` is "error" or "drop"."""
    if value not in ("error", "drop"):
        raise SettingsError(f"on_bad_rows is 'error' or 'drop', not {value!r}")


def settle(bad: Sequence[BadRow], source: str, on_bad_rows: OnBadRows) -> Counter[str]:
    """How many rows are left out, by reason; raises `DataError` about the first where bad rows are an error."""
    if bad and on_bad_rows == "error":
        first, more = bad[0], ""
        if len(bad) > 1:
            shown = ", ".join(str(row.line) for row in bad[:5]) + (" …" if len(bad) > 5 else "")
            count = f"at least {MOST_FAULTS}" if len(bad) >= MOST_FAULTS else str(len(bad))
            more = f" Bad rows: {count} (lines {shown})."
        raise DataError(
            f"{source}, line {first.line}: {first.detail}.{more} "
            'Mend the file, or leave such rows out with on_bad_rows="drop" (--on-bad-rows drop).'
        )
    return Counter(row.reason for row in bad)
