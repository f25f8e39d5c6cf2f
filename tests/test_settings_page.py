"""The page of pretraining's settings is current and whole."""

import re
import tomllib
from dataclasses import fields

import pytest

from bertworks.errors import SettingsError
from bertworks.estimators.pretraining.config import OBJECTIVES, ObjectiveSettings, PretrainingConfig, ReplacedTokenSettings
from tests import settings_page


def rows() -> list[tuple[str, str, str, str]]:
    """Table, key, default and meaning of each row of the page."""
    out, table = [], ""
    for line in settings_page.PATH.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            table = line.removeprefix("## ").strip("[]")
        elif found := re.fullmatch(r"\| `(\w+)` \| (.*?) \| (.*) \|", line):
            out.append((table, *found.groups()))
    return out


def test_the_page_is_current() -> None:
    assert settings_page.PATH.read_text(encoding="utf-8") == settings_page.document(), "write it anew: python -m tests.settings_page"


def test_every_key_has_its_meaning() -> None:
    assert all(meaning for *_, meaning in rows())
    of_objectives = {key for table, key, *_ in rows() if table.startswith("objectives.")}
    assert of_objectives == {f.name for kind in (ObjectiveSettings, ReplacedTokenSettings) for f in fields(kind)}
    assert {table for table, *_ in rows()} == {"corpus", "model", "training", *(f"objectives.{name}" for name in OBJECTIVES)}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_configuration_of_what_the_page_says_is_that_of_the_defaults(objective: str) -> None:
    """Each default is read from the page as TOML; what has none is left out, but for what a run needs."""
    needed = {"corpus.path": '"text"', "training.steps": "1", "training.tokens": "", "training.minutes": ""}
    needed |= {f"objectives.{name}.teacher": '"teacher"' for name in ("distillation", "attention_relations")}
    lines = ['model.architecture = "electra"'] if objective == "replaced_token_detection" else []
    for table, key, default, _ in rows():
        value = needed.get(f"{table}.{key}") or ("" if default == "–" else default.strip("`"))
        others = table.startswith("objectives.") and table != f"objectives.{objective}"
        if value and not others and not (lines and f"{table}.{key}" == "model.architecture"):
            lines.append(f"{table}.{key} = {value}")
    lines += [f"objectives.{objective}.weight = 1.0"] if f"objectives.{objective}" not in "".join(lines) else []
    bare = {"corpus": {"path": "text"}, "training": {"steps": 1}, "objectives": {objective: {}}}
    bare["objectives"][objective] |= {"teacher": "teacher"} if objective in ("distillation", "attention_relations") else {}
    bare |= {"model": {"architecture": "electra"}} if objective == "replaced_token_detection" else {}
    assert PretrainingConfig.from_dict(tomllib.loads("\n".join(lines))) == PretrainingConfig.from_dict(bare)


def test_keys_beside_those_of_the_page_are_refused() -> None:
    for table in ("corpus", "model", "training", "objectives.masked_lm"):
        outer, _, inner = table.partition(".")
        values = {outer: {inner: {"unheard": 1}}} if inner else {outer: {"unheard": 1}}
        with pytest.raises(SettingsError, match=f"\\[{table}\\] has no setting 'unheard'"):
            PretrainingConfig.from_dict(values)
