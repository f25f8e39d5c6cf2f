"""Where commands take texts from: the command line, standard input, or a file with options of its own."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bertworks.cli import options
from bertworks.errors import DataError, SettingsError

_OF_FILES = ("text", "pair", "choices", "split", "limit", "on_bad_rows", "encoding", "delimiter")


def refuse_options_of_file(command: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raises `SettingsError` where options of a command say how its --file is read, and it reads texts instead."""
    odd = options.given({name: values[name] for name in _OF_FILES if name in values}, command)
    if odd:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in odd)
        raise SettingsError(f"{flags}: only what --file names is read in such a way: name it, or leave out {', '.join(odd)}")


def is_piped() -> bool:
    """Whether standard input may hold texts: not at a terminal, nor where a program was begun without any."""
    return sys.stdin is not None and not sys.stdin.isatty()


def piped_text(nothing: str) -> str:
    """Standard input as one text. Raises `SettingsError`, which says `nothing`, where nothing is piped in, and `DataError` where it
    cannot be read or holds no text."""
    if not is_piped():
        raise SettingsError(nothing)
    text = "".join(incoming())
    if not text.strip():
        raise DataError("standard input held no text")
    return text


def piped_lines(nothing: str) -> list[str]:
    """The lines of standard input; raises what `piped_text` does."""
    return [line.rstrip("\r") for line in piped_text(nothing).removesuffix("\n").split("\n")]


def incoming() -> Iterator[str]:
    """The lines of standard input as they come, with their ends. Raises `DataError` where it is closed, or no text."""
    if sys.stdin is None:
        raise DataError("standard input is closed: pipe a text in, or give it in quotes")
    try:
        yield from sys.stdin
    except UnicodeDecodeError as error:
        wrong, name = error.object[error.start], error.encoding.upper()
        raise DataError(
            f"standard input is not valid {name}: it has a byte 0x{wrong:02x}; convert it first (iconv -f latin1 -t utf-8), or put it "
            "into a file and name that with its encoding"
        ) from None
