"""A wrong input or a fault, and what is to be said about it.

To add a case, write one more entry in the list of its group (`settings_cases.py`, `file_cases.py` …), and run
`python -m tests.faults`, which writes `docs/errors.md` anew.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bertworks.errors import BertworksError

Change = Callable[[], AbstractContextManager[Any] | None]
"""Something done in the working folder before a case: a file is written, damaged or taken away. What it returns, if
anything, is entered before and left after."""


@dataclass(frozen=True)
class Case:
    """What is done wrong, and what of the answer matters. The working folder holds what `world.py` puts there."""

    title: str
    """What is wrong, in words."""
    run: str
    """A command line (beginning with "bertworks ") or a line of Python (with `bw`, and `Tokenizer` and the like at hand)."""
    error: type[BertworksError]
    """The type of the error; its exit code is that of the command line."""
    names: str
    """What the message must say of the place: a file, a row, a column, a setting."""
    advises: str
    """What the message must say of the way out."""
    before: tuple[Change, ...] = ()
    vague: str = ""
    """A regular expression for what depends on versions or on the machine; stands as "…" in the documentation."""
    table: bool = False
    """Whether lines of a table may follow the message."""
    leaves: tuple[str, ...] = field(default=())
    """Files that may be there afterwards and were not before."""


@dataclass(frozen=True)
class Outcome:
    """What a case came to."""

    error: type[BaseException] | None
    """The type of the error of a line of Python; None for a command line, whose errors do not get out."""
    code: int
    message: str
    """From "error: " on, without that and without the path of the working folder; what a command says on its way is left out."""
    left: tuple[str, ...]
    """What is in the working folder that was not there before."""


def provoke(case: Case, folder: Path) -> Outcome:
    """Does in `folder`, which becomes the working folder for the time being, what the case says."""
    quiet = {"COLUMNS": "80", "HF_HUB_OFFLINE": "1", "BERTWORKS_CACHE": str(folder / ".cache"), "HF_HOME": str(folder / ".cache")}
    with ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(patch.dict(os.environ, quiet))
        for change in case.before:
            context = change()
            if context is not None:
                stack.enter_context(context)
        before = _listing(folder)
        error, code, message = _command(case.run) if case.run.startswith("bertworks ") else _python(case.run)
        left = tuple(sorted(_listing(folder) - before))
    *_, message = re.split(r"^error: ", message, flags=re.MULTILINE)
    return Outcome(error, code, _without_place(message, folder), left)


def _command(line: str) -> tuple[None, int, str]:
    from bertworks.cli.main import run

    told, answered = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(answered), patch("sys.stdin", io.StringIO()):
        code = run(shlex.split(line)[1:])
    assert not answered.getvalue(), f"'{line}' printed {answered.getvalue()!r}"
    assert "Warning" not in told.getvalue(), told.getvalue()
    return None, code, told.getvalue().rstrip("\n")


def _python(line: str) -> tuple[type[BaseException] | None, int, str]:
    import bertworks
    from bertworks.checkpoints import open_tensors, resolve
    from bertworks.data.table import read_table
    from bertworks.data.text_data import read_texts
    from bertworks.tokenization import Tokenizer

    names = {"bw": bertworks, "Tokenizer": Tokenizer, "open_tensors": open_tensors, "resolve": resolve, "Path": Path}
    names |= {"read_table": read_table, "read_texts": read_texts}
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            exec(line, names)
    except BertworksError as error:
        return type(error), error.exit_code, f"error: {error}"
    return None, 0, ""


def _listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if ".cache" not in path.parts}


def _without_place(message: str, folder: Path) -> str:
    for place in (folder.resolve(), folder):
        message = message.replace(f"{place}{os.sep}", "").replace(str(place), ".")
    return re.sub(r"http://127\.0\.0\.1:\d+", "https://huggingface.co", message)


# ---- changes


def file(name: str, content: str | bytes) -> Change:
    """Writes a file."""

    def change() -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def without(name: str) -> Change:
    """Takes a file or a folder away."""

    def change() -> None:
        path = Path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def json_with(name: str, **changes: Any) -> Change:
    """Changes values at the top of a JSON file."""
    import json

    def change() -> None:
        content = json.loads(Path(name).read_text(encoding="utf-8"))
        Path(name).write_text(json.dumps({**content, **changes}), encoding="utf-8")

    return change


def bytes_of(name: str, change_of: Callable[[bytes], bytes]) -> Change:
    """Changes the bytes of a file."""
    return lambda: file(name, change_of(Path(name).read_bytes()))()


def done(something: Callable[[], Any]) -> Change:
    """Does something else."""

    def change() -> None:
        something()

    return change


def environment(**variables: str) -> Change:
    """Sets variables of the environment."""
    return lambda: patch.dict(os.environ, variables)


def memory_of(size: int) -> Change:
    """Lets only so many bytes of memory be available."""

    def change() -> AbstractContextManager[Any]:
        stack = ExitStack()
        for module in ("bertworks.checkpoints.available_memory", "bertworks.data.files"):
            stack.enter_context(patch(f"{module}.available_memory", lambda: size))
        return stack

    return change
