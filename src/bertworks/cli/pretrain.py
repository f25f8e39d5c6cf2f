"""`bertworks pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options
from bertworks.errors import SettingsError


def pretrain(
    config: Annotated[str | None, typer.Argument(help="Configuration, a TOML file.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; by default the next free runs/pretraining-N.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Go on with the run in this folder, with its own configuration.")] = None,
    json: options.Json = False,
) -> None:
    """Pretrain an encoder on a prepared corpus: masked words, replaced words, and what follows what.

    The configuration has the tables corpus, model, objectives.masked_lm (next_sentence, replaced_token_detection …) and training;
    docs/pretraining-settings.md lists every key. bertworks recipe show cpu-evening prints one to begin with.
    Ctrl-C saves the run, and --resume goes on with it.

    Several processes, on as many GPUs or CPUs, share the work: torchrun --nproc-per-node 2 --max-restarts 3 -m bertworks
    pretrain evening.toml --output runs/my-encoder. Begun again, such a command goes on with its run.

    Example: bertworks pretrain evening.toml --output runs/my-encoder
    """
    if config is not None and resume is not None:
        raise SettingsError("a run is resumed with its own configuration: leave out the file")
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.pretraining.run import pretrain as run
    from bertworks.estimators.progress import TerminalProgress
    from bertworks.training.distributed import is_first

    report = run(config, output=output, resume=resume, progress=TerminalProgress())
    if not is_first():
        return
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    if report.metrics is not None:
        show.heading(console, "held-out text")
        numbers = [(name.replace("_", " "), f"{value:.4f}") for name, value in report.metrics.items() if isinstance(value, float)]
        show.print_columns(console, numbers)
    else:
        show.heading(console, "nothing was judged: the corpus has no held-out documents (bertworks corpus prepare … --held-out 0.005)")
    done = "is finished already" if report.was_finished else "done"
    speed = f"{report.tokens / max(report.seconds, 1e-9):,.0f} tokens/s"
    show.heading(console, f"{done}: {report.steps:,} steps, {report.tokens:,} tokens in {report.seconds:,.0f} s ({speed})")
    show.lines(console, [f"bertworks train your.csv --model {report.model}"])
