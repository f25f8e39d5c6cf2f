"""A training's progress in the terminal, drawn by rich on standard error."""

import textwrap
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from bertworks.training.progress import Progress, StepReport

_SHOWN = (
    "masked_lm_loss",
    "masked_lm_accuracy",
    "next_sentence_accuracy",
    "f1",
    "conlleval_f1",
    "strict_f1",
    "accuracy",
    "macro_f1",
    "micro_f1",
    "exact_match",
    "spearman",
    "pearson",
    "log_loss",
    "mean_squared_error",
)
"""Metrics that the line of an evaluation may name beside the one that the model is judged by: three in all."""
_TOPIC_WIDTH = 10


class TerminalProgress(Progress):
    """What is known before, a bar with loss, tokens a second, share of padding and time left, a line an evaluation.

    Where standard error is no terminal there are lines only, no bar.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=True,
            expand=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def facts(self, about: str, lines: Sequence[str]) -> None:
        room = max(20, self._console.width - _TOPIC_WIDTH - 1)
        wrapped = [part for line in lines for part in textwrap.wrap(line, room, subsequent_indent="  ", break_on_hyphens=False)]
        for number, line in enumerate(wrapped):
            topic = Text(f"{about if number == 0 else '':{_TOPIC_WIDTH}} ", style="bold")
            self._console.print(topic.append(line, style="not bold"), soft_wrap=True)

    def start(self, steps: int, done: int) -> None:
        self._bar.start()
        self._task = self._bar.add_task("training", total=steps, completed=done, figures="")
        if done:
            self.message(f"going on at step {done:,} of {steps:,}")

    def step(self, report: StepReport) -> None:
        if self._task is not None:
            left = str(timedelta(seconds=round(report.seconds_left)))
            figures = f"loss {report.loss:.3f} · {report.tokens_per_second:,.0f} tokens/s · padding {report.padding:.0%} · {left}"
            self._bar.update(self._task, completed=report.step, figures=figures)

    def evaluated(self, step: int, metrics: Mapping[str, Any], headline: str, best: bool) -> None:
        others = [name for name in _SHOWN if name in metrics and not (name == "micro_f1" and "accuracy" in metrics)]
        shown = list(dict.fromkeys([headline, *others]))[:3]
        figures = " · ".join(f"{name.replace('_', ' ')} {metrics[name]:.4f}" for name in shown)
        line = Text(f"step {step:,}: validation {figures}")
        self._console.print(line.append(" · best so far", style="green") if best else line, soft_wrap=True)

    def message(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def finish(self) -> None:
        self._bar.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
