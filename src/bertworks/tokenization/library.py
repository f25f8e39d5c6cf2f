"""The `tokenizers` library's ways to fail, as deliberate errors.

It raises plain exceptions without a class of their own, and where its Rust code panics (a damaged tokenizer.json can
bring it to that) a `PanicException`, which Python does not count among the exceptions and which would end the process.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

from tokenizers import Tokenizer as Backend

from bertworks.errors import BertworksError

_PANIC = "PanicException"


@contextmanager
def explained(explain: Callable[[str], BertworksError]) -> Iterator[None]:
    """Raises `explain(reason)` where the library fails; deliberate errors pass as they are.

    >>> from bertworks.errors import DataError
    >>> with explained(lambda reason: DataError(f"row 3: {reason}")):
    ...     raise Exception("no such token")
    Traceback (most recent call last):
    bertworks.errors.DataError: row 3: no such token
    """
    try:
        yield
    except BertworksError:
        raise
    except Exception as error:  # the library raises no narrower class
        raise explain(str(error) or type(error).__name__) from error
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise explain(f"the tokenizers library panicked: {error}") from error


def growth(backend: Backend) -> int:
    """How many times longer a text may become in normalizing, at most, by the replacements that are made one after the other.

    A dozen that make ten letters of one are a few lines in a tokenizer.json and more memory than any machine has, which
    the library does not survive.

    >>> from tokenizers import models, normalizers
    >>> backend = Backend(models.WordPiece({"[UNK]": 0}))
    >>> backend.normalizer = normalizers.Sequence([normalizers.Replace("a", "aaaa"), normalizers.Replace("a", "aaa")])
    >>> growth(backend)
    12
    """
    if backend.normalizer is None:
        return 1
    return prod(_factors(json.loads(backend.normalizer.__getstate__())))


def _factors(step: Any) -> Iterator[int]:
    if step.get("type") == "Sequence":
        for inner in step["normalizers"]:
            yield from _factors(inner)
    elif step.get("type") == "Replace":
        yield max(1, len(step["content"]))
