"""`bertworks predict`."""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bertworks.cli import options
from bertworks.cli.texts import incoming, is_piped, refuse_options_of_file
from bertworks.errors import BertworksError, DataError, SettingsError

_MOST_AT_ONCE = 256


def predict(
    model: Annotated[str, typer.Argument(help="Run folder or model folder.", show_default=False)],
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts; without any and without --file, each line of standard input is one.", show_default=False),
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Predict every row of a file, folder or data set.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the table of --file here, with the predictions.")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Give the probability of every label.")] = False,
    text: options.TextColumn = None,
    pair: options.PairColumn = None,
    choices: options.ChoiceColumns = None,
    split: options.Split = None,
    limit: options.Limit = None,
    on_bad_rows: options.OnBadRows = "error",
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Predict texts, the rows of a table, or the lines of a pipe.

    An answer is a line: label, its probability and the text, with tabs between them; of a model for entities, the text
    with its entities marked. For a model of pairs, the two texts stand in one line with a tab between them, or are given
    as two arguments; for multiple choice, so does a question with its choices. A pretrained model fills in what is masked
    ([MASK]), as fill-mask does: what stands there best, its probability, and the whole text.

    Examples: bertworks predict runs/reviews-1 "A fine film." · bertworks predict runs/reviews-1 --file new.csv
    --output answers.csv · cat texts.txt | bertworks predict runs/reviews-1
    """
    arguments = {k: v for k, v in locals().items() if k not in ("json", "texts", "model", "file", "output", "probabilities")}
    if choices is None:
        del arguments["choices"]  # which most tasks do not have
    if texts and file is not None:
        raise SettingsError("give either texts or --file, not both")
    if output is not None and file is None:
        raise SettingsError("--output writes the table of --file: name it")
    if file is None:
        refuse_options_of_file(predict, arguments)
        _predict_lines(model, texts, {"device": device, "precision": precision, "threads": threads}, probabilities, json)
        return
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.predict import predict as run

    with show.row_bar("predicting") as progress:
        report = run(model, file=file, output=output, probabilities=probabilities, progress=progress, **arguments)
    _print_answers(report.predictions, json)
    if output is not None and json:
        show.print_json(report.to_dict())
        return
    console = Console(stderr=output is None)
    if output is not None:
        show.heading(console, f"{report.accounting.rows:,} rows → {report.output} ({report.seconds:.1f} s)")
        show.lines(console, [f"{name}: {count:,}" for name, count in report.counts.most_common(20)])
    show.lines(console, report.notes + report.accounting.lines()[output is None :])


def _predict_lines(model: str, texts: list[str] | None, machine: dict[str, Any], probabilities: bool, json: bool) -> None:
    """Texts of the command line, or of standard input line by line."""
    if not texts and not is_piped():
        raise SettingsError(
            "there is nothing to predict: give a text in quotes, --file, or pipe texts in (cat texts.txt | bertworks predict …)"
        )
    from bertworks.accounting import Accounting
    from bertworks.estimators.load import load
    from bertworks.estimators.verbs.predict import answers

    classifier = load(model, **machine)
    seen = Accounting()
    batches: Iterable[list[str]] = [texts] if texts else _as_they_come(line.rstrip("\r\n") for line in incoming())
    read = 0
    for lines in batches:
        rows = _rows(classifier.task_, lines, piped=not texts)
        for found, accounting in answers(classifier, rows, probabilities=probabilities, first_row=read):
            _print_answers(found, json)
            seen += accounting
        read += len(lines)
    if not seen.rows:
        raise DataError("standard input held no text")
    for line in seen.lines()[1:]:
        typer.echo(line, err=True)


def _rows(task: Any, lines: list[str], *, piped: bool) -> Sequence[Any]:
    """What lines, or else arguments, mean to a model: texts, pairs of texts, or questions with their choices."""
    if task.name == "multiple_choice":
        return questions_with_choices(lines, piped=piped)
    return _pairs(lines, piped=piped) if getattr(task, "pairs", False) else lines


def questions_with_choices(lines: list[str], *, piped: bool) -> list[tuple[str, list[str]]]:
    """What lines, or else arguments, mean to a model that chooses: one question in all arguments, or one in each line."""
    if not piped and len(lines) > 2 and not any("\t" in line for line in lines):
        return [(lines[0], lines[1:])]
    for line in lines:
        if line.count("\t") < 2:
            wanted = "this model chooses: give a question and two choices at least, as arguments or in a line with tabs between them"
            raise DataError(f"{wanted}; there is no choice, or one only, for: {line:.60}")
    return [(question, choices) for question, *choices in (line.split("\t") for line in lines)]


def _pairs(lines: list[str], *, piped: bool) -> list[tuple[str, str]]:
    """What lines, or else arguments, mean to a model of pairs: one pair in two arguments, or one in each line."""
    if not piped and len(lines) == 2 and not any("\t" in line for line in lines):
        return [(lines[0], lines[1])]
    for line in lines:
        if line.count("\t") != 1:
            wanted = "this model reads pairs of texts, two in a line with a tab between them"
            raise DataError(f"{wanted}; this line has {line.count(chr(9))} tabs: {line:.60}")
    return [(first, second) for first, second in (line.split("\t") for line in lines)]


def _print_answers(found: Sequence[Any], json: bool) -> None:
    from bertworks.cli.output import print_json

    for answer in found:
        if json:
            print_json(answer.to_dict())
        else:
            typer.echo(answer.line)


def _as_they_come(lines: Iterator[str]) -> Iterator[list[str]]:
    """Lines in groups: all that have arrived by now, so that one typed line is answered at once and a long file fast."""
    arrived: queue.Queue[str | BaseException | None] = queue.Queue(maxsize=4 * _MOST_AT_ONCE)

    def read() -> None:
        try:
            for line in lines:
                arrived.put(line)
            arrived.put(None)
        except BaseException as error:
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    ended = False
    while not ended:
        group: list[str] = []
        line = arrived.get()
        while True:
            if isinstance(line, BertworksError):
                raise line
            if isinstance(line, BaseException):
                raise DataError(f"standard input cannot be read: {line}") from line
            if line is None:
                ended = True
                break
            group.append(line)
            if len(group) == _MOST_AT_ONCE or arrived.empty():
                break
            line = arrived.get()
        if group:
            yield group
