"""Every command that a page or a recipe shows is one that the program takes: its verb, options, values and arguments."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bertworks.cli.main import app
from bertworks.recipes import recipe_names, recipe_text

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("pretrained/*/README.md")])
PAGES.remove(ROOT / "docs" / "errors.md")  # its commands are wrong on purpose
_FENCED = re.compile(r"^```(?:sh|console|bash)\n(.*?)^```", re.S | re.M)
_INLINE = re.compile(r"`(bertworks [^`\n]+(?:\n[^`\n]+)?)`")
_INDENTED = re.compile(r"^ {4}((?:bertworks|torchrun) .*)$", re.M)
_EXAMPLES = re.compile(r"^Examples?: (bertworks .*)$", re.M)
_OPEN = re.compile(r"…|\.\.\.|\||^bertworks \w+ \[|<|\bVERB\b|\bCOMMAND\b|\[OPTIONS\]")
"""What is no whole command: something is left out, or stands for any of several."""


def shown(text: str) -> Iterator[str]:
    """The commands of a text in Markdown."""
    lines = [line for block in _FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += [*_INDENTED.findall(text), *(" ".join(found.split()) for found in _INLINE.findall(text))]
    lines += [line for examples in _EXAMPLES.findall(text) for line in examples.split(" · ")]
    for line in lines:
        for one in re.split(r"\s+(?:#|>|2>|&&|;)\s*", line.strip().removeprefix("$ ")):
            if one.startswith("bertworks ") or (one.startswith("torchrun ") and "-m bertworks " in one):
                yield one


def commands() -> Iterator[Any]:
    for path in PAGES:
        for line in dict.fromkeys(shown(path.read_text(encoding="utf-8"))):
            if _OPEN.search(line) or "--help" in line:
                continue
            yield pytest.param(line, id=f"{path.stem}: {line}")
    for name in recipe_names():
        for line in re.findall(r"^#\s+(bertworks .*)$", recipe_text(name), re.M):
            yield pytest.param(line, id=f"{name}: {line}")


def parse(line: str) -> None:
    """Parses a command, and does not run it; the name of a verb alone is no command to be run."""
    command: Any = typer.main.get_command(app)
    arguments = shlex.split(line.rpartition("-m bertworks ")[2].removeprefix("bertworks "))
    while arguments and hasattr(command, "commands"):
        assert arguments[0] in command.commands, f"there is no verb {arguments[0]}"
        command = command.commands[arguments.pop(0)]
    if arguments:
        command.make_context("bertworks", arguments).close()


@pytest.mark.parametrize("line", commands())
def test_a_command_that_is_shown_is_one(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parse(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bertworks trian reviews.csv", "no verb trian"),
        ("bertworks train reviews.csv --learing-rate 1", "learing-rate"),
        ("bertworks train reviews.csv --epochs many", "valid number"),
        ("bertworks convert model", "output"),
    ],
)
def test_wrong_commands_would_be_seen(line: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(line)


def test_there_are_commands() -> None:
    assert len(list(commands())) > 80
