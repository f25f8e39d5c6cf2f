"""Accounting: a number for whatever happens to a user's data.

Rooms that touch data add to an `Accounting`; whoever runs them prints it and stores it with the result.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Accounting:
    """Counts of what was seen and of what was not used, with the reason.

    All fields are plain counts. `dropped` and `notes` map a reason in words to a number of rows.
    """

    rows: int = 0
    """Rows (examples) that were handed in."""
    sequences: int = 0
    """Packed sequences made of them: one a row, more where a long text was cut into windows."""
    tokens: int = 0
    """Tokens that the model sees, special tokens included."""
    padding_tokens: int = 0
    """Padding tokens computed. Zero by construction: batches are packed."""
    windowed_rows: int = 0
    """Rows that were too long for one sequence and were read in overlapping windows, whole."""
    truncated_rows: int = 0
    """Rows of which a part was not read."""
    truncated_tokens: int = 0
    """Tokens of these that were not read."""
    unknown_tokens: int = 0
    """Tokens that the vocabulary does not know ([UNK])."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that were not used at all, by reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """Rows that were used but changed or noteworthy, by reason."""

    def __add__(self, other: "Accounting") -> "Accounting":
        return Accounting(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Accounting":
        counters = {name: Counter(values.get(name, {})) for name in ("dropped", "notes")}
        return cls(**{**values, **counters})

    def lines(self) -> list[str]:
        """What a person should know, in a few lines; lines about losses appear only where there are any."""
        share = self.padding_tokens / max(1, self.padding_tokens + self.tokens)
        out = [f"{self.rows:,} rows → {self.sequences:,} sequences, {self.tokens:,} tokens, padding {share:.1%}"]
        if self.windowed_rows:
            out.append(f"{self.windowed_rows:,} long rows read whole, in overlapping windows")
        if self.truncated_rows:
            out.append(f"{self.truncated_rows:,} rows truncated: {self.truncated_tokens:,} tokens were not read")
        if self.unknown_tokens:
            out.append(f"{self.unknown_tokens:,} tokens unknown to the vocabulary ({self.unknown_tokens / max(1, self.tokens):.2%})")
        out += [f"{count:,} rows dropped: {reason}" for reason, count in self.dropped.items()]
        out += [f"{count:,} rows: {reason}" for reason, count in self.notes.items()]
        return out
