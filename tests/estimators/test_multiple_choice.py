"""Multiple choice against `transformers`, and the loss that compares the sequences of a question."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import bertworks
from bertworks import MultipleChoice
from bertworks.batch import PackedBatch
from bertworks.data.choice_examples import ChoiceQuestion
from bertworks.errors import BertworksError, DataError, SettingsError
from bertworks.evaluation.choices import ChoiceMetrics
from bertworks.nn.losses import LossOptions, build_loss
from bertworks.tasks.multiple_choice import MultipleChoice as Task
from bertworks.tasks.multiple_choice import choice_labels
from bertworks.training.steps import ShuffledRows

COUNTS = st.lists(st.integers(2, 5), min_size=1, max_size=6)
GOOD, BAD = ("a fine warm soup", "the lovely dog", "rich sweet wine"), ("a cold stale soup", "the rude dog", "poor sour wine")


def questions(rows: int, seed: int = 0) -> tuple[list[str], list[list[str]], list[int]]:
    """Of three or four choices one is good."""
    draw = np.random.default_rng(seed)
    texts, choices, answers = [], [], []
    for _ in range(rows):
        of_row = [str(draw.choice(BAD)) for _ in range(int(draw.integers(3, 5)))]
        right = int(draw.integers(len(of_row)))
        of_row[right] = str(draw.choice(GOOD))
        texts.append(str(draw.choice(["what was good", "which one is it", "where was the best"])))
        choices.append(of_row)
        answers.append(right)
    return texts, choices, answers


# ---- the loss


@given(COUNTS, st.integers(0, 1000))
def test_the_loss_is_cross_entropy_over_the_choices(counts: list[int], seed: int) -> None:
    draw = np.random.default_rng(seed)
    answers = [int(draw.integers(count)) for count in counts]
    scores = torch.from_numpy(draw.normal(size=(sum(counts), 1)).astype(np.float32) * 3).requires_grad_()
    labels = torch.from_numpy(choice_labels(counts, answers))
    order = torch.from_numpy(draw.permutation(sum(counts)))
    loss = build_loss("choice", LossOptions())
    ours = loss.sum(scores[order], labels[order])
    expected = sum(
        F.cross_entropy(values[:, 0][None], torch.tensor([answer])) for values, answer in zip(scores.split(counts), answers, strict=True)
    )
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, scores, retain_graph=True), torch.autograd.grad(expected, scores))
    assert loss.count(labels) == len(counts)


@given(COUNTS, st.integers(1, 40), st.integers(1, 3))
def test_no_batch_cuts_a_question(counts: list[int], budget: int, shares: int) -> None:
    groups = np.repeat(np.arange(len(counts)), counts)
    data = PackedBatch.from_sequences([[1] * (1 + 3 * i % 7) for i in range(len(groups))], groups=groups)
    source = ShuffledRows(data, batch_size=3, seed=0, whole_groups=True)
    seen: list[int] = []
    for step in range(source.per_epoch):
        for share in range(shares):
            for batch in source.step(step, budget, (share, shares)):
                for group in np.unique(batch.groups).tolist():
                    assert (batch.groups == group).sum() == counts[group]
                    seen.append(group)
                assert (np.diff(batch.lengths) >= 0).all(), "runs of equal length stand together"
    assert sorted(seen) == list(range(len(counts)))


# ---- the model


@pytest.fixture(scope="module")
def fitted(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> MultipleChoice:
    output = tmp_path_factory.mktemp("runs") / "choices"
    options: dict[str, Any] = {"epochs": 6, "learning_rate": 0.003, "batch_size": 16, "precision": "float32", "device": "cpu"}
    model = MultipleChoice(tiny_bert, max_tokens=24, progress=False, output=output, dropout=0.0, **options)
    texts, choices, answers = questions(120)
    return model.fit(texts, choices, answers, validation=questions(30, seed=1))


def test_it_learns_and_says_how_sure_it_is(fitted: MultipleChoice) -> None:
    texts, choices, answers = questions(40, seed=2)
    found = fitted.evaluate(texts, choices, answers)
    assert found["accuracy"] > 0.9 > 0.35 > found["chance"]
    assert found["accuracy"] == pytest.approx(np.mean(fitted.predict(texts, choices) == np.array(answers)))
    low, high = found["intervals"]["accuracy"]
    assert low < found["accuracy"] <= high
    probabilities = fitted.predict_proba(texts, choices)
    assert [len(values) for values in probabilities] == [len(of_row) for of_row in choices]
    np.testing.assert_allclose([values.sum() for values in probabilities], 1)
    expected = -np.mean([np.log(values[answer]) for values, answer in zip(probabilities, answers, strict=True)])
    assert found["log_loss"] == pytest.approx(expected)
    assert found["accounting"]["rows"] == 40


def test_transformers_gives_the_same(fitted: MultipleChoice, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = fitted.save(tmp_path / "model")
    theirs = transformers.BertForMultipleChoice.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts, choices, _ = questions(5, seed=3)
    for text, of_row, ours in zip(texts, choices, fitted.predict_proba(texts, choices), strict=True):
        inputs = tokenizer([text] * len(of_row), of_row, return_tensors="pt", padding=True)
        with torch.no_grad():
            logits = theirs(**{name: values[None] for name, values in inputs.items()}).logits
        np.testing.assert_allclose(ours, logits[0].softmax(-1).numpy(), rtol=1e-4)
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizer.save_pretrained(tmp_path / "theirs")
    again = bertworks.load(tmp_path / "theirs", precision="float32", device="cpu")
    np.testing.assert_allclose(again.predict_proba(texts, choices)[0], fitted.predict_proba(texts, choices)[0], rtol=1e-4)


def test_a_saved_model_is_verified_and_a_finished_run_loads(fitted: MultipleChoice) -> None:
    assert fitted.output is not None
    loaded = bertworks.load(fitted.output, verify=True, precision="float32", device="cpu")
    texts, choices, _ = questions(5, seed=3)
    assert loaded.predict(texts, choices).tolist() == fitted.predict(texts, choices).tolist()
    assert loaded.predict([], []).shape == (0,)


def test_what_is_cut_is_counted(fitted: MultipleChoice) -> None:
    task = Task(max_tokens=12)
    _, seen = task.encode([ChoiceQuestion("the soup was cold " * 5, ("a dog", "the old cat"))], fitted.tokenizer_)
    assert seen.truncated_rows == 1
    whole, _ = Task(max_tokens=60).encode([ChoiceQuestion("the soup was cold " * 5, ("a dog", "the old cat"))], fitted.tokenizer_)
    assert seen.truncated_tokens == whole.tokens - seen.tokens
    strict = Task(max_tokens=12, overflow="error")
    questions = [ChoiceQuestion("soup", ("a", "b", "c")), ChoiceQuestion("soup " * 20, ("a", "b"))]
    with pytest.raises(DataError, match=r"row 1 has .* more than max_tokens"):  # the question's number, not the choice's
        strict.encode(questions, fitted.tokenizer_)
    with pytest.raises(DataError, match="row 41 has"):
        strict.encode(questions, fitted.tokenizer_, first_row=40)


def test_metrics_of_parts_are_those_of_the_whole() -> None:
    draw = np.random.default_rng(0)
    rows = [draw.dirichlet(np.ones(int(draw.integers(2, 5)))) for _ in range(50)]
    answers = [int(draw.integers(len(row))) for row in rows]
    whole, first, second = ChoiceMetrics(200), ChoiceMetrics(200), ChoiceMetrics(200, first_row=20)
    whole.update(answers, rows)
    first.update(answers[:20], rows[:20])
    second.update(answers[20:], rows[20:])
    first.merge(second)
    merged, expected = first.compute(), whole.compute()
    for name, ends in expected.pop("intervals").items():
        assert merged["intervals"][name] == pytest.approx(ends)
    del merged["intervals"]
    assert merged == pytest.approx(expected)


def test_no_probability_is_no_right_answer() -> None:
    """The greatest of NaN is the first, for numpy."""
    with pytest.raises(DataError, match="probabilities must be finite"):
        ChoiceMetrics().update([0], [np.array([np.nan, np.nan])])


def test_a_question_keeps_its_number_in_parts(fitted: MultipleChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, choices, answers = questions(9)
    monkeypatch.setattr("bertworks.estimators.multiple_choice.QUESTIONS_AT_ONCE", 2)
    with pytest.raises(DataError, match="row 7: the answer is 9"):
        fitted.evaluate(texts, choices, [*answers[:7], 9, *answers[8:]])


# ---- what is wrong


@pytest.mark.parametrize(
    ("texts", "choices", "answers", "message"),
    [
        (["a"], [["x"]], [0], "row 0 has 1 choices"),
        (["a"], [["x", "y"]], [2], "a number from 0 to 1"),
        (["a"], [["x", "y"]], [True], "a number from 0 to 1"),
        (["a", "b"], [["x", "y"]], [0], "2 texts but 1 lists"),
        (["a"], ["xy"], [0], "a text and a list of its choices"),
        (["a"], [None], [0], "a text and a list of its choices"),
        (["a"], [["x", "y"]], [0, 1], "1 questions but 2 answers"),
        ("a", [["x", "y"]], [0], "put it in a list"),
        ([], [], [], "no questions"),
    ],
)
def test_wrong_data(tiny_bert: Path, texts: Any, choices: Any, answers: Any, message: str) -> None:
    with pytest.raises(BertworksError, match=message):
        MultipleChoice(tiny_bert, progress=False, epochs=1).fit(texts, choices, answers)


def test_windows_make_no_sense_here(tiny_bert: Path) -> None:
    with pytest.raises(SettingsError, match="windows of one choice"):
        MultipleChoice(tiny_bert, progress=False, epochs=1, overflow="window").fit(["a"], [["x", "y"]], [0])
