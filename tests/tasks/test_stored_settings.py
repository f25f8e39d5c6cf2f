"""Settings from a folder: what is not of the type that the dataclass says is refused by name."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from bertworks.errors import SettingsError
from bertworks.tasks.stored_settings import from_stored
from bertworks.tasks.text_classification import TextClassification


@dataclass
class Walk:
    steps: int
    pace: Literal["slow", "fast"] = "slow"
    names: tuple[str | int, ...] = ()
    weight: float | None = None
    dry: bool = True
    more: list[int] = field(default_factory=list)


def test_what_fits_is_taken() -> None:
    assert from_stored(Walk, {"steps": 3}, "a walk") == Walk(3)
    stored = {"steps": 3, "pace": "fast", "names": ["a", 1], "weight": 2, "dry": False}
    assert from_stored(Walk, stored, "a walk") == Walk(3, "fast", ("a", 1), 2, False)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([], "a walk: its settings are no table but"),
        ({}, "'steps' is missing: it must be a whole number"),
        ({"steps": 1, "stps": 2}, r"a walk has no setting 'stps'\. Did you mean 'steps'\?"),
        ({"steps": 1.0}, "'steps' must be a whole number, not 1.0"),
        ({"steps": True}, "'steps' must be a whole number, not True"),
        ({"steps": 1, "pace": "quick"}, "'pace' must be 'slow' or 'fast', not 'quick'"),
        ({"steps": 1, "names": "ab"}, "'names' must be a list, each a text or a whole number, not 'ab'"),
        ({"steps": 1, "names": [[]]}, "'names' must be a list"),
        ({"steps": 1, "weight": float("nan")}, "'weight' must be a number or null, not nan"),
        ({"steps": 1, "weight": 10**400}, "'weight' must be a number or null"),
        ({"steps": 1, "weight": True}, "'weight' must be a number or null, not True"),
        ({"steps": 1, "dry": 1}, "'dry' must be true or false, not 1"),
        ({"steps": 1, "dry": None}, "'dry' must be true or false, not None"),
    ],
)
def test_what_does_not_fit_is_named(stored: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_stored(Walk, stored, "a walk")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "number"}, "a number has no labels"),
        ({"labels": ["a"]}, "1 labels are too few for kind 'single'"),
        ({"labels": ["a", "a"]}, "a label stands twice"),
        ({"class_weights": [1.0]}, "1 class weights for 2 labels"),
        ({"class_weights": [1.0, -1.0]}, "a class weight is below 0"),
        ({"thresholds": [0.5]}, "1 thresholds for 2 labels"),
        ({"thresholds": [0.5, 1.5]}, "a threshold lies outside"),
        ({"max_tokens": 0}, "max_tokens is below 1"),
        ({"stride": -1}, "stride is below 0"),
        ({"label_smoothing": 1}, "label_smoothing lies outside"),
        ({"scale": 0}, "scale is not above 0"),
        ({"max_tokens": 0, "stride": -1}, "max_tokens is below 1; stride is below 0"),
    ],
)
def test_contradictions_of_a_classification(changes: dict[str, Any], message: str) -> None:
    sound = TextClassification("single", ("a", "b")).settings()
    assert TextClassification.from_settings(sound).settings() == sound
    with pytest.raises(SettingsError, match=message):
        TextClassification.from_settings({**sound, **changes})
