"""A training's progress in the terminal, drawn by rich on standard error."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from bertworks.training.progress import Progress, StepReport


class TerminalProgress(Progress):
    """A bar with loss, tokens a second, share of padding and time left; a line for each evaluation."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )

    def start(self, steps: int, done: int) -> None:
        self._bar.start()
        self._task = self._bar.add_task("training", total=steps, completed=done, figures="")

    def step(self, report: StepReport) -> None:
        figures = f"loss {report.loss:.4f} · {report.tokens_per_second:,.0f} tokens/s · padding {report.padding:.1%}"
        self._bar.update(self._task, completed=report.step, figures=figures)

    def evaluated(self, step: int, metrics: Mapping[str, Any], best: bool) -> None:
        shown = [name for name in ("accuracy", "macro_f1", "micro_f1", "spearman", "pearson", "log_loss", "mse") if name in metrics]
        figures = " · ".join(f"{name} {metrics[name]:.4f}" for name in shown[:3])
        self._bar.console.print(f"step {step}: validation {figures}{' [green]best so far[/green]' if best else ''}", highlight=False)

    def message(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)

    def finish(self) -> None:
        self._bar.stop()
