"""The text side of classification: windows, targets, answers, thresholds, weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight

from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import ClassificationMetrics, MultiLabelMetrics, RegressionMetrics
from bertworks.tasks import TASKS, task_from_settings
from bertworks.tasks.task import first_of_groups, merge_windows, window_weights
from bertworks.tasks.text_classification import HEAD, TextClassification, balanced_weights, infer
from bertworks.tokenization import Tokenizer

TEXTS = ["good", "the movie was bad and the book was good", "a " * 30 + "b", "tea", "the dog " * 9]


def encode(task: TextClassification, tokenizer: Tokenizer, texts: Sequence[str] = TEXTS, **more: Any) -> PackedBatch:
    return task.encode(texts, more.get("pairs"), tokenizer, more.get("labels"))[0]


def single(**options: Any) -> TextClassification:
    return TextClassification("single", ("bad", "good"), **{"max_tokens": 12, **options})


# ---- windows


@pytest.mark.parametrize("stride", [None, 0, 3])
def test_every_token_stands_in_a_window_and_is_counted(tiny_tokenizer: Tokenizer, stride: int | None) -> None:
    batch, accounting = single(stride=stride).encode(TEXTS, None, tiny_tokenizer)
    whole = [tiny_tokenizer.encode(text).ids for text in TEXTS]
    assert accounting.rows == 5
    assert accounting.sequences == batch.sequences > 5
    assert accounting.tokens == batch.tokens
    assert accounting.windowed_rows == sum(len(ids) > 12 for ids in whole) == 2
    assert (accounting.truncated_rows, accounting.truncated_tokens, accounting.unknown_tokens, accounting.padding_tokens) == (0, 0, 0, 0)
    assert batch.lengths.max() <= 12
    for row, ids in enumerate(whole):
        windows = [batch.input_ids[batch.offsets[i] : batch.offsets[i + 1]].tolist() for i in np.flatnonzero(batch.groups == row)]
        assert all(w[0] == tiny_tokenizer.cls_id and w[-1] == tiny_tokenizer.sep_id for w in windows)
        covered = np.zeros(len(ids) - 2, dtype=bool)
        place = 0
        for number, window in enumerate(windows):
            inner, text = window[1:-1], ids[1:-1].tolist()
            if number == len(windows) - 1:
                place = len(text) - len(inner)
            assert text[place : place + len(inner)] == inner
            covered[place : place + len(inner)] = True
            place += len(inner) - (stride if stride is not None else 10 // 4)
        assert covered.all()


def test_windows_of_a_document_have_names_of_their_own(tiny_tokenizer: Tokenizer) -> None:
    batch = encode(single(), tiny_tokenizer)
    assert len(set(batch.keys.tolist())) == batch.sequences
    alone = encode(single(), tiny_tokenizer, TEXTS[:3])
    assert alone.keys.tolist() == batch.keys[: alone.sequences].tolist(), "names do not depend on the rows that follow"


def test_a_document_weighs_one_however_many_its_windows(tiny_tokenizer: Tokenizer) -> None:
    batch = encode(single(), tiny_tokenizer, labels=["good", "bad", "bad", "good", "good"])
    weights = batch.targets[f"{HEAD}_weights"]
    windows = np.bincount(batch.groups)
    np.testing.assert_allclose(weights, 1 / windows[batch.groups])
    np.testing.assert_allclose(np.bincount(batch.groups, weights=weights), 1)
    assert batch.targets[HEAD].tolist() == np.array([1, 0, 0, 1, 1])[batch.groups].tolist()


def slow_merge(scores: Array, batch: PackedBatch) -> list[list[float]]:
    merged = []
    for group in sorted(set(batch.groups.tolist())):
        total, tokens = [0.0] * scores.shape[1], 0
        for i, of in enumerate(batch.groups.tolist()):
            if of == group:
                tokens += int(batch.lengths[i])
                total = [t + float(s) * int(batch.lengths[i]) for t, s in zip(total, scores[i], strict=True)]
        merged.append([t / tokens for t in total])
    return merged


def test_scores_merge_by_token_counts(tiny_tokenizer: Tokenizer) -> None:
    batch = encode(single(), tiny_tokenizer)
    scores = np.random.default_rng(0).standard_normal((batch.sequences, 3))
    np.testing.assert_allclose(merge_windows(scores, batch), slow_merge(scores, batch), rtol=1e-12)
    order = np.random.default_rng(1).permutation(batch.sequences)
    np.testing.assert_allclose(merge_windows(scores[order], batch.take(order)), slow_merge(scores, batch), rtol=1e-12)


def test_merging_leaves_single_sequences_as_they_are(tiny_tokenizer: Tokenizer) -> None:
    batch = encode(single(max_tokens=64), tiny_tokenizer, TEXTS[:2])
    scores = np.array([[1.5, -2.0], [0.25, 4.0]], dtype=np.float32)
    assert merge_windows(scores, batch).tolist() == scores.tolist()
    assert window_weights(batch.groups).tolist() == [1.0, 1.0]
    assert first_of_groups(np.array([4, 4, 7, 9, 9])).tolist() == [0, 2, 3]


def test_the_error_names_the_row_also_far_down(tiny_tokenizer: Tokenizer) -> None:
    texts: list[Any] = ["tea"] * 2100
    texts[2050] = TEXTS[2]
    with pytest.raises(DataError, match=r"row 2050 has 33 tokens, more than max_tokens=12"):
        encode(single(overflow="error"), tiny_tokenizer, texts)
    texts[1500] = None
    with pytest.raises(DataError, match=r"row 1500 of texts is None"):
        encode(single(), tiny_tokenizer, texts)


def test_pairs_are_read_together(tiny_tokenizer: Tokenizer) -> None:
    batch = encode(single(pairs=True), tiny_tokenizer, ["the dog", "a " * 20], pairs=["good food", "so bad"])
    first = batch.take([0])
    assert first.input_ids.tolist() == tiny_tokenizer.encode("the dog", "good food").ids.tolist()
    assert first.segment_ids.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert (batch.groups == 1).sum() > 1
    with pytest.raises(DataError, match="2 texts but 1 second texts"):
        encode(single(pairs=True), tiny_tokenizer, ["a", "b"], pairs=["c"])


# ---- targets and answers


def test_an_unknown_label_names_its_row_and_the_nearest() -> None:
    with pytest.raises(
        DataError, match=r"row 1: the label 'goood' is none of the 2 labels of the model \(bad, good\)\. Did you mean 'good'\?"
    ):
        single().targets(["good", "goood"], np.arange(2))
    multi = TextClassification("multi", ("x", "y"))
    with pytest.raises(DataError, match="row 0: the label 'z' is none of the 2 labels"):
        multi.targets([["x", "z"]], np.arange(1))
    with pytest.raises(DataError, match="row 1: the labels are 'xy'; give a list"):
        multi.targets([["x"], "xy"], np.arange(2))
    with pytest.raises(DataError, match=r"row 0: the label \['x'\] is none"):
        single().targets([["x"]], np.arange(1))


def test_targets_of_several_labels_are_marks() -> None:
    task = infer([["b", "a"], [], ("c",), {"a"}])
    assert task.labels == ("a", "b", "c")
    targets = task.targets([["b", "a"], [], ("c",), {"a"}], np.array([0, 1, 1, 2, 3]))
    assert targets[HEAD].tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_targets_of_a_number_are_standardized() -> None:
    values = [1.0, 2.5, 7.0, -3.25]
    task = infer(values)
    targets = task.targets(values, np.arange(4))[HEAD]
    assert targets.mean() == pytest.approx(0, abs=1e-7)
    assert targets.std() == pytest.approx(1, abs=1e-6)
    batch = PackedBatch.from_sequences([[1]] * 4)
    np.testing.assert_allclose(task.probabilities(targets[:, None], batch)[:, 0], values, rtol=1e-6)
    assert task.decide(np.array([[2.5]])) == [2.5]


def test_probabilities_and_decisions() -> None:
    batch = PackedBatch.from_sequences([[1], [2], [3]])
    scores = np.array([[0.0, 1.0], [1000.0, -1000.0], [0.0, 0.0]])
    probabilities = single().probabilities(scores, batch)
    np.testing.assert_allclose(probabilities, [[1 / (1 + np.e), np.e / (1 + np.e)], [1, 0], [0.5, 0.5]])
    assert single().decide(probabilities) == ["good", "bad", "bad"]
    task = TextClassification("multi", ("x", "y"), thresholds=(0.9, 0.2))
    probabilities = task.probabilities(np.array([[2.0, -1.0], [-1000.0, 1000.0], [3.0, -3.0]]), batch)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp([[-2.0, 1.0], [700.0, -700.0], [-3.0, 3.0]])), atol=1e-12)
    assert task.decide(probabilities) == [("y",), ("y",), ("x",)]
    assert task.decide(np.array([[0.9, 0.2]])) == [("x", "y")], "a threshold is reached by what equals it"


def test_thresholds_are_tuned_on_merged_scores() -> None:
    draws = np.random.default_rng(0)
    targets = draws.random((200, 3)) < 0.3
    scores = (targets - 0.8 + draws.standard_normal((200, 3))).astype(np.float32)
    batch = PackedBatch.from_sequences([[1]] * 200, targets={HEAD: targets.astype(np.float32)})
    task = TextClassification("multi", ("a", "b", "c"))
    tuned = task.with_best_thresholds(batch, {HEAD: scores})
    probabilities = task.probabilities(scores, batch)
    for label in range(3):
        best = max(f1_score(targets[:, label], probabilities[:, label] >= limit) for limit in np.linspace(0, 1, 200))
        assert f1_score(targets[:, label], probabilities[:, label] >= tuned.limits()[label]) >= best
    assert single().with_best_thresholds(batch, {}) == single()


# ---- what task a column of labels poses


@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        (["b", "a", "b"], "single", ("a", "b")),
        ([2, 0, 1], "single", (0, 1, 2)),
        ([True, False], "single", (False, True)),
        ([np.int64(3), np.int64(1)], "single", (1, 3)),
        ([np.str_("x"), "y"], "single", ("x", "y")),
        (["a", 1], "single", (1, "a")),
        ([["a"], []], "multi", ("a",)),
        ([("a", "b"), np.array(["c"])], "multi", ("a", "b", "c")),
        ([0.5, 1.0], "number", ()),
        ([np.float32(0.5), 1.0], "number", ()),
    ],
)
def test_the_kind_is_seen_from_the_labels(labels: list[Any], kind: str, names: tuple[Any, ...]) -> None:
    task = infer(labels)
    assert (task.kind, task.labels) == (kind, names)
    assert [type(label) for label in task.labels] == [type(name) for name in names]


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        (["a", "a"], "auto", "all 2 rows have the label 'a': a classifier needs at least two labels"),
        (["a", None], "auto", "row 1 has no label; drop such rows"),
        (["a", float("nan")], "auto", "row 1 has no label"),
        ([["a"], None], "auto", "row 1 has no label"),
        ([["a"], [None]], "auto", "row 1 has no label"),
        ([["a"], "b"], "auto", "row 1: the labels are 'b'; give a list"),
        (["ab", "c"], "multi", "row 0: the labels are 'ab'; give a list"),
        ([["a"], ["b"]], "single", r"row 0 has the labels \['a'\], but a single label is wanted; choose kind='multi'"),
        ([[], []], "auto", "a classifier needs at least"),
        ([1.0, 1.0], "auto", "all targets are the same number"),
        ([1.0, float("nan")], "auto", "row 1: the target is nan"),
        ([1.0, float("inf")], "auto", "row 1: the target is inf"),
        ([1.0, "two"], "number", "row 1: the target 'two' is not a number"),
        ([], "number", "all targets are the same"),
    ],
)
def test_labels_that_cannot_be_learnt(labels: list[Any], kind: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        infer(labels, kind=kind)


def test_missing_labels_of_pandas_are_missing() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="row 1 has no label"):
        infer(["a", pandas.NA, "b"])


def test_balanced_weights_equal_those_of_scikit_learn() -> None:
    labels = ["b"] * 7 + ["a"] * 2 + ["c"] * 11
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels)
    np.testing.assert_allclose(balanced_weights(infer(labels), labels), expected)


# ---- settings


def test_settings_go_through_a_dictionary() -> None:
    for task in (
        single(class_weights=(1.0, 2.0), stride=3, overflow="head_tail", pairs=True),
        TextClassification("multi", (1, 2), thresholds=(0.1, 0.9)),
        TextClassification("number", center=1.5, scale=2.0),
        TextClassification("single", (False, True)),
    ):
        assert task_from_settings(task.name, task.settings()) == task
    assert TASKS["text_classification"] is TextClassification
    with pytest.raises(SettingsError, match=r"has no setting 'overflw'\. Did you mean 'overflow'\?"):
        TextClassification.from_settings({"kind": "single", "overflw": "window"})
    assert isinstance(single().metrics(), ClassificationMetrics)
    assert isinstance(TextClassification("multi", ("a",)).metrics(), MultiLabelMetrics)
    assert isinstance(TextClassification("number").metrics(), RegressionMetrics)
