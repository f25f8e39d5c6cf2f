"""`bertworks explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bertworks.cli import options
from bertworks.cli.texts import piped_text
from bertworks.errors import DataError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from bertworks.estimators.verbs.explain import ExplanationReport

_OUTPUT = Path("explanation.html")
_STRONGEST = 8
_FAINT = 0.08
"""Below this share of the strongest word's value, a word gets no colour."""


def _attention(*flags: str, text: str) -> Any:
    return typer.Option(*flags, help=text, rich_help_panel="Attention")


def explain(
    model: Annotated[str, typer.Argument(help="Run folder, model folder or encoder.", show_default=False)],
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="The text, or two: a pair, a text to compare with, a question and its context; or a question and its choices. Standard "
            "input where none is given.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="What to explain instead of the model's answer: a label, an entity, words of the context, or a choice by its text, its "
            "letter or its number from 0.",
            metavar="LABEL",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="What to show: which words speak for the answer, whether that is faithful, heat maps, what [CLS] attends to, "
            "attention followed through all layers; all of it by default.",
            metavar="attribution|faithfulness|attention|cls|rollout|all",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write: .html, .png, .svg, .json or .npz; explanation.html by default.")
    ] = None,
    baseline: Annotated[
        str, typer.Option("--baseline", help="What stands for no word where attributions begin.", metavar="pad|mask|zero")
    ] = "pad",
    layer: Annotated[int | None, _attention("--layer", text="Layer to show, from 0; the last by default.")] = None,
    head: Annotated[int | None, _attention("--head", text="Head to show, from 0; all by default.")] = None,
    window: Annotated[int | None, _attention("--window", text="Window of a long text to show, from 0.")] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Show why a model answers as it does.

    The page needs no network. With --json nothing is written but what --output names.

    Examples: bertworks explain runs/reviews-1 "A fine film." · bertworks explain runs/reviews-1 "A fine film." --kind
    attention --layer 2 --head 3 --output map.png · bertworks explain runs/quiz-1 "What is hot?" "ice" "tea" --target ice
    """
    arguments = {k: v for k, v in locals().items() if k not in ("json", "texts", "output")}
    piped = not texts
    if not texts:
        texts = [piped_text("there is nothing to explain: give a text in quotes, or pipe one in").strip()]
    arguments |= _asked(model, texts, piped)
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.explain import explain as run

    errors = Console(stderr=True)
    with errors.status("loading") as status:
        report = run(output=output or (None if json else _OUTPUT), progress=status.update, **arguments)
    if json:
        show.print_json(report.to_dict())
        return
    _print(Console(), report)


def _asked(model: str, texts: list[str], piped: bool) -> dict[str, Any]:
    """The arguments that the texts of the command line are to this model's verb."""
    from bertworks.cli.predict import questions_with_choices
    from bertworks.estimators.verbs import kinds

    if kinds.of_explained({"model": model}).name == "choices":
        questions = questions_with_choices(texts[0].splitlines() if piped else texts, piped=piped)
        if len(questions) > 1:
            raise DataError(f"one question is explained at a time, with its choices; {len(questions)} were given")
        return {"text": questions[0][0], "choices": questions[0][1]}
    if len(texts) > 2:
        raise SettingsError(f"this model reads one text or two, but {len(texts)} were given: put quotes around each")
    return dict(zip(("text", "pair"), texts, strict=False))


def _print(console: "Console", report: "ExplanationReport") -> None:
    from bertworks.cli import output as show

    explanation = report.explanation
    if explanation.answer is not None:
        said, probabilities = explanation.answer.prediction, explanation.answer.probabilities
        several = isinstance(said, tuple)
        told = ", ".join(map(str, said)) if several else str(said) if probabilities else f"{said:.4g}"
        sure = "" if several or not probabilities else f" ({probabilities[str(said)]:.1%})"
        named = "" if several or probabilities or explanation.answer.name == "prediction" else f"{explanation.answer.name} "
        show.heading(console, f"{named}{told or 'no label'}{sure}")
    if explanation.truncated_tokens:
        show.lines(console, [f"{explanation.truncated_tokens:,} tokens of the text were not read"])
    if explanation.answer is not None and report.kind in ("all", "attribution", "faithfulness"):
        _print_attribution(console, report)
    if report.kind == "cls":
        for window in explanation.shown:
            read = explanation.cls_attention(report.layer, report.head, window=window)
            ranked = sorted(read, key=lambda pair: -pair[1])[:_STRONGEST]
            show.print_columns(console, [(show.shorten(name), f"{value:.4f}") for name, value in ranked])
    if explanation.largest_deviation:
        checked = f"attention checked against the model's own output: off by {explanation.largest_deviation:.1e} at most"
        show.lines(console, [checked], style="dim")
    show.heading(console, f"{report.output} ({report.seconds:.1f} s)")


def _print_attribution(console: "Console", report: "ExplanationReport") -> None:
    from bertworks.cli import output as show

    explanation, found = report.explanation, report.explanation.attributions
    for runs in explanation.runs:
        console.print()
        console.print(_coloured(runs, found.words.tolist()))
    console.print()
    ranked = sorted(zip(explanation.words, found.words.tolist(), strict=True), key=lambda pair: -abs(pair[1]))[:_STRONGEST]
    show.print_columns(console, [(show.shorten(word.text), f"{value:+.4f}") for word, value in ranked])
    console.print()
    if found.warning is not None:
        show.lines(console, [f"warning: {found.warning}"], style="red")
    if report.kind != "attribution":
        show.lines(console, [explanation.faithfulness.sentence])
    show.lines(console, [found.check], style="dim")


def _coloured(runs: list[tuple[str, int | None]], values: list[float]) -> "Text":
    """A text with its words on blue (for) and orange (against)."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    largest = max(map(abs, values), default=0.0) or 1.0
    out = Text()
    for run, number in runs:
        share = 0.0 if number is None else values[number] / largest
        if abs(share) < _FAINT:
            out.append(run, style="" if number is not None or run.isspace() else "dim italic")
            continue
        full = (0, 104, 163) if share > 0 else (179, 71, 0)
        ground = Color.from_rgb(*(255 + abs(share) * (part - 255) for part in full))
        ink = Color.from_rgb(255, 255, 255) if abs(share) > 0.85 else Color.from_rgb(20, 23, 26)
        out.append(run, style=Style(color=ink, bgcolor=ground))
    return out
