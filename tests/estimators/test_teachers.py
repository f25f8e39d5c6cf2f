"""Learning from a teacher: what it says reaches the student as it stands, is learnt rather than the labels, and survives a resume."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks import EntityRecognizer, MultipleChoice, QuestionAnswerer, TextClassifier
from bertworks.batch import Array, PackedBatch
from bertworks.checkpoints.files import open_tensors
from bertworks.checkpoints.toml_files import read_toml
from bertworks.cli.main import run as command
from bertworks.errors import BertworksError, CheckpointError, DataError, Interrupted, SettingsError
from bertworks.estimators import task_estimator, taught_estimator
from bertworks.estimators.verbs.cross_validate import cross_validate
from bertworks.nn.inputs import model_inputs
from bertworks.nn.losses import LossOptions, build_loss
from bertworks.nn.soft_losses import build_soft_loss
from bertworks.tasks.taught import Taught, lesson_of
from bertworks.tasks.text_classification import HEAD
from bertworks.training.progress import Progress, StepReport
from bertworks.training.steps import Step, StepLoss
from tests.conftest import VOCABULARY
from tests.estimators.answers.conftest import make_examples
from tests.estimators.test_entities import made
from tests.estimators.test_multiple_choice import questions

FAST: dict[str, Any] = {"epochs": 6, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "device": "cpu", "progress": False}
KINDS = ("single", "multi", "number")


class Caught(Exception):  # noqa: N818 - nothing is wrong
    """What a training was to be of."""

    def __init__(self, model: Any, task: Any, data: PackedBatch, *rest: Any, **options: Any) -> None:
        self.model, self.task, self.data, self.material = model, task, data, options["material"]


@pytest.fixture
def lesson(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Caught]:
    """What an estimator is about to train on."""

    def catch(*arguments: Any, **options: Any) -> None:
        raise Caught(*arguments, **options)

    def of(estimator: Any, *rows: Any, **options: Any) -> Caught:
        with monkeypatch.context() as patch:
            patch.setattr(task_estimator, "train", catch)
            with pytest.raises(Caught) as caught:
                estimator.fit(*rows, **options)
        return caught.value

    return of


@pytest.fixture(scope="module")
def saved(fitted: Callable[..., TextClassifier], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of trained classifiers, by their kinds."""
    home = tmp_path_factory.mktemp("teachers")
    return {kind: fitted(kind).save(home / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def other_words(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same small model with another vocabulary."""
    folder = Path(shutil.copytree(tiny_bert, tmp_path_factory.mktemp("other") / "bert"))
    special, words = VOCABULARY[:5], VOCABULARY[5:]
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in [*special, *reversed(words)]), encoding="utf-8")
    return folder


def softmax(values: Array) -> Array:
    shares = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


# ---- what the student is told


@pytest.mark.parametrize("vocabulary", ["same", "other"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_is_told_what_the_teacher_predicts(
    kind: str,
    vocabulary: str,
    saved: dict[str, Path],
    make: Callable[..., TextClassifier],
    lesson: Callable[..., Caught],
    reviews: Callable[..., Any],
    targets: Callable[..., Any],
    other_words: Path,
) -> None:
    """Of a document in windows each has what the teacher says of the whole, which reads it in its own way."""
    rows = reviews(20, seed=5, longest=60)
    model = {} if vocabulary == "same" else {"model": other_words}
    student = make(teacher=saved[kind], max_tokens=16, stride=4, **model)
    found = lesson(student, rows[0], targets(kind, *rows))
    told = found.data.targets[lesson_of(HEAD)]
    assert found.data.sequences > 20, "windows are needed, or they are not tested"
    teacher = bw.load(saved[kind], precision="float32", device="cpu")
    if kind == "number":
        task = found.task.task
        np.testing.assert_allclose(told * task.scale + task.center, teacher.predict(rows[0])[found.data.groups], rtol=1e-4)
    else:
        wanted = teacher.predict_proba(rows[0])[found.data.groups]
        np.testing.assert_allclose(softmax(told) if kind == "single" else 1 / (1 + np.exp(-told)), wanted, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(found.data.targets[f"{lesson_of(HEAD)}_weights"], found.data.targets[f"{HEAD}_weights"])


def test_labels_are_found_by_their_names(
    saved: dict[str, Path], make: Callable[..., TextClassifier], lesson: Callable[..., Caught], reviews: Callable[..., Any], tmp_path: Path
) -> None:
    texts, labels = reviews(12, seed=6)
    teacher = bw.load(saved["single"], precision="float32", device="cpu")
    straight = lesson(make(teacher=saved["single"]), texts, labels).data.targets[lesson_of(HEAD)]
    output = teacher.loaded_.model.heads[HEAD].output
    with torch.no_grad():
        output.weight.copy_(output.weight.flip(0))
        output.bias.copy_(output.bias.flip(0))
    teacher.task_ = replace(teacher.task_, labels=teacher.task_.labels[::-1], thresholds=None)
    turned = lesson(make(teacher=teacher.save(tmp_path / "turned")), texts, labels).data.targets[lesson_of(HEAD)]
    np.testing.assert_allclose(turned, straight, rtol=1e-5, atol=1e-6)
    assert not np.allclose(turned, turned[:, ::-1], atol=1e-2)


def test_a_teacher_of_transformers_knows_labels_as_strings(
    make: Callable[..., TextClassifier], lesson: Callable[..., Caught], reviews: Callable[..., Any], tmp_path: Path
) -> None:
    texts, labels = reviews(12, seed=6)
    numbers = [int(label == "good") for label in labels]
    teacher = make(epochs=1).fit(texts, numbers)
    folder = teacher.save(tmp_path / "teacher")
    (folder / "bertworks.json").unlink()
    told = lesson(make(teacher=folder), texts, numbers).data.targets[lesson_of(HEAD)]
    np.testing.assert_allclose(softmax(told), teacher.predict_proba(texts), rtol=1e-3)


def test_a_recognizer_is_told_at_labelled_words(tiny_bert: Path, lesson: Callable[..., Caught], tmp_path: Path) -> None:
    rows = made(24)
    teacher = EntityRecognizer(tiny_bert, **{**FAST, "epochs": 1}).fit(*rows)
    found = lesson(EntityRecognizer(tiny_bert, teacher=teacher.save(tmp_path / "teacher"), max_tokens=12, stride=3, **FAST), *rows)
    data, name = found.data, lesson_of("tags")
    np.testing.assert_allclose(data.token_targets[name], teacher._scores(data)["tags"], rtol=1e-4, atol=1e-5)
    weights = data.token_targets[f"{name}_weights"]
    assert ((weights > 0) == (data.token_targets["tags"] >= 0)).all()
    assert weights.sum() == pytest.approx(sum(len(words) for words in rows[0])), "a word weighs 1 in all its windows"


def test_an_answerer_is_told_where_answers_may_be(tiny_bert: Path, lesson: Callable[..., Caught], tmp_path: Path) -> None:
    rows = make_examples(24, length=(4, 30))
    teacher = QuestionAnswerer(tiny_bert, **{**FAST, "epochs": 1}).fit(rows)
    found = lesson(QuestionAnswerer(tiny_bert, teacher=teacher.save(tmp_path / "teacher"), max_tokens=20, stride=4, **FAST), rows)
    told, marks = found.data.token_targets[lesson_of("answer")], found.data.token_targets["answer"]
    assert ((told == -np.inf) == (marks == -100)).all()
    may = marks != -100
    np.testing.assert_allclose(told[may], teacher._scores(found.data)["answer"][may], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("vocabulary", ["same", "other"])
def test_choices_are_told_their_scores(
    tiny_bert: Path, other_words: Path, lesson: Callable[..., Caught], tmp_path: Path, vocabulary: str
) -> None:
    rows = questions(12)
    teacher = MultipleChoice(tiny_bert, **{**FAST, "epochs": 1}).fit(*rows)
    model = tiny_bert if vocabulary == "same" else other_words
    found = lesson(MultipleChoice(model, teacher=teacher.save(tmp_path / "teacher"), **FAST), *rows)
    told = found.data.targets[lesson_of("choices")]
    for group, wanted in enumerate(teacher.predict_proba(*rows[:2])):
        of_group = told[found.data.groups == group]
        np.testing.assert_allclose(softmax(of_group[:, 2]), wanted, rtol=1e-3)
        assert of_group[:, 1].tolist() == [group] * len(wanted)


# ---- the loss of a step


def parts_of(caught: Caught) -> tuple[StepLoss, Step, dict[str, Array]]:
    """The loss of all rows as one step, and the model's scores for them; without dropout."""
    device = torch.device("cpu")
    inputs = model_inputs(caught.data, device)
    with torch.no_grad():
        scores = {name: values.numpy() for name, values in caught.model(inputs).items()}
    return StepLoss(caught.model, caught.task, device), Step(0, 10**6, [inputs]), scores


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_both_losses_are_means_and_are_mixed_by_the_share(
    share: float, saved: dict[str, Path], make: Callable[..., TextClassifier], lesson: Callable[..., Caught], reviews: Callable[..., Any]
) -> None:
    """Row by row, each at its weight; the labels' loss with class weights, which say nothing of the teacher's."""
    texts, labels = reviews(15, seed=7, longest=30)
    student = make(teacher=saved["single"], teacher_share=share, temperature=3.0, max_tokens=16, class_weights={"good": 0.5, "bad": 2.0})
    caught = lesson(student, texts, labels)
    loss, step, scores = parts_of(caught)
    total = loss.backward(step, loss.counts(step))
    targets, hard, soft, counts = caught.data.targets, 0.0, 0.0, [0.0, 0.0]
    for own, told, label, weight in zip(scores[HEAD], targets[lesson_of(HEAD)], targets[HEAD], targets[f"{HEAD}_weights"], strict=True):
        of_class = [2.0, 0.5][label]
        hard -= weight * of_class * np.log(softmax(own)[label])
        p, q = softmax(told / 3), softmax(own / 3)
        soft += weight * 9 * (p * np.log(p / q)).sum()
        counts = [counts[0] + weight * of_class, counts[1] + weight]
    assert total == pytest.approx((1 - share) * hard / counts[0] + share * soft / counts[1], rel=1e-4)


def test_answers_and_tags_are_mixed_alike(tiny_bert: Path, lesson: Callable[..., Caught], tmp_path: Path) -> None:
    """By the losses themselves, which have their own tests."""
    words, contexts = made(12), make_examples(12)
    recognizer, answerer = EntityRecognizer(tiny_bert, **{**FAST, "epochs": 1}), QuestionAnswerer(tiny_bert, **{**FAST, "epochs": 1})
    teachers = [recognizer.fit(*words).save(tmp_path / "tags"), answerer.fit(contexts).save(tmp_path / "answers")]
    cases = (
        (EntityRecognizer(tiny_bert, teacher=teachers[0], **FAST), words, "tags", "cross_entropy", "divergence"),
        (QuestionAnswerer(tiny_bert, teacher=teachers[1], **FAST), (contexts,), "answer", "token_choice", "token_divergence"),
    )
    for estimator, rows, head, hard, soft in cases:
        caught = lesson(estimator, *rows)
        loss, step, scores = parts_of(caught)
        found = loss.backward(step, loss.counts(step))
        (inputs,), wanted = step.batches, 0.0
        for name, one in ((head, build_loss(hard, LossOptions())), (lesson_of(head), build_soft_loss(soft, LossOptions(temperature=2.0)))):
            labels, weights = inputs.targets[name], inputs.targets[f"{name}_weights"]
            value = one.sum(torch.from_numpy(scores[head]), labels, weights, inputs.layout)
            wanted += 0.5 * float(value) / one.count(labels, weights, inputs.layout)
        assert found == pytest.approx(wanted, rel=1e-4)


def test_no_split_of_a_step_changes_its_gradient(tiny_bert: Path, lesson: Callable[..., Caught], tmp_path: Path) -> None:
    rows = questions(9)
    teacher = MultipleChoice(tiny_bert, **{**FAST, "epochs": 1}).fit(*rows).save(tmp_path / "teacher")
    caught = lesson(MultipleChoice(tiny_bert, teacher=teacher, **FAST), *rows)
    gradients, losses = [], []
    for cuts in ([0, 9], [0, 2, 5, 9]):
        loss = StepLoss(caught.model, caught.task, torch.device("cpu"))
        batches = [caught.data.take(np.flatnonzero((caught.data.groups >= a) & (caught.data.groups < b))) for a, b in pairwise(cuts)]
        step = Step(0, 10**6, [model_inputs(batch, torch.device("cpu")) for batch in batches])
        caught.model.zero_grad()
        losses.append(loss.backward(step, loss.counts(step)))
        gradients.append({name: p.grad.clone() for name, p in caught.model.named_parameters() if p.grad is not None})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


# ---- the teacher rather than the labels


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_follows_the_teacher_and_not_noise(
    kind: str,
    saved: dict[str, Path],
    fitted: Callable[..., TextClassifier],
    make: Callable[..., TextClassifier],
    reviews: Callable[..., Any],
    targets: Callable[..., Any],
) -> None:
    """On the very texts, of which the labels say something else."""
    texts, labels = reviews(160, seed=8)
    noise = targets(kind, texts, labels)
    noise = [noise[i] for i in np.random.default_rng(0).permutation(len(noise))]
    student, alone = (make(epochs=8, **options).fit(texts, noise) for options in ({"teacher": saved[kind], "teacher_share": 1.0}, {}))
    teacher = fitted(kind)
    if kind == "number":
        likeness = [float(np.corrcoef(one.predict(texts), teacher.predict(texts))[0, 1]) for one in (student, alone)]
    else:
        wanted = teacher.predict_proba(texts) > 0.5
        likeness = [float(np.mean((one.predict_proba(texts) > 0.5) == wanted)) for one in (student, alone)]
    assert likeness[0] > 0.9
    assert likeness[0] > likeness[1] + 0.15


def test_so_do_words_answers_and_choices(tiny_bert: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    only = {"teacher_share": 1.0, **FAST}

    sentences, tags = made(100)
    recognizer = EntityRecognizer(tiny_bert, **FAST).fit(sentences, tags).save(tmp_path / "tags")
    noise = [[row[i] for i in draw.permutation(len(row))] for row in tags]
    taught: Any = EntityRecognizer(tiny_bert, teacher=recognizer, **only).fit(sentences, noise)
    assert taught.score(*made(30, seed=1)) > 0.8

    texts, choices, answers = questions(120)
    model = (
        MultipleChoice(tiny_bert, **{**FAST, "learning_rate": 0.003}, dropout=0.0).fit(texts, choices, answers).save(tmp_path / "choices")
    )
    wrong = [int(draw.integers(len(of_row))) for of_row in choices]
    taught = MultipleChoice(tiny_bert, teacher=model, **{**only, "learning_rate": 0.003}, dropout=0.0).fit(texts, choices, wrong)
    assert taught.score(*questions(40, seed=2)) > 0.85

    examples = make_examples(160, unanswerable=0.0)
    answerer = QuestionAnswerer(tiny_bert, **{**FAST, "epochs": 8}).fit(examples).save(tmp_path / "answers")
    first = [(example.context.split()[0].strip("."), 0) for example in examples]
    columns = [example.question for example in examples], [example.context for example in examples], first
    taught = QuestionAnswerer(tiny_bert, teacher=answerer, **{**only, "epochs": 8}).fit(*columns)
    assert taught.score(make_examples(40, seed=1, unanswerable=0.0)) > 0.8


# ---- resuming


class Stopping(Progress):
    """Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            signal.raise_signal(signal.SIGINT)


def test_a_resumed_run_ends_in_the_same_bits(
    saved: dict[str, Path],
    make: Callable[..., TextClassifier],
    reviews: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, labels = reviews(48, seed=3)
    options: dict[str, Any] = {"teacher": saved["single"], "temperature": 4.0, "log_steps": 1, "epochs": 2}
    whole = make(output=tmp_path / "whole", **options).fit(texts, labels)
    with pytest.raises(Interrupted):
        make(output=tmp_path / "run", **{**options, "progress": Stopping(3)}).fit(texts, labels)
    shutil.copytree(tmp_path / "run", tmp_path / "other")

    def other_numbers(*_arguments: Any) -> Array:
        raise AssertionError("what the teacher said was kept")

    with monkeypatch.context() as patch:
        patch.setattr(taught_estimator._Reading, "of", other_numbers)
        again = make(output=tmp_path / "run", **options).fit(texts, labels, resume=True)
    assert again.result_.state.step == whole.result_.state.step > 3
    for name, values in whole.loaded_.model.arrays().items():
        np.testing.assert_array_equal(again.loaded_.model.arrays()[name], values)

    for changes, told in (({"temperature": 2.0}, "temperature was 4.0"), ({"teacher": None, "temperature": 2.0}, "teacher was")):
        with pytest.raises(CheckpointError, match=told):
            make(output=tmp_path / "other", **{**options, **changes}).fit(texts, labels, resume=True)
    retrained = make(epochs=1, seed=3).fit(texts, labels).save(tmp_path / "retrained")
    with pytest.raises(CheckpointError, match="teacher was"):
        make(output=tmp_path / "other", **{**options, "teacher": retrained}).fit(texts, labels, resume=True)
    (tmp_path / "other" / taught_estimator.SAID).unlink()
    recomputed = make(output=tmp_path / "other", **options).fit(texts, labels, resume=True)
    for name, values in whole.loaded_.model.arrays().items():
        np.testing.assert_array_equal(recomputed.loaded_.model.arrays()[name], values)


def test_what_was_said_is_kept_and_is_of_the_same(
    saved: dict[str, Path], make: Callable[..., TextClassifier], reviews: Callable[..., Any], tmp_path: Path
) -> None:
    texts, labels = reviews(48, seed=3)
    teacher = Path(shutil.copytree(saved["single"], tmp_path / "teacher"))
    options: dict[str, Any] = {"teacher": teacher, "log_steps": 1, "epochs": 2}
    whole = make(output=tmp_path / "whole", **options).fit(texts, labels)
    with pytest.raises(Interrupted):
        make(output=tmp_path / "run", **{**options, "progress": Stopping(3)}).fit(texts, labels)
    kept = (tmp_path / "run" / taught_estimator.SAID).read_bytes()
    with pytest.raises(CheckpointError, match="training data was"):
        make(output=tmp_path / "run", **options).fit(texts[:20], labels[:20], resume=True)
    assert (tmp_path / "run" / taught_estimator.SAID).read_bytes() == kept, "what is refused changes nothing"
    shutil.copytree(tmp_path / "run", tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "checkpoints")
    turned = make(output=tmp_path / "begun", **options).fit(texts[::-1], labels[::-1], resume=True)
    straight = make(output=tmp_path / "turned", **options).fit(texts[::-1], labels[::-1])
    shutil.rmtree(teacher)
    again = make(output=tmp_path / "run", **options).fit(texts, labels, resume=True)
    for one, other in ((again, whole), (turned, straight)):
        for name, values in other.loaded_.model.arrays().items():
            np.testing.assert_array_equal(one.loaded_.model.arrays()[name], values)


def test_seeds_and_studies_learn_from_a_teacher(
    saved: dict[str, Path], tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path
) -> None:
    texts, labels = reviews(40, seed=4)
    data = {"text": texts, "label": labels}
    settings: dict[str, Any] = {"model": tiny_bert, "epochs": 1, "precision": "float32", "teacher_share": 1.0}
    teacher = os.path.relpath(saved["single"])
    whole = bw.train(data, teacher=teacher, output=tmp_path / "seeds", seeds=2, **settings)
    crossed = cross_validate(data, folds=2, teacher=teacher, output=tmp_path / "crossed", **settings)
    for folder in (*(one.folder for one in whole.seeds), *(trial.folder for trial in crossed.trials)):
        stored = Path(read_toml(folder / "config.toml")["classifier"]["teacher"])
        assert stored.is_absolute()
        assert stored.samefile(saved["single"])
        with open_tensors(folder / taught_estimator.SAID) as said:
            assert said["scores"].shape[1] == 2


def test_the_command_line(saved: dict[str, Path], tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path) -> None:
    rows = [f'"{text}",{label}' for text, label in zip(*reviews(40, seed=4), strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    words = ["train", str(tmp_path / "rows.csv"), "--output", str(tmp_path / "run"), "--model", str(tiny_bert), "--epochs", "1"]
    assert command([*words, "--teacher", str(saved["single"]), "--teacher-share", "0.75", "--temperature", "3", "--json"]) == 0
    own = read_toml(tmp_path / "run" / "config.toml")["classifier"]
    assert (own["teacher"], own["teacher_share"], own["temperature"]) == (str(saved["single"].absolute()), 0.75, 3.0)
    assert (tmp_path / "run" / taught_estimator.SAID).exists()


# ---- what cannot be


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"teacher_share": 0.0}, r"teacher_share must lie in \(0, 1\]"),
        ({"teacher_share": 1.5}, "teacher_share"),
        ({"teacher_share": True}, "teacher_share"),
        ({"temperature": 0}, "temperature must lie in"),
        ({"temperature": 1e6}, r"temperature must lie in \[0.01, 100\]"),
        ({"temperature": float("nan")}, "temperature must lie in"),
    ],
)
def test_wrong_numbers(options: dict[str, Any], told: str, saved: dict[str, Path], make: Callable[..., TextClassifier]) -> None:
    with pytest.raises(SettingsError, match=told):
        make(teacher=saved["single"], **options).fit([], [])


def test_numbers_without_a_teacher(make: Callable[..., TextClassifier]) -> None:
    with pytest.raises(SettingsError, match="name a teacher, or leave them out"):
        make(temperature=3.0).fit(["a", "b"], ["x", "y"])


def test_teachers_that_cannot_teach(
    saved: dict[str, Path],
    make: Callable[..., TextClassifier],
    reviews: Callable[..., Any],
    tiny_bert: Path,
    other_words: Path,
    tmp_path: Path,
) -> None:
    texts, labels = reviews(12)
    pairs = [(text, "so it was") for text in texts]
    words = made(12)
    short = make_examples(12)
    tags = EntityRecognizer(tiny_bert, **{**FAST, "epochs": 1}).fit(*words).save(tmp_path / "tags")
    answers = QuestionAnswerer(other_words, **{**FAST, "epochs": 1}).fit(short).save(tmp_path / "answers")
    cases: list[tuple[Any, tuple[Any, ...], type[BertworksError], str]] = [
        (make(teacher=tags), (texts, labels), SettingsError, "trained for tagging, not for text classification"),
        (make(teacher=saved["multi"]), (texts, labels), SettingsError, "of the kind 'multi', but these are of the kind 'single'"),
        (
            make(teacher=saved["single"]),
            (texts, [f"{x}s" for x in labels]),
            SettingsError,
            "it lacks bads, goods and the data have no bad, g",
        ),
        (make(teacher=saved["single"]), (pairs, labels), SettingsError, "reads single texts, but the data are pairs"),
        (make(teacher=tiny_bert), (texts, labels), CheckpointError, "is no finished model"),
        (make(teacher=tmp_path / "none"), (texts, labels), CheckpointError, "no model folder"),
        (EntityRecognizer(other_words, teacher=tags, **FAST), words, SettingsError, "another tokenizer"),
        (EntityRecognizer(tiny_bert, teacher=tags, new_tokens=["brix"], **FAST), words, SettingsError, "no new_tokens"),
        (QuestionAnswerer(tiny_bert, teacher=answers, **FAST), (short,), SettingsError, "learnt token by token"),
    ]
    for number, (estimator, rows, error, told) in enumerate(cases):
        with pytest.raises(error, match=told):
            estimator.set_params(output=tmp_path / f"run-{number}").fit(*rows)
        assert not (tmp_path / f"run-{number}").exists(), "nothing was begun"


def test_a_teacher_that_reads_less(tiny_bert: Path, make_bert: Callable[..., Path], tmp_path: Path) -> None:
    """Of words the same tokens must be read; of texts the teacher reads what it can, in windows."""
    longer = [(["the"] * 60 + ["zola"], ["O"] * 60 + ["B-PER"])] * 4
    words = [row[0] for row in longer], [row[1] for row in longer]
    small = make_bert(max_position_embeddings=24)
    teacher = EntityRecognizer(small, **{**FAST, "epochs": 1}).fit(*words).save(tmp_path / "tags")
    with pytest.raises(SettingsError, match=r"reads 24 tokens at once, but there are sequences of \d+: set max_tokens=24"):
        EntityRecognizer(tiny_bert, teacher=teacher, **FAST).fit(*words)
    EntityRecognizer(tiny_bert, teacher=teacher, max_tokens=24, **{**FAST, "epochs": 1}).fit(*words)
    strict = TextClassifier(small, overflow="error", **{**FAST, "epochs": 1}).fit(["a good day", "a bad day"], ["good", "bad"])
    told = TextClassifier(tiny_bert, teacher=strict.save(tmp_path / "strict"), **{**FAST, "epochs": 1})
    told.fit([" ".join(row[0]) for row in longer], ["good", "bad", "good", "bad"])
    with pytest.raises(DataError):
        strict.predict([" ".join(longer[0][0])])


def test_the_task_of_the_loop_is_the_task_itself_but_for_its_losses(saved: dict[str, Path]) -> None:
    task = bw.load(saved["single"]).task_
    taught = Taught(task, 0.5, 2.0)
    assert (taught.name, taught.heads) == (task.name, task.heads)
    assert list(taught.losses) == [HEAD, lesson_of(HEAD)]
    assert taught.losses[HEAD][1]["weight"] == 0.5
    assert list(replace(taught, share=1.0).losses) == [lesson_of(HEAD)]
