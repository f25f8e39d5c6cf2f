"""The look that `train` takes at its rows before it begins."""

from pathlib import Path
from typing import Any

import numpy as np

from bertworks.architectures import read_description
from bertworks.checkpoints.hub import resolve
from bertworks.data.inspection import Inspection, TextRows, inspect_rows
from bertworks.errors import SettingsError
from bertworks.estimators.data_settings import Rows
from bertworks.tokenization import Tokenizer


def first_look(
    rows: Rows, validation: Rows | None, *, model: str | Path | None, revision: str | None = None, max_tokens: int | None = None
) -> Inspection:
    """What the training rows are like, and what would spoil a training on them; with the tokenizer of `model`, or of the
    default encoder, and the longest sequence that will be read."""
    folder = resolve(model, revision=revision)
    limit = read_description(folder)[2].max_tokens
    return inspect_rows(
        text_rows(rows),
        None if validation is None else text_rows(validation),
        tokenizer=Tokenizer.load(folder),
        limit=longest_read(max_tokens, limit),
    )


def longest_read(max_tokens: Any, limit: int) -> int:
    """The longest sequence to read, where `max_tokens` may be set. Raises `SettingsError` where the model, which reads `limit`, cannot."""
    longest = limit if max_tokens is None else max_tokens
    if not isinstance(longest, int | np.integer) or not 0 < longest <= limit:
        raise SettingsError(f"max_tokens is {max_tokens!r}, but the model reads from 1 to {limit} tokens at once")
    return int(longest)


def text_rows(rows: Rows) -> TextRows:
    """The rows as an inspection takes them."""
    return TextRows.of(rows.texts, rows.labels, kind=rows.kind, numbers=rows.numbers, name=rows.name)
