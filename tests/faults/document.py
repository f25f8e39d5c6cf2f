"""`docs/errors.md`: every case with the message that it gets."""

import re
import tempfile
from pathlib import Path

from tests.faults import world
from tests.faults.case import Case, Outcome, provoke
from tests.faults.cases import GROUPS

PATH = Path(__file__).parents[2] / "docs" / "errors.md"
HEAD = """\
# What goes wrong, and what bertworks says

Every row is provoked by a script, its message is what the script saw, and the tests check it: one line, with the place
(a file, a row, a column, a setting) and the way out; no traceback; nothing half-written left behind. `…` stands for the
words of a library, which change with its versions. Written by `python -m tests.faults`; do not edit.

An error's exit code says what sort of thing is wrong, and so does its type in Python:

| exit code | type | what is wrong |
|---|---|---|
| 2 | `SettingsError`, `NotFittedError` | an argument, an option, a setting |
| 3 | `DataError` | the data, or what was asked of them |
| 4 | `CheckpointError` | a model folder, a tokenizer, a run |
| 5 | `MissingExtraError` | an optional package is not installed |
| 6 | `TrainingError` | a training that cannot go on |
| 130 | `Interrupted` | stopped by Ctrl-C, its state saved where there is a run folder |
| 141 | | nobody reads the output any more |

All of them derive from `bertworks.errors.BertworksError` and, but for the last two, from `ValueError`. Exit code 1, with a
traceback, is a bug.
"""


def document(folder: Path) -> str:
    """The whole text; `folder`, an empty one, is for the cases to work in."""
    made = world.build(folder / "world")
    parts = [HEAD]
    for group, cases in GROUPS.items():
        rows = [row(case, provoke(case, world.copy(made, folder / f"{group}-{number}"))) for number, case in enumerate(cases)]
        parts += [f"\n## {group}\n\n| what is wrong | for example | what is said | exit code |\n|---|---|---|---|\n", *rows]
    return "".join(parts)


def row(case: Case, outcome: Outcome) -> str:
    """A row of the table."""
    message = re.sub(case.vague, "…", outcome.message) if case.vague else outcome.message
    said = "<br>".join(_cell(line.strip()) for line in message.splitlines())
    return f"| {case.title} | {_code(case.run)} | {said} | {outcome.code} |\n"


def _cell(text: str) -> str:
    """Text as a table of Markdown takes it, nothing in it being a mark."""
    return re.sub(r"([\\|*_<>`\[\]~])", r"\\\1", re.sub(r"(.)\1{40,}", r"\1\1\1…", text))


def _code(text: str) -> str:
    text = re.sub(r"(\w)\1{40,}", r"\1\1\1…", text).replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def write() -> Path:
    """Writes the file; returns its path."""
    with tempfile.TemporaryDirectory() as folder:
        PATH.write_text(document(Path(folder).resolve()), encoding="utf-8")
    return PATH
