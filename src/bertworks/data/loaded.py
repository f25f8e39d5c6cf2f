"""What sources are to the readers: splits that can be read, and what reading one yields."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.faults import OnBadRows


@dataclass(frozen=True)
class Loaded:
    """One whole table, before any slice of it is taken."""

    table: pa.Table
    """The rows that could be read."""
    numbers: Int[Array, "rows"] | None = None
    """The number of each row in its source, from 0; None where nothing was left out."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that could not be read and were left out, by reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """Rows that were read in a noteworthy way, by reason."""

    def row_numbers(self) -> Int[Array, "rows"]:
        """The number of each row in its source, from 0."""
        return np.arange(self.table.num_rows, dtype=np.int64) if self.numbers is None else self.numbers


@dataclass(frozen=True)
class ReadOptions:
    """How files are read."""

    encoding: str = "utf-8"
    delimiter: str | None = None
    on_bad_rows: OnBadRows = "error"


@dataclass(frozen=True)
class Source:
    """Splits that can be read."""

    name: str
    """As shown in messages."""
    splits: Mapping[str, Callable[[], Loaded]]
    """A reader of each split, in the source's own order."""
    one_table: bool = False
    """Whether this is a single table, so that no split needs to be named."""
