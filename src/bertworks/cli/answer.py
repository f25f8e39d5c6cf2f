"""`bertworks answer`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options
from bertworks.cli.texts import incoming, refuse_options_of_file

_AROUND = 60
"""Characters that are shown on both sides of an answer."""


def answer(
    model: Annotated[str, typer.Argument(help="Run folder or model folder of a question answerer.", show_default=False)],
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    context: Annotated[str | None, typer.Option("--context", "-c", help="The text that may answer it; - for standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A text file that may answer it, of any length.")] = None,
    candidates: Annotated[int, typer.Option("--candidates", "-n", help="So many answers, the best first; 20 at most.")] = 1,
    encoding: options.Encoding = "utf-8",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Answer a question by the words of a text.

    An answer is a line: its text, its score and where it stands, with tabs between them. The text is read whole, however long.

    Examples: bertworks answer runs/squad-1 "Who built it?" --context "The bridge was built by monks." · bertworks answer
    runs/squad-1 "Who built it?" --file history.txt --candidates 3
    """
    from bertworks.cli import output as show
    from bertworks.data.files import decode_text, read_bytes
    from bertworks.estimators.answers.verbs import answer as run

    if file is None:
        refuse_options_of_file(answer, {"encoding": encoding})
    if context == "-":
        context = "".join(incoming())
    machine = {"device": device, "precision": precision, "threads": threads}
    found = run(model, question, context=context, file=file, candidates=candidates, encoding=encoding, **machine)
    if json:
        show.print_json(found[0].to_dict() if candidates == 1 else [each.to_dict() for each in found])
        return
    text = context if file is None else decode_text(read_bytes(file.expanduser()), encoding, str(file))
    for each in found:
        if not each.text:
            typer.echo(f"(no answer)\t{each.score:.4f}")
            continue
        before, after = (text or "")[max(0, each.start - _AROUND) : each.start], (text or "")[each.end : each.end + _AROUND]
        around = " ".join(f"{before}[{each.text}]{after}".split())
        typer.echo(f"{' '.join(each.text.split())}\t{each.score:.4f}\t{each.start}-{each.end}\t{around}")
