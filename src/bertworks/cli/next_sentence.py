"""`bertworks next-sentence`."""

from typing import Annotated

import typer

from bertworks.cli import options
from bertworks.cli.texts import piped_lines
from bertworks.errors import DataError, SettingsError


def next_sentence(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Two texts; without any, lines of standard input with a tab between the two.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model folder, run folder or hub name; by default the encoder of bertworks.")
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """How probable it is that the second text follows the first in a document.

    Example: bertworks next-sentence "She opened the door." "A cold wind blew in."
    """
    if texts and len(texts) != 2:
        raise SettingsError(f"two texts are compared, not {len(texts)}: put each in quotes")
    if texts:
        pairs = [(texts[0], texts[1])]
    else:
        nothing = "there is nothing to judge: give two texts, each in quotes, or pipe in lines with a tab between the two"
        lines = [line for line in piped_lines(nothing) if line.strip()]
        wrong = next((line for line in lines if line.count("\t") != 1), None)
        if wrong is not None:
            raise DataError(f"a line is two texts with a tab between them, not: {wrong:.60}")
        pairs = [(first, second) for first, second in (line.split("\t") for line in lines)]
    from bertworks.cli.output import print_json
    from bertworks.estimators.next_sentence import NextSentence

    judge = NextSentence(model, device=device, precision=precision, threads=threads)  # type: ignore[arg-type]
    for (first, second), probability in zip(pairs, judge.predict(pairs).tolist(), strict=True):
        if json:
            print_json({"text": first, "pair": second, "follows": probability})
        else:
            typer.echo(f"{probability:.4f}\t{first}\t{second}")
