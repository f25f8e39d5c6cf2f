"""`bertworks generate`."""

import sys
import time
from typing import Annotated, Any

import typer

from bertworks.cli import options
from bertworks.cli.texts import piped_text, refuse_options_of_file
from bertworks.errors import SettingsError

_NOTHING = "there is nothing to continue: give a text in quotes, --file, or pipe one in"


def _sampling(flag: str, text: str) -> Any:
    return typer.Option(flag, help=text, rich_help_panel="Sampling")


def generate(
    model: Annotated[str, typer.Argument(help="Folder or hub name of a causal language model (GPT-2).", show_default=False)],
    prompt: Annotated[
        str | None, typer.Argument(help="The text to continue; standard input where none is given.", show_default=False)
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Continue every row of a file, folder or data set.")] = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", "-n", help="Most tokens that are added.")] = 50,
    stop: Annotated[list[str] | None, typer.Option("--stop", help="End before this text; may be given several times.")] = None,
    temperature: Annotated[float, _sampling("--temperature", "Below 1 the probable becomes more so; 0 takes the most probable.")] = 1.0,
    top_k: Annotated[int | None, _sampling("--top-k", "Draw from so many most probable tokens only.")] = None,
    top_p: Annotated[float, _sampling("--top-p", "Draw from the most probable tokens that together have this probability.")] = 0.95,
    seed: Annotated[int, _sampling("--seed", "The same seed gives the same text.")] = 0,
    text: options.TextColumn = None,
    split: options.Split = None,
    limit: options.Limit = None,
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Continue a text with a causal language model (GPT-2).

    Prints the prompt and what follows it, piece by piece as it comes. With --json, and for the rows of --file, a text is
    printed when it is finished; with --json in a line of its own, with its tokens and the reason why it ended.

    Examples: bertworks generate gpt2 "Once upon a time" · bertworks generate gpt2 --file prompts.txt --json · cat
    story.txt | bertworks generate gpt2 --temperature 0 --stop "THE END"
    """
    names = ("max_new_tokens", "temperature", "top_k", "top_p", "seed", "device", "precision", "threads")
    given = {**{name: value for name, value in locals().items() if name in names}, "stop": tuple(stop or ())}
    if prompt is not None and file is not None:
        raise SettingsError("give either a prompt or --file, not both")
    table = {"text": text, "split": split, "limit": limit, "encoding": encoding, "delimiter": delimiter}
    if file is not None:
        _print_all(model, {"file": file, **table, **given}, json)
        return
    refuse_options_of_file(generate, table)
    prompt = piped_text(_NOTHING).rstrip("\r\n") if prompt is None else prompt
    if json:
        _print_all(model, {"prompts": [prompt], **given}, json)
    else:
        _print_pieces(model, prompt, given)


def _print_all(model: str, arguments: dict[str, Any], json: bool) -> None:
    from bertworks.cli.output import print_json
    from bertworks.estimators.verbs.generate import generate as run

    report = run(model, **arguments)
    for one in report.generated:
        if json:
            print_json(one.to_dict())
        else:
            typer.echo(f"{one.prompt}{_printable(one.text)}\n")
    if not json:
        typer.echo(report.summary(), err=True)


def _print_pieces(model: str, prompt: str, given: dict[str, Any]) -> None:
    from bertworks.estimators.verbs.generate import GenerationReport, stream

    pieces = stream(model, prompt, **given)
    started = time.perf_counter()
    typer.echo(prompt, nl=False)
    for piece in pieces:
        typer.echo(_printable(piece), nl=False)
        sys.stdout.flush()
    typer.echo()
    typer.echo(GenerationReport([pieces.generated], time.perf_counter() - started).summary(), err=True)


def _printable(text: str) -> str:
    """A model may make any byte: those that would steer a terminal are shown as unknown characters."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
