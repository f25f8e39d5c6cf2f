"""`docs/pretraining-settings.md`: every table and key of a configuration of `pretrain`, from the dataclasses that read it.

python -m tests.settings_page    # writes the page anew
"""

import sys
from collections.abc import Collection, Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from bertworks.cli.options import field_texts
from bertworks.estimators.pretraining.config import (
    OBJECTIVE_KEYS,
    BudgetSettings,
    CorpusSettings,
    ModelSettings,
    ObjectiveSettings,
    ReplacedTokenSettings,
)

PATH = Path(__file__).parents[1] / "docs" / "pretraining-settings.md"
_HEAD = """\
# The settings of a pretraining

Every table and key of the TOML file that `bertworks pretrain` reads, and of the dictionary that `bertworks.pretrain` takes; an unknown
one is an error that names the nearest. `bertworks recipe show NAME` prints whole configurations, with a reason for each value. Written
by `python -m tests.settings_page` from the source; do not edit.
"""


def tables() -> Iterator[tuple[str, type, Collection[str]]]:
    """Of each table its name, its dataclass, and its keys."""
    yield "corpus", CorpusSettings, [f.name for f in fields(CorpusSettings)]
    yield "model", ModelSettings, [f.name for f in fields(ModelSettings)]
    for name, keys in OBJECTIVE_KEYS.items():
        yield f"objectives.{name}", ReplacedTokenSettings if name == "replaced_token_detection" else ObjectiveSettings, keys
    yield "training", BudgetSettings, [f.name for f in fields(BudgetSettings)]


def document() -> str:
    """The whole page."""
    parts = [_HEAD]
    for table, kind, keys in tables():
        texts = {name: text for base in reversed(kind.__mro__[:-1]) for name, text in field_texts(base).items()}
        known = {f.name: f for f in fields(kind)}
        rows = [f"| `{key}` | {default(known[key])} | {texts[key].replace('|', chr(92) + '|')} |\n" for key in keys]
        about = "" if table.startswith("objectives.") else f"{' '.join((kind.__doc__ or '').split())}\n\n"
        parts.append(f"\n## [{table}]\n\n{about}| key | default | meaning |\n|---|---|---|\n{''.join(rows)}")
    return "".join(parts)


def default(of: Field[Any]) -> str:
    """A default as TOML has it; a dash where there is none."""
    if of.default is MISSING or of.default is None or of.default == "":
        return "–"
    value = of.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:_}`" if isinstance(value, int) else f"`{value}`"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{PATH}\n")
