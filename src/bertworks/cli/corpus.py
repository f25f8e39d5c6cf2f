"""`bertworks corpus prepare` and `bertworks corpus show`."""

import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bertworks.cli import options
from bertworks.errors import SettingsError

if TYPE_CHECKING:
    from bertworks.data.corpus.corpus import Corpus
    from bertworks.data.corpus.prepare import PreparationProgress

app = typer.Typer(
    help="Make text files into a corpus for pretraining, or look into one.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")


def _text(*flags: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*flags, help=text, metavar=metavar, rich_help_panel="Text")


def prepare(
    files: Annotated[
        list[str], typer.Argument(help="Files, folders or patterns: text, JSONL, Parquet or CSV, also compressed.", show_default=False)
    ],
    tokenizer: Annotated[str, typer.Option("--tokenizer", help="Folder or file of the tokenizer, or hub name.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the corpus.", show_default=False)],
    lines: Annotated[
        str, _text("--lines", text="What a line is; found out for each file by default.", metavar="auto|sentences|paragraphs|wrapped")
    ] = "auto",
    language: Annotated[str, _text("--language", text="Language, for splitting paragraphs into sentences.", metavar="CODE")] = "en",
    text: options.TextColumn = None,
    encoding: options.Encoding = "utf-8",
    on_bad_rows: options.OnBadRows = "error",
    shard_tokens: Annotated[str, typer.Option("--shard-tokens", help="Tokens of a shard, about.", metavar="NUMBER")] = "4M",
    held_out: Annotated[float, typer.Option("--held-out", help="Share of the documents that are kept out of training.")] = 0.005,
    deduplicate: Annotated[
        str,
        _text(
            "--deduplicate",
            text="Leave out documents with the same, or nearly the same, text; near needs 16 bytes of memory a word.",
            metavar="none|exact|near",
        ),
    ] = "none",
    processes: Annotated[
        int | None, typer.Option("--processes", help="Processes that work at once; one a processor by default.", rich_help_panel="Machine")
    ] = None,
    json: options.Json = False,
) -> None:
    """Make of text files a corpus for pretraining: tokens in shards, with words, sentences and documents.

    A blank line ends a document. Run again after an interruption, it goes on where it stopped; where files, settings or
    tokenizer changed, it begins anew and says so.

    Example: bertworks corpus prepare texts/*.txt.xz --tokenizer runs/tokenizer --output corpora/novels
    """
    arguments = {name: value for name, value in locals().items() if name not in ("json", "shard_tokens")}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.corpus import CorpusReport, facts, prepare_corpus

    started = time.perf_counter()
    messages: list[str] = []
    with _bar(messages) as progress:
        corpus = prepare_corpus(**arguments, shard_tokens=whole_number(shard_tokens), progress=progress)
    seconds = time.perf_counter() - started
    if json:
        show.print_json({**CorpusReport(corpus).to_dict(), "messages": messages, "seconds": seconds})
        return
    console = Console()
    show.heading(console, f"corpus → {corpus.folder}")
    _print_facts(console, facts(corpus))
    _print_accounting(console, corpus)
    show.heading(console, f"done in {seconds:,.0f} s")
    show.lines(console, [f"bertworks corpus show {shlex.quote(str(corpus.folder))} --document 0"])


def show(
    folder: Annotated[Path, typer.Argument(help="Folder of a corpus.", show_default=False)],
    document: Annotated[int | None, typer.Option("--document", help="Show the document with this number, from 0.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check every byte of the corpus.")] = False,
    json: options.Json = False,
) -> None:
    """Show what is in a corpus.

    Example: bertworks corpus show corpora/novels --document 12
    """
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.corpus import facts, show_corpus

    report = show_corpus(folder, document=document, verify=verify)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    shown = report.document
    if shown is None:
        show.heading(console, f"{folder}")
        _print_facts(console, facts(report.corpus) | ({"verified": "every byte is what was written"} if verify else {}))
        _print_accounting(console, report.corpus)
        return
    place = f"document {shown.origin.number:,} of {shown.origin.file}" + (", held out" if shown.held_out else "")
    show.heading(console, f"document {shown.number:,}: {shown.tokens:,} tokens, {shown.words:,} words, {len(shown.sentences):,} sentences")
    show.lines(console, [f"{place}; in {shown.shard}"], style="dim")
    width = len(f"{len(shown.sentences)}")
    show.lines(console, [f"{place:{width}}  {sentence}" for place, sentence in enumerate(shown.sentences, 1)])


for _command in (prepare, show):
    app.command(help="\n\n".join(" ".join(part.split()) for part in (_command.__doc__ or "").split("\n\n")))(_command)


def _print_facts(console: Any, facts: dict[str, str]) -> None:
    from bertworks.cli import output as show

    for name, value in facts.items():
        show.named(console, name, value)


def _print_accounting(console: Any, corpus: "Corpus") -> None:
    from bertworks.cli import output as show

    first, *others = corpus.accounting.lines()
    show.named(console, "read", first)
    if others:
        show.heading(console, "to know")
        show.lines(console, others)


def whole_number(text: str) -> int:
    """A whole number, also with k, M or G behind it for thousands, millions and thousands of millions.

    >>> whole_number("4M"), whole_number("1.5k"), whole_number("300")
    (4000000, 1500, 300)
    """
    found = _NUMBER.fullmatch(text.strip())
    value = float(found[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[found[2].lower()] if found else 0.5
    if value != int(value):
        raise SettingsError(f"'{text}' is no whole number such as 500000, 500k or 4M")
    return int(value)


@contextmanager
def _bar(messages: list[str]) -> Iterator["PreparationProgress"]:
    """A bar on standard error, where that is a terminal, and lines for messages, which are gathered in `messages` too."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    from bertworks.data.corpus.prepare import PreparationProgress

    console = Console(stderr=True)
    columns = (
        TextColumn("preparing"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("preparing", total=None, figures="")
        started = time.perf_counter()
        counts = [0, 0]

        class Watcher(PreparationProgress):
            def message(self, text: str) -> None:
                messages.append(text)
                console.print(Text(text), soft_wrap=True)

            def read(self, done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            def encoded(self, documents: int, tokens: int) -> None:
                counts[0] += documents
                counts[1] += tokens
                seconds = max(1e-9, time.perf_counter() - started)
                bar.update(task, figures=f"{counts[0] / seconds:,.0f} documents/s · {counts[1] / seconds:,.0f} tokens/s")

        yield Watcher()
