"""`bertworks tokenizer train` and `bertworks tokenizer inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bertworks.cli import options

if TYPE_CHECKING:
    from bertworks.estimators.verbs.tokenizer import TokenizerReport
    from bertworks.tokenization.statistics import CutWord, TextStatistics

_WORD_WIDTH, _PIECES_WIDTH = 24, 60

app = typer.Typer(
    help="Train a tokenizer on text files, or see how one fits them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _vocabulary(*flags: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*flags, help=text, metavar=metavar, rich_help_panel="Vocabulary")


def _data(flag: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(flag, help=text, metavar=metavar, rich_help_panel="Data")


Files = Annotated[
    list[str],
    typer.Argument(help="Text files, folders or patterns: .txt .jsonl .parquet .csv …, also .gz .xz .bz2 .zst.", show_default=False),
]
Unit = Annotated[str, _data("--unit", "What a document is in plain text.", "line|paragraph|file")]
OnBadBytes = Annotated[str, _data("--on-bad-bytes", "Bytes that are no text: stop, or replace and count them.", "error|replace")]


def train(
    files: Files,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="New folder; by default the next free runs/tokenizer-N.")] = None,
    kind: Annotated[
        str, _vocabulary("--kind", text="WordPiece (BERT) or byte-level BPE (RoBERTa, ModernBERT).", metavar="wordpiece|bpe")
    ] = "wordpiece",
    vocabulary_size: Annotated[
        int, _vocabulary("--vocabulary-size", "--vocab-size", text="Tokens, special ones included.", metavar="NUMBER")
    ] = 30_000,
    lower_case: Annotated[
        bool | None, _vocabulary("--uncased/--cased", text="Lower-case all text, or keep capitals. Usual: WordPiece uncased, BPE cased.")
    ] = None,
    strip_accents: Annotated[
        bool | None, _vocabulary("--strip-accents/--keep-accents", text="Take accents off letters. Usual: where uncased.")
    ] = None,
    chinese_characters: Annotated[
        bool | None, _vocabulary("--chinese-characters/--no-chinese", text="Make each Chinese character a word. Usual: WordPiece yes.")
    ] = None,
    special_tokens: Annotated[
        str | None, _vocabulary("--special-tokens", text="[CLS] … or <s> … Usual: WordPiece bert, BPE roberta.", metavar="bert|roberta")
    ] = None,
    limit_alphabet: Annotated[
        int | None,
        _vocabulary("--limit-alphabet", text="Most characters kept, others are unknown. Usual: WordPiece 1000.", metavar="NUMBER"),
    ] = None,
    minimum_frequency: Annotated[
        int, _vocabulary("--minimum-frequency", text="How often two pieces must stand side by side to become one.", metavar="NUMBER")
    ] = 2,
    multiple_of: Annotated[
        int, _vocabulary("--multiple-of", text="Round the vocabulary size up to a multiple of this: 64, say.", metavar="NUMBER")
    ] = 1,
    held_out: Annotated[list[str] | None, _data("--held-out", "Other text to measure on; may be repeated.", "FILES")] = None,
    text: options.TextColumn = None,
    unit: Unit = "line",
    encoding: options.Encoding = "utf-8",
    on_bad_rows: options.OnBadRows = "error",
    on_bad_bytes: OnBadBytes = "error",
    json: options.Json = False,
) -> None:
    """Train a tokenizer on text files of any size.

    The same text gives the same tokenizer, to the byte. The folder is read by transformers too.

    Example: bertworks tokenizer train corpus/*.txt.xz --vocab-size 16000 --uncased -o tokenizer
    """
    arguments = {k: v for k, v in locals().items() if k != "json"}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.tokenizer import train_tokenizer as run

    with show.stage_bar() as progress:
        report = run(**arguments, progress=progress)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    show.heading(console, f"tokenizer → {report.output}")
    for name, value in _facts(report).items():
        show.named(console, name, value)
    columns = {"training text": report.training} | ({} if report.held_out is None else {"held-out text": report.held_out})
    _print_statistics(console, columns)
    if report.notes:
        show.heading(console, "to know")
        show.lines(console, report.notes)


def inspect(
    tokenizer: Annotated[str, typer.Argument(help="Folder of a tokenizer or model, or a file of it.", show_default=False)],
    files: Files,
    text: options.TextColumn = None,
    unit: Unit = "line",
    encoding: options.Encoding = "utf-8",
    on_bad_rows: options.OnBadRows = "error",
    on_bad_bytes: OnBadBytes = "error",
    json: options.Json = False,
) -> None:
    """See how a tokenizer fits text files: tokens a word, what is unknown, how words are cut.

    Example: bertworks tokenizer inspect runs/tokenizer-1 articles.jsonl
    """
    arguments = {k: v for k, v in locals().items() if k != "json"}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.tokenizer import inspect_tokenizer as run

    with show.stage_bar() as progress:
        report = run(**arguments, progress=progress)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    show.heading(console, tokenizer)
    show.named(console, "vocabulary", f"{report.tokenizer.vocabulary_size:,} tokens")
    show.named(console, "read", report.read.lines()[0])
    _print_statistics(console, {"this text": report.texts})
    notes = [*report.tokenizer.notes, *report.read.lines()[1:]]
    if notes:
        show.heading(console, "to know")
        show.lines(console, notes)


for _command in (train, inspect):
    app.command(help="\n\n".join(" ".join(part.split()) for part in (_command.__doc__ or "").split("\n\n")))(_command)


def _facts(report: "TokenizerReport") -> dict[str, str]:
    """What was trained, in lines of a name and a value."""
    trained, settings = report.trained, report.trained.settings
    cleaning = ["uncased" if settings.lower_case else "cased", "accents stripped" if settings.strip_accents else "accents kept"]
    if settings.kind == "wordpiece":
        cleaning.append("Chinese characters apart" if settings.chinese_characters else "Chinese characters not apart")
    size, special = trained.tokenizer.vocabulary_size, len(settings.roles)
    single = size - special - trained.pieces - trained.unused_tokens
    parts = [f"{special} special", f"{single:,} single characters", f"{trained.pieces:,} longer"]
    parts += [f"{trained.unused_tokens:,} unused"] if trained.unused_tokens else []
    alphabet = f"{trained.alphabet:,} of {trained.characters:,} characters" if settings.kind == "wordpiece" else "256 bytes"
    return {
        "kind": ", ".join(["WordPiece" if settings.kind == "wordpiece" else "byte-level BPE", *cleaning]),
        "vocabulary": f"{size:,} tokens: {', '.join(parts)}",
        "alphabet": alphabet,
        "read": report.read.lines()[0],
        "time": f"reading {report.reading_seconds:,.1f} s, learning {report.learning_seconds:,.1f} s",
    }


def _print_statistics(console: Any, columns: "dict[str, TextStatistics]") -> None:
    """The figures of each text side by side, then the examples of the last."""
    from bertworks.cli import output as show

    rows = [
        ("", *columns),
        ("words", *(f"{found.words:,}" for found in columns.values())),
        ("tokens", *(f"{found.tokens:,}" for found in columns.values())),
        ("tokens a word", *(f"{found.tokens_per_word:.3f}" for found in columns.values())),
        ("characters a token", *(f"{found.characters_per_token:.3f}" for found in columns.values())),
        ("unknown tokens", *(f"{found.unknown_share:.3%}" for found in columns.values())),
        ("vocabulary used", *(f"{found.used_share:.1%}" for found in columns.values())),
    ]
    console.print()
    show.print_columns(console, rows, strong=3)
    last = list(columns.values())[-1]
    _print_cuts(console, "how words are cut", last.examples)
    if last.longest:
        show.heading(console, "longest tokens met")
        show.lines(console, ["  ".join(last.longest)])
    _print_cuts(console, "words that are unknown, or partly", last.unknown_words)


def _print_cuts(console: Any, title: str, cuts: "tuple[CutWord, ...]") -> None:
    from rich.cells import cell_len

    from bertworks.cli import output as show

    if not cuts:
        return
    show.heading(console, title)
    words = [show.shorten(cut.word, _WORD_WIDTH) for cut in cuts]
    width = max(map(cell_len, words))
    for word, cut in zip(words, cuts, strict=True):
        pieces = show.shorten(" ".join(cut.pieces), _PIECES_WIDTH)
        show.lines(console, [f"{word}{' ' * (width - cell_len(word))}  {pieces}  ({cut.times:,} ×)"])
