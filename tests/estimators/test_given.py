"""What verbs are given: texts or a file, and the options that go with it. It is looked at before any model is."""

from collections.abc import Callable
from typing import Any

import pytest

from bertworks.errors import SettingsError
from bertworks.estimators.answers.prediction import predict as predict_answers
from bertworks.estimators.choices.prediction import predict as predict_choices
from bertworks.estimators.embeddings.verbs import embed
from bertworks.estimators.embeddings.zero_shot import zero_shot
from bertworks.estimators.entities.verbs import predict as predict_entities
from bertworks.estimators.pretraining.verbs import predict as predict_masks
from bertworks.estimators.verbs.features import features
from bertworks.estimators.verbs.generate import generate

VERBS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (predict_answers, {}),
    (predict_choices, {}),
    (predict_entities, {}),
    (predict_masks, {}),
    (embed, {}),
    (zero_shot, {"labels": ["food", "travel"]}),
    (features, {}),
    (generate, {}),
]
PREDICTIONS = VERBS[:4] + VERBS[5:6]


def called(name: Any) -> str | None:
    return getattr(name, "__module__", None) if callable(name) else None


@pytest.mark.parametrize(("verb", "more"), VERBS, ids=called)
@pytest.mark.parametrize(
    ("option", "value"), [("limit", 3), ("encoding", "latin-1"), ("split", "test"), ("delimiter", ";"), ("text", "review")]
)
def test_options_of_files_are_refused_beside_texts(verb: Callable[..., Any], more: dict[str, Any], option: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"leave out {option}, or name a file"):
        verb("no-model", ["a text"], **more, **{option: value})


@pytest.mark.parametrize(("verb", "more"), VERBS, ids=called)
def test_it_is_either_texts_or_a_file(verb: Callable[..., Any], more: dict[str, Any]) -> None:
    for given in ({}, {"file": "some.csv"}):
        with pytest.raises(SettingsError, match="give either"):
            verb("no-model", *([["a text"]] if given else []), **more, **given)


@pytest.mark.parametrize(("verb", "more"), PREDICTIONS, ids=called)
def test_a_table_of_predictions_needs_a_table(verb: Callable[..., Any], more: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="needs an input table"):
        verb("no-model", ["a text"], output="out.csv", **more)
