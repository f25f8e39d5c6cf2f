"""Options that several commands have, and those that are made from the fields of a dataclass."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection
from dataclasses import fields
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from bertworks.training.config import PrecisionName, TrainingConfig

_MACHINE = ("device", "precision", "threads", "token_budget")
_RUN = ("seed", "checkpoint_minutes", "checkpoint_steps", "log_steps")


def field_texts(dataclass: type) -> dict[str, str]:
    """The docstring of each field: the string that stands below it in the source.

    >>> field_texts(TrainingConfig)["token_budget"]
    'Most tokens computed at once; decides memory and speed, never the result. Halved, once, where memory runs out.'
    """
    body = ast.parse(textwrap.dedent(inspect.getsource(dataclass))).body[0].body  # type: ignore[attr-defined]
    texts = {}
    for statement, below in pairwise(body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts


_TEXTS = field_texts(TrainingConfig)


def _setting(name: str, kind: Any, panel: str) -> Any:
    """The annotation of an option for a training setting. A choice is checked by `TrainingConfig`, with its own message."""
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    text = _TEXTS[name] + (f" One of: {', '.join(choices)}." if choices else "")
    option = typer.Option(f"--{name.replace('_', '-')}", help=text, metavar="NAME" if choices else None, rich_help_panel=panel)
    return Annotated[str if choices else kind, option]


def with_training_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with an option for every field of `TrainingConfig` in place of its `**settings`."""
    parameters = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for field in fields(TrainingConfig):
        panel = "Machine" if field.name in _MACHINE else "Run" if field.name in _RUN else "Training"
        annotation = _setting(field.name, field.type, panel)
        parameters.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation))

    def call(*values: Any, **named: Any) -> Any:
        return command(*values, **named)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def with_options_of(other: Callable[..., Any], *, without: Collection[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that gives a command the options of another one, but those named, in place of its `**settings`."""
    more = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in inspect.signature(other).parameters.values() if p.name not in without]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = [*own, *(p for p in more if p.name not in {q.name for q in own})]

        def call(*values: Any, **named: Any) -> Any:
            return command(*values, **named)

        call.__name__, call.__doc__ = command.__name__, command.__doc__
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return call

    return decorate


def given(values: dict[str, Any], defaults: Callable[..., Any]) -> dict[str, Any]:
    """The values that differ from the default of the option of that name."""
    usual = {p.name: p.default for p in inspect.signature(defaults).parameters.values()}
    return {name: value for name, value in values.items() if value != usual.get(name)}


def _data(flag: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(flag, help=text, metavar=metavar, rich_help_panel="Data")


Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="What is to be learnt, where the data do not tell: classification, entities, answers, choices, embeddings or few-shot.",
        metavar="TASK",
    ),
]
Split = Annotated[str | None, _data("--split", "Part of the data: train, train[:2000], test[10%:20%], [:500] …")]
TextColumn = Annotated[str | None, _data("--text", "Column of the text; guessed where the guess is safe.", "COLUMN")]
PairColumn = Annotated[str | None, _data("--pair", "Column of the second text, for pairs.", "COLUMN")]
LabelColumn = Annotated[str | None, _data("--label", "Column of the label.", "COLUMN")]
ChoiceColumns = Annotated[
    list[str] | None,
    _data("--choices", "Choices: column of lists of them, or of one choice (repeat it for each); guessed where that is safe.", "COLUMN"),
]
FirstChoice = Annotated[
    int | None, _data("--first-choice", "Choices: what answers that are numbers call the first, 0 or 1; seen from the answers.")
]
Scheme = Annotated[
    str | None,
    _data("--scheme", "Entities: what tags mean, IOB1, IOB2, BIOES, BILOU, IO or words (no entities); found out by default.", "SCHEME"),
]
ShuffleSeed = Annotated[int | None, _data("--shuffle-seed", "Shuffle before a slice is taken (for files sorted by label).")]
Limit = Annotated[int | None, _data("--limit", "Take so many rows at most.", "ROWS")]
OnBadRows = Annotated[str, _data("--on-bad-rows", "Rows that cannot be read or lack a label: stop, or drop and count them.", "error|drop")]
Encoding = Annotated[str, _data("--encoding", "Encoding of text files.")]
Delimiter = Annotated[str | None, _data("--delimiter", "Delimiter of CSV files, where it is not found out.")]
Device = _setting("device", str, "Machine")
Precision = Annotated[
    str, typer.Option(help="dtype of products and states: auto, float32, bfloat16 or float16.", metavar="NAME", rich_help_panel="Machine")
]
TrainingPrecision = _setting("precision", PrecisionName, "Machine")
Threads = _setting("threads", int | None, "Machine")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
