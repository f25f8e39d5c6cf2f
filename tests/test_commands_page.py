"""The page of the commands is current and whole."""

import pytest

from bertworks.cli.main import run
from tests import commands_page


def test_the_page_is_current() -> None:
    assert commands_page.PATH.read_text(encoding="utf-8") == commands_page.document(), "write it anew: python -m tests.commands_page"


def test_every_option_says_what_it_does() -> None:
    silent = [f"{name} {p.name}" for name, command in commands_page.commands() for p in command.params if not p.help]
    assert silent == []
    assert [name for name, command in commands_page.commands() if not command.help] == []


def test_every_command_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    titles = {line.removeprefix("## ") for line in commands_page.document().splitlines() if line.startswith("## ")}
    assert all(title.split()[0] in shown for title in titles)
    assert {"train", "tokenizer train", "corpus prepare", "recipe show", "doctor"} <= titles
