"""`docs/commands.md`: every verb of the command line with all its arguments and options, from the commands themselves.

python -m tests.commands_page    # writes the page anew
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer

from bertworks.cli.main import app

PATH = Path(__file__).parents[1] / "docs" / "commands.md"
_HEAD = """\
# The commands

Every verb with all its arguments and options, as `bertworks VERB --help` shows them, too. [What they are for](tasks.md) stands with
the tasks. Written by `python -m tests.commands_page` from the commands; do not edit.
"""
_VALUES = {str: "TEXT", Path: "PATH", int: "N", float: "X"}


def commands() -> Iterator[tuple[str, Any]]:
    """Each command by its whole name, in the order of `bertworks --help`."""
    yield from _of_group("", typer.main.get_command(app))


def _of_group(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _of_group(f"{prefix}{name} ", command)
        else:
            yield f"{prefix}{name}", command


def document() -> str:
    """The whole page."""
    found = list(commands())
    contents = " · ".join(f"[{name}](#{_anchor(name)})" for name, _ in found)
    return "".join([_HEAD, f"\n{contents}\n", *(section(name, command) for name, command in found)])


def section(name: str, command: Any) -> str:
    """What the page says of a command."""
    arguments = " ".join(usage(p) for p in command.params if p.param_type_name == "argument")
    rows = [f"| {_cell(title(p))} | {default(p)} | {_cell(p.help or '')} |\n" for p in command.params]
    table = f"| | default | |\n|---|---|---|\n{''.join(rows)}" if rows else ""
    line = " ".join(part for part in ("bertworks", name, arguments, "[OPTIONS]") if part)
    return f"\n## {name}\n\n    {line}\n\n{command.help}\n\n{table}"


def usage(argument: Any) -> str:
    """An argument as a line of usage has it."""
    name = argument.name.upper() + ("…" if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def title(parameter: Any) -> str:
    """The names that a parameter is given by."""
    if parameter.param_type_name == "argument":
        return f"`{usage(parameter)}`"
    names = [*parameter.opts, *parameter.secondary_opts]
    kind = parameter.type_descriptor.annotation
    value = "" if parameter.is_flag else f" {parameter.metavar or _VALUES[(*get_args(kind), kind)[0]]}"
    return ", ".join(f"`{name}{value}`" for name in names)


def default(parameter: Any) -> str:
    """What holds where a parameter is left out; a dash where nothing does, or where its text says it."""
    value = parameter.default
    if parameter.required:
        return "required"
    if value in (None, "", ()):
        return "–"
    if isinstance(value, bool):
        return "–" if not value and not parameter.secondary_opts else f"`{parameter.opts[0] if value else parameter.secondary_opts[0]}`"
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{PATH}\n")
