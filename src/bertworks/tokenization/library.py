"""The `tokenizers` library's ways to fail, as deliberate errors.

It raises plain exceptions without a class of their own, and where its Rust code panics (a damaged tokenizer.json can
bring it to that) a `PanicException`, which Python does not count among the exceptions and which would end the process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
