"""What a reader of one file or object hands on: its table and what became of its rows."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from bertworks.batch import Array


@dataclass(frozen=True)
class Loaded:
    """One whole table, before any slice of it is taken."""

    table: pa.Table
    """The rows that could be read."""
    numbers: Int[Array, "rows"] | None = None
    """The number of each row in its source, from 0; None where nothing was left out."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that could not be read and were left out, by reason."""

    def row_numbers(self) -> Int[Array, "rows"]:
        """The number of each row in its source, from 0."""
        return np.arange(self.table.num_rows, dtype=np.int64) if self.numbers is None else self.numbers
