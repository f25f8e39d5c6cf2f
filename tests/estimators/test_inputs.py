"""What may be handed in as texts and labels, and what is said where it may not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bertworks import Encoder, EntityRecognizer, MultipleChoice, SentenceEncoder, TextClassifier, train
from bertworks.batch import PackedBatch
from bertworks.errors import BertworksError, DataError, SettingsError
from bertworks.estimators.choices.data_settings import ChoiceSettings
from bertworks.estimators.data_settings import DataSettings
from bertworks.estimators.entities.data_settings import TaggedSettings
from bertworks.estimators.rows import label_array, label_rows, text_rows

Make = Callable[..., TextClassifier]
TEXTS = ["good tea", "bad tea", "fine wine", "sad song"] * 3
LABELS = ["good", "bad"] * 6
KINDS_OF_LISTS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "array": np.array,
    "object array": lambda rows: np.array(rows, dtype=object),
    "pandas": pd.Series,
    "pandas with an odd index": lambda rows: pd.Series(rows, index=range(50, 50 + len(rows))[::-1]),
    "pandas categories": lambda rows: pd.Series(rows, dtype="category"),
    "polars": pl.Series,
    "arrow": pa.array,
    "arrow in chunks": lambda rows: pa.chunked_array([rows[:3], rows[3:]]),
}


@pytest.fixture(scope="module")
def expected(make: Make) -> Any:
    return make(epochs=0.3).fit(TEXTS, LABELS).predict_proba(TEXTS)


@pytest.mark.parametrize("kind", KINDS_OF_LISTS)
def test_texts_and_labels_of_all_kinds_of_lists(make: Make, expected: Any, kind: str) -> None:
    listed = KINDS_OF_LISTS[kind]
    classifier = make(epochs=0.3).fit(listed(TEXTS), listed(LABELS), validation=(listed(TEXTS[:4]), listed(LABELS[:4])))
    np.testing.assert_array_equal(classifier.predict_proba(listed(TEXTS)), expected)
    assert classifier.evaluate(listed(TEXTS), listed(LABELS))["rows"] == 12


@pytest.mark.parametrize(
    "frame",
    [
        lambda first, second: list(zip(first, second, strict=True)),
        lambda first, second: [list(pair) for pair in zip(first, second, strict=True)],
        lambda first, second: np.array([first, second]).T,
        lambda first, second: pd.DataFrame({"a": first, "b": second}),
        lambda first, second: pl.DataFrame({"a": first, "b": second}),
    ],
    ids=["tuples", "lists", "array", "pandas", "polars"],
)
def test_pairs_of_all_kinds(make: Make, frame: Callable[..., Any]) -> None:
    second = ["so good", "so bad"] * 6
    classifier = make(epochs=0.3).fit(frame(TEXTS, second), LABELS)
    assert classifier.task_.pairs
    expected = make(epochs=0.3).fit(list(zip(TEXTS, second, strict=True)), LABELS).predict_proba([("tea", "wine")])
    np.testing.assert_array_equal(classifier.predict_proba([("tea", "wine")]), expected)
    with pytest.raises(DataError, match=r"reads pairs of texts: give \(first, second\)"):
        classifier.predict(["tea"])
    with pytest.raises(DataError, match="reads single texts, not pairs"):
        make(epochs=0.3).fit(TEXTS, LABELS).predict([("tea", "wine")])


def test_a_frame_of_one_column_is_single_texts() -> None:
    assert text_rows(pd.DataFrame({"text": ["a", "b"]})) == ["a", "b"]
    assert text_rows(np.array([["a"], ["b"]])) == ["a", "b"]


@pytest.mark.parametrize(
    ("labels", "type_"),
    [
        (["b", "a"], str),
        ([3, 1], int),
        ([True, False], bool),
        ([np.int32(3), np.int32(1)], int),
        ([np.str_("b"), np.str_("a")], str),
        (np.array([3, 1]), int),
        (np.array([True, False]), bool),
        (pd.Series([3, 1]), int),
        (pd.Series(["b", "a"], dtype="category"), str),
    ],
)
def test_labels_keep_their_type_and_name(make: Make, labels: Any, type_: type, tmp_path: Any) -> None:
    classifier = make(epochs=0.2).fit(["good tea", "bad tea"], labels)
    wanted = sorted(label_rows(labels))
    assert classifier.classes_.tolist() == wanted
    loaded = TextClassifier.load(classifier.save(tmp_path / "model"))
    for one in (classifier, loaded):
        predicted = one.predict(["good tea", "bad tea"])
        assert predicted.dtype == classifier.classes_.dtype
        assert all(type(label) is type_ and label in wanted for label in predicted.tolist())
        assert one.task_.labels == tuple(wanted)


def test_labels_of_mixed_types_stay_apart(make: Make) -> None:
    classifier = make(epochs=0.2).fit(["good tea", "bad tea"], ["a", 1])
    assert classifier.classes_.tolist() == [1, "a"]
    assert set(classifier.predict(TEXTS).tolist()) <= {1, "a"}
    assert label_array([True, 2]).tolist() == [True, 2]
    assert label_array([True, 2]).dtype == object


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([], [], "there are no texts to train on"),
        ("one text", ["a"], r"expected a list of texts, got one string: put it in a list, \[text\]"),
        (TEXTS, "labels", "expected a list of labels, got one string"),
        (TEXTS, LABELS[:5], "12 texts but 5 labels"),
        (5, LABELS, r"texts must be a list, not 5 \(int\)"),
        (TEXTS, None, r"labels must be a list, not None \(NoneType\)"),
        ([*TEXTS[:11], None], LABELS, "row 11 of texts is None"),
        ([*TEXTS[:11], 3.5], LABELS, r"row 11 of texts is 3\.5 \(float\), not a string"),
        ([*TEXTS[:11], float("nan")], LABELS, r"row 11 of texts is nan"),
        ([*TEXTS[:11], b"bytes"], LABELS, "row 11 of texts is b'bytes'"),
        ([*TEXTS[:11], ("a", "b")], LABELS, "some rows are pairs of texts and some are single texts"),
        ([("a", "b", "c")] * 12, LABELS, "row 0 has 3 texts; a row is one text or a pair of texts"),
        ([("a", None)] * 12, LABELS, "row 0 of pairs is None"),
        (TEXTS, ["a"] * 12, "all 12 rows have the label 'a': a classifier needs at least two labels"),
        (TEXTS, [*LABELS[:11], None], "row 11 has no label; drop such rows before training"),
        (TEXTS, [*LABELS[:11], float("nan")], "row 11 has no label"),
        (TEXTS, pd.Series([*LABELS[:11], pd.NA]), "row 11 has no label"),
        (TEXTS, [*range(11), float("nan")], "row 11 has no label"),
        (TEXTS, [float(i) for i in range(11)] + [float("nan")], "row 11: the target is nan"),
        (TEXTS, np.eye(12, dtype=int), r"labels have the shape \(12, 12\): give a label, or a list of the labels"),
        (TEXTS, pd.DataFrame({"a": LABELS}), r"labels have the shape \(12, 1\)"),
    ],
)
def test_data_that_cannot_be_learnt_from(make: Make, texts: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make().fit(texts, labels)
    assert "\n" not in str(caught.value)


def test_validation_data_are_checked_too(make: Make) -> None:
    for validation, message in (
        ((TEXTS, LABELS[:3]), "validation: 12 texts but 3 labels"),
        (([], []), "validation: there are no texts"),
        (
            (TEXTS, ["god", *LABELS[1:]]),
            r"row 0: the label 'god' is none of the 2 labels of the model \(bad, good\)\. Did you mean 'good'\?",
        ),
        (([("a", "b")], ["good"]), "reads single texts, not pairs"),
    ):
        with pytest.raises(DataError, match=message):
            make().fit(TEXTS, LABELS, validation=validation)


def test_validation_is_a_pair(make: Make) -> None:
    with pytest.raises(SettingsError, match=r"validation is a tuple, \(texts, labels\), not 1 things"):
        make().fit(TEXTS, LABELS, validation=(TEXTS,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("estimator", "columns"),
    [(EntityRecognizer, [[["a"]], [["O"]]]), (MultipleChoice, [["a"], [["b", "c"]], [0]]), (SentenceEncoder, [[("a", "b")], [1.0]])],
)
def test_validation_has_the_columns_that_are_wanted(tiny_bert: Any, estimator: Any, columns: list[Any]) -> None:
    more = {"objective": "scores"} if estimator is SentenceEncoder else {}
    for wrong in (columns[:1], [*columns, columns[0]]):
        with pytest.raises(SettingsError, match=f"validation is a tuple, .*, not {len(wrong)} things"):
            estimator(tiny_bert, **more).fit(*columns, validation=iter(wrong))


@pytest.mark.parametrize("longest", ["64", 10**6, 0])
@pytest.mark.parametrize("task", ["classification", "entities", "embeddings"])
def test_a_longest_sequence_that_cannot_be(tiny_bert: Any, tmp_path: Path, task: str, longest: Any) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "classification": [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)],
        "entities": [{"tokens": ["a", "film"], "tags": ["O", "B-X"]}] * 4,
        "embeddings": [{"text1": text, "text2": "a film", "score": i / 9} for i, text in enumerate(TEXTS)],
    }
    with pytest.raises(SettingsError, match=f"max_tokens is {longest!r}, but the model reads from 1 to 64 tokens"):
        train(rows[task], task=task, model=tiny_bert, max_tokens=longest, output=tmp_path / "run", validation_fraction=0)


def test_numbers_of_numpy_are_numbers(tiny_bert: Any, tmp_path: Path) -> None:
    rows = {"text": TEXTS * 4, "label": LABELS * 4}
    settings: dict[str, Any] = {"max_tokens": np.int64(32), "label_smoothing": np.float32(0.5), "epochs": 1, "precision": "float32"}
    report = train(rows, model=tiny_bert, limit=np.int64(len(TEXTS) * 3), output=tmp_path / "run", **settings)
    assert report.accounting["training"]["rows"] + report.accounting["validation"]["rows"] == len(TEXTS) * 3
    assert f"limit = {len(TEXTS) * 3}\n" in (tmp_path / "run/config.toml").read_text()


@pytest.mark.parametrize("setting", [{"class_weights": "balanced"}, {"label_smoothing": 0.1}])
def test_numbers_have_no_classes(make: Make, setting: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"the labels are numbers, which have no classes: leave out {next(iter(setting))}"):
        make(**setting).fit(TEXTS, [float(len(text)) / 3 for text in TEXTS])


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "there are no texts to encode: give one at least"),
        (["a film", "good " * 70], {}, "row 1 has 72 tokens, more than the 64 that the encoder reads: shorten it, or encode it in parts"),
        (["a film"], {"attentions": "some"}, "attentions is True, all, or the number of a layer or of several, not 'some'"),
        (["a film"], {"attentions": 1.5}, "the number of a layer or of several, not 1.5"),
        (["a film"], {"attentions": [0, True]}, r"the number of a layer or of several, not \[0, True\]"),
        (["a film"], {"attentions": None}, "the number of a layer or of several, not None"),
        (["a film"], {"attentions": 3}, "layer 3 does not exist: the encoder has layers 0 to 1"),
        (["a film"], {"attentions": -1}, "layer -1 does not exist"),
        (["a film"], {"attentions": [2]}, "layer 2 does not exist"),
    ],
)
def test_what_an_encoder_cannot_do(tiny_bert: Any, texts: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(BertworksError, match=message):
        Encoder(tiny_bert, precision="float32")(texts, **options)


@pytest.mark.parametrize("number", [1, np.int64(1), [1], np.array([1]), range(1, 2), {1}])
def test_attentions_of_one_layer(tiny_bert: Any, number: Any) -> None:
    encoder = Encoder(tiny_bert, precision="float32")
    (one,), both = encoder(["a film"], attentions=number).attentions, encoder(["a film"], attentions=True).attentions
    assert len(both) == 2
    np.testing.assert_array_equal(one, both[1])


def test_a_position_before_the_first(tiny_bert: Any) -> None:
    """Padding that is read has a position of its own in RoBERTa and its kind, not in BERT."""
    batch = PackedBatch.from_padded(np.array([[0, 5, 6]]), padding_id=0)
    with pytest.raises(DataError, match="position -1, which this encoder does not have: pack the batch without padding_id"):
        Encoder(tiny_bert, precision="float32")(batch)


def test_labels_to_evaluate_on_are_checked_too(fitted: Make) -> None:
    with pytest.raises(DataError, match="evaluation: 2 texts but 1 labels"):
        fitted().evaluate(["a", "b"], ["good"])
    with pytest.raises(DataError, match="row 1: the label 'ugly' is none of the 2 labels"):
        fitted().score(["a", "b"], ["good", "ugly"])
    with pytest.raises(DataError, match="there are no texts"):
        fitted().evaluate([], [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 65}, "max_tokens is 65, but the model reads from 1 to 64 tokens at once"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": 2}, "max_tokens=2 is too small for 2 special tokens and text: 3 at least"),
        ({"max_tokens": "32"}, "max_tokens is '32', but the model reads from 1 to 64 tokens"),
        ({"stride": 62}, "stride=62 must be from 0 to 61"),
        ({"stride": 1.5}, "stride must be a whole number, not 1.5"),
        ({"overflow": "windows"}, r"overflow='windows' is none of .*Did you mean 'window'\?"),
        ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\), not 1"),
        ({"class_weights": {"good": 1.0}}, "class_weights must be 'balanced' or a dictionary with a weight for each of: bad, good"),
        ({"class_weights": "balance"}, "class_weights must be 'balanced' or a dictionary"),
        ({"class_weights": {"good": 1.0, "bad": -1.0}}, "class_weights must be 0 or more, and not all 0"),
        ({"label_smoothing": "much"}, "label_smoothing must lie in .* not 'much'"),
        ({"class_weights": {"good": "much", "bad": 1}}, "class_weights must be 0 or more, and not all 0"),
        ({"class_weights": {"good": 0, "bad": 0}}, "class_weights must be 0 or more, and not all 0"),
        ({"frozen_layers": 3}, "frozen_layers is 3, but the model has 2 layers"),
        ({"reinitialized_layers": 3}, "reinitialized_layers is 3, but the model has 2 layers"),
        ({"new_tokens": "word"}, r"new_tokens is a list of words, not one string: put it in a list, \['word'\]"),
        ({"device": "gpu"}, "device 'gpu' cannot be used here"),
        ({"precision": "float16"}, "precision must be one of auto, float32, bfloat16, not 'float16'"),
        ({"kind": "multy"}, r"kind .*'multy'.*Did you mean 'multi'\?"),
        ({"model": "no/such/model/here"}, "no/such/model/here"),
    ],
)
def test_settings_that_cannot_be(make: Make, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BertworksError, match=message) as caught:
        make(epochs=0.2, **settings).fit(TEXTS, LABELS)
    assert isinstance(caught.value, SettingsError) or "model" in settings


def test_every_row_counts_that_also_stands_in_the_training_data() -> None:
    reviews = [{"text": text, "label": label} for text, label in zip(TEXTS[:4], LABELS, strict=False)]
    tagged = [{"tokens": text.split(), "tags": ["B-X", "O"]} for text in TEXTS[:4]]
    choices = [{"question": text, "choices": ["good", "bad"], "answer": 0} for text in TEXTS[:4]]
    reads: list[tuple[Callable[..., Any], list[Any]]] = [
        (lambda **given: DataSettings(**given).read(), reviews),
        (lambda **given: TaggedSettings(**given).read_tagged(), tagged),
        (lambda **given: ChoiceSettings(**given).read_choices(), choices),
    ]
    for read, rows in reads:
        _, validation, lines = read(source=rows[:2], validation=[rows[0], rows[3], rows[0], rows[1]])
        assert validation.accounting.notes["also in the training data"] == 3
        assert any(line.startswith("3 ") and line.endswith("also stand in the training data") for line in lines)
