"""What verbs are given: texts or a file, and the options that go with it. It is looked at before any model is; any list will do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from bertworks.errors import SettingsError
from bertworks.estimators import model_folder
from bertworks.estimators.answers.prediction import predict as predict_answers
from bertworks.estimators.choices.prediction import predict as predict_choices
from bertworks.estimators.embeddings.verbs import embed
from bertworks.estimators.embeddings.zero_shot import zero_shot
from bertworks.estimators.entities.verbs import predict as predict_entities
from bertworks.estimators.pretraining.verbs import predict as predict_masks
from bertworks.estimators.verbs.features import features
from bertworks.estimators.verbs.generate import generate
from bertworks.estimators.verbs.predict import predict
from bertworks.inference import load_model
from bertworks.tasks.multiple_choice import MultipleChoice
from bertworks.tasks.question_answering import QuestionAnswering
from bertworks.tasks.tagging import Tagging
from bertworks.tasks.text_classification import TextClassification
from bertworks.tokenization import Tokenizer

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


TASKS: list[Any] = [
    (TextClassification("single", ("a", "b"), max_tokens=32), ["a good film", "tea"]),
    (Tagging(("O", "B-X", "I-X"), "IOB2", max_tokens=32), ["a good film", "tea"]),
    (QuestionAnswering(max_tokens=64), [("what is good?", "a good film"), ("what is tea?", "tea is good")]),
    (MultipleChoice(max_tokens=32), [("a film", ["good", "bad"]), ("tea", ["hot", "cold"])]),
]


@pytest.mark.parametrize(("task", "rows"), TASKS, ids=lambda value: getattr(value, "name", None))
def test_texts_to_predict_come_in_any_list(tiny_bert: Path, tmp_path: Path, task: Any, rows: list[Any]) -> None:
    loaded = load_model(tiny_bert, task.heads, new_heads=True, seed=4)
    model_folder.save(tmp_path / "model", loaded, Tokenizer.load(tiny_bert), task, about={}, replace=False)
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    wanted = predict(tmp_path / "model", rows, precision="float32").predictions
    for texts in (array, pandas.Series(rows, index=[7, 3])):
        assert predict(tmp_path / "model", texts, precision="float32").predictions == wanted


def test_texts_to_encode_come_in_any_list(tiny_bert: Path) -> None:
    rows = ["a good film", "tea"]
    for texts in (np.array(rows), pandas.Series(rows, index=[7, 3])):
        for verb in (features, embed):
            found, wanted = (verb(tiny_bert, given, precision="float32") for given in (texts, rows))
            for one, other in zip(*(report.features if verb is features else report.vectors for report in (found, wanted)), strict=True):
                assert one.tolist() == other.tolist()
        sorted_, plain = (zero_shot(tiny_bert, given, labels=["food", "film"], precision="float32").predictions for given in (texts, rows))
        assert sorted_ == plain
