"""The look that `train` takes at its rows before it begins."""

from pathlib import Path

from bertworks.architectures import read_description
from bertworks.checkpoints.hub import resolve
from bertworks.data.inspection import Inspection, TextRows, inspect_rows
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
        limit=limit if max_tokens is None else min(limit, max_tokens),
    )


def text_rows(rows: Rows) -> TextRows:
    """The rows as an inspection takes them."""
    return TextRows.of(rows.texts, rows.labels, kind=rows.kind, numbers=rows.numbers, name=rows.name)
