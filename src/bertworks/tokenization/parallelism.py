"""Threads of the `tokenizers` library, and processes that fork.

The library tokenizes a batch on all cores. A forked child inherits the memory of that thread pool but not its
threads, so a child that uses it waits for ever; where nothing is configured the library therefore switches the
threads off in the child and prints a warning at every fork. Here both are settled once: threads are on in the
parent (unless the user's environment says otherwise) and off in every forked child, without a word.
"""

import os

VARIABLE = "TOKENIZERS_PARALLELISM"


def _use_one_thread() -> None:
    os.environ[VARIABLE] = "false"


def configure() -> None:
    """Sets the default for this process and for the children that it will fork."""
    os.environ.setdefault(VARIABLE, "true")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_use_one_thread)
