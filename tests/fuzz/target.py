"""What a target of the fuzzing is, and how its answers are judged.

A reader may give a result, or a `BertworksError` whose message a terminal can show. Anything else is a finding.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from bertworks.errors import BertworksError
from tests.fuzz.mutations import Mutation, mutate_bytes
from tests.fuzz.names import HOME

Made = TypeVar("Made")

LONGEST_MESSAGE = 3000


@dataclass(frozen=True)
class Target:
    """One reader with what it is fed."""

    seeds: Callable[[], list[bytes]]
    """Valid inputs, from which mutations start."""
    run: Callable[[bytes, Path], None]
    """Reads the bytes, with an empty folder to write in; raises what is a finding."""
    mutate: Mutation = mutate_bytes


@contextmanager
def only_deliberate_errors() -> Iterator[None]:
    """Lets deliberate errors pass whose message is one that a person can read; a table of tensors may have lines."""
    message = "-"
    try:
        yield
    except BertworksError as error:
        message = str(error) or f"{type(error).__name__} without a message"
    strange = sorted({character for character in message if not character.isprintable() and character != "\n"})
    assert "without a message" not in message
    assert not strange, f"the message holds {strange!r}: {message!r}"
    assert len(message) <= LONGEST_MESSAGE, f"the message has {len(message)} characters: {message[:200]!r}"
    assert "\n" not in message or re.search(r"tensors? do(es)? not (fit|hold)", message), f"the message has several lines: {message!r}"


@cache
def home() -> Path:
    """A folder for what targets share, as long as the process lives; `harness.py` says where, and removes it."""
    return Path(tempfile.mkdtemp(prefix="bertworks-fuzz-", dir=os.environ.get(HOME)))


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(dir=home()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_MADE: list[Any] = []


def shared(make: Callable[[], Made]) -> Callable[[], Made]:
    """What `make` makes, once; made anew where the shared folder was removed in between."""
    made = cache(make)
    _MADE.append(made)
    return made


def forget_home() -> None:
    """Removes what this process made."""
    shutil.rmtree(home(), ignore_errors=True)
    home.cache_clear()
    for made in _MADE:
        made.cache_clear()
