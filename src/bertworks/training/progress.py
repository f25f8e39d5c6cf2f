"""What a training tells whoever watches it. The loop never prints; faces draw what they like from these calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StepReport:
    """Figures of the last steps, as they stand in log.jsonl."""

    step: int
    steps: int
    epoch: float
    loss: float
    """Mean training loss since the last report."""
    learning_rate: float
    gradient_norm: float
    tokens: int
    """Tokens since the training began."""
    tokens_per_second: float
    padding: float
    """Share of computed tokens that were padding: 0 by construction, since batches are packed."""
    seconds_left: float


class Progress:
    """Watches a training; this one does nothing."""

    def facts(self, about: str, lines: Sequence[str]) -> None:
        """Before the training: what there is to know about its data, its model, the machine …"""

    def start(self, steps: int, done: int) -> None:
        """Training begins with `done` of `steps` steps made already."""

    def step(self, report: StepReport) -> None:
        """Some steps were made."""

    def evaluated(self, step: int, metrics: Mapping[str, Any], headline: str, best: bool) -> None:
        """The validation data were scored; `headline` names the metric by which the best model is kept."""

    def message(self, text: str) -> None:
        """Something worth a line happened."""

    def finish(self) -> None:
        """Training has ended, or was interrupted."""
