"""The grammar of splits: `train`, `train[:2000]`, `test[10%:20%]`, `train[:-100]+validation`, `[:500]`.

It is that of Hugging Face `datasets`, rounding included, with two differences: the name may be absent where a
source has only one table, and a slice that mixes rows and percent is refused.
"""

import re
from dataclasses import dataclass

import numpy as np

from bertworks.errors import DataError, SettingsError

_BOUND = r"(?:(?P<{0}>-?\d+(?:_\d+)*)(?P<{0}_unit>%)?)?"
_SLICE = r"(?:\[\s*" + _BOUND.format("start") + r"\s*:\s*" + _BOUND.format("stop") + r"\s*\])"
_PART = re.compile(r"(?P<name>\w[\w.-]*)?" + _SLICE + r"?(?:\((?P<rounding>\w+)\))?")
_EXAMPLES = "'train', 'train[:2000]', 'test[10%:20%]', 'train[:-100]+validation' or '[:500]'"


@dataclass(frozen=True)
class SplitPart:
    """One term of a split: a name and the rows of it from `start` to before `stop`."""

    name: str
    """Name of the split; empty where only a slice was given."""
    start: int | None = None
    """First row or percent; negative values count from the end; None is the beginning."""
    stop: int | None = None
    """Row or percent before which the part ends; None is the end."""
    percent: bool = False
    """Whether `start` and `stop` are percent of the rows."""
    whole_percents: bool = False
    """Percents are multiples of a whole 1 % of the rows (`pct1_dropremainder`), not rounded to the closest row."""

    def bounds(self, rows: int) -> tuple[int, int]:
        """The rows that are meant, `(start, stop)`, in a split of `rows` rows; stop is never below start.

        >>> parse_split("test[-10%:]")[0].bounds(205)
        (185, 205)
        """
        start, stop = (self._row(bound, rows) for bound in (self.start, self.stop))
        start = 0 if start is None else start
        return start, max(start, rows if stop is None else stop)

    def _row(self, bound: int | None, rows: int) -> int | None:
        if bound is None:
            return None
        if self.percent and self.whole_percents:
            if rows < 100:
                raise DataError(f"pct1_dropremainder needs a split of at least 100 rows; '{self.name}' has {rows}")
            bound *= rows // 100
        elif self.percent:
            bound = round(bound * rows / 100)
        return max(rows + bound, 0) if bound < 0 else min(bound, rows)


def parse_split(split: str | None) -> tuple[SplitPart, ...]:
    """The parts of a split, in order. None is the one table that there is.

    >>> parse_split("train[:10%]")
    (SplitPart(name='train', start=None, stop=10, percent=True, whole_percents=False),)

    Raises `DataError` where the text is not a split.
    """
    if split is None:
        return (SplitPart(""),)
    return tuple(_parse_part(part.strip(), split) for part in str(split).split("+"))


def _parse_part(part: str, split: str) -> SplitPart:
    match = _PART.fullmatch(part)
    if match is None or not part or part.startswith("("):
        raise DataError(f"'{split}' is not a split: write {_EXAMPLES}")
    start, stop = (None if match[end] is None else int(match[end]) for end in ("start", "stop"))
    percent = bool(match["start_unit"] or match["stop_unit"])
    if percent and any(match[end] is not None and not match[f"{end}_unit"] for end in ("start", "stop")):
        raise DataError(f"the split '{split}' mixes rows and percent: write both bounds as rows or both with %")
    if percent and any(abs(bound or 0) > 100 for bound in (start, stop)):
        raise DataError(f"the split '{split}' goes beyond 100 %")
    if match["rounding"] not in (None, "closest", "pct1_dropremainder") or (match["rounding"] and not percent):
        raise DataError(f"the split '{split}': rounding is (closest) or (pct1_dropremainder), after a slice in percent")
    return SplitPart(match["name"] or "", start, stop, percent, match["rounding"] == "pct1_dropremainder")


def check_taking(shuffle_seed: object, limit: object) -> None:
    """Raises `SettingsError` for a limit or a seed that takes no rows in no order."""
    if limit is not None and not (isinstance(limit, int | np.integer) and limit >= 1):
        raise SettingsError(f"limit is a number of rows, at least 1, not {limit!r}")
    if shuffle_seed is not None and not (isinstance(shuffle_seed, int | np.integer) and shuffle_seed >= 0):
        raise SettingsError(f"shuffle_seed is a whole number, 0 or more, not {shuffle_seed!r}")
