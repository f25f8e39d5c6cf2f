"""`EntityRecognizer(transitions=True)`: what it learns, what it is worth, and that nothing changes without it."""

import json
import shutil
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks import EntityRecognizer
from bertworks.batch import Array
from bertworks.checkpoints.files import open_tensors, write_tensors
from bertworks.data.tag_schemes import faults, spans_of
from bertworks.errors import CheckpointError, SettingsError
from bertworks.estimators.entities.rows import truth_rows
from bertworks.nn.inputs import model_inputs
from bertworks.tasks.sentence_reading import Sentence
from bertworks.tasks.tag_paths import log_probabilities
from bertworks.training.steps import Step, StepLoss
from tests.conftest import PLAIN
from tests.estimators.families import FAMILIES, write_family
from tests.estimators.test_entities import SETTINGS, made

CRF = {"crf.transitions", "crf.start_transitions", "crf.end_transitions"}
TOLD = {"first": "zola", "second": "york", "third": "brix"}
LEARNING: dict[str, Any] = {**SETTINGS, "transitions": True}


@pytest.fixture(scope="module")
def fitted(tiny_bert: Path) -> EntityRecognizer:
    return EntityRecognizer(tiny_bert, **LEARNING).fit(*made(120), validation=made(30, seed=1))


def cycles(rows: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Labels that follow each other in a circle; one word in three tells which one it is, the others tell nothing."""
    draw = np.random.default_rng(seed)
    sentences, labels = [], []
    for _ in range(rows):
        start = int(draw.integers(3))
        labels.append([list(TOLD)[(start + place) % 3] for place in range(9)])
        sentences.append([TOLD[label] if draw.random() < 1 / 3 else str(draw.choice(PLAIN)) for label in labels[-1]])
    return sentences, labels


def test_they_help_where_labels_depend_on_the_label_before(tiny_bert: Path) -> None:
    test = cycles(60, seed=2)
    options = {**SETTINGS, "learning_rate": 0.05, "batch_size": 8, "frozen_layers": 2, "scheme": "words"}  # the heads alone are trained
    plain, chained = (EntityRecognizer(tiny_bert, transitions=on, **options).fit(*cycles(150, seed=1)) for on in (False, True))
    assert plain.score(*test) < 0.65
    assert chained.score(*test) > 0.9
    learnt = chained.task_.steps.learnt
    assert learnt is not None
    assert learnt[:3].argmax(axis=1).tolist() == [1, 2, 0]


def test_answers_are_the_best_of_all_sequences(fitted: EntityRecognizer) -> None:
    """By the logits of the head and the weights of the model, all tags of four words written out."""
    task, arrays = fitted.task_, fitted.loaded_.model.arrays()
    bias, first, last = (arrays[f"heads.tags.transitions.{name}"] for name in ("bias", "first_bias", "last_bias"))
    assert abs(bias).max() > 0.1
    for words in (["zola", "brix", "in", "kyoto"], ["ovid", "in", "in", "brno"]):
        batch, (reading,), _ = task.encode([Sentence.of(words)], fitted.tokenizer_)
        logits = fitted._scores(batch)["tags"][reading.places].astype(np.float64)
        values = {}
        for path in product(range(4), repeat=4):
            tags = [task.labels[i] for i in path]
            if not faults(tags, "IOB2"):
                steps = sum(bias[step] for step in pairwise(path)) + first[path[0]] + last[path[-1]]
                values[tuple(tags)] = float(logits[np.arange(4), path].sum() + steps)
        best = max(values, key=values.__getitem__)
        assert tuple(fitted.predict([words])[0]) == best
        total = np.logaddexp.reduce(list(values.values()))
        marginals = np.zeros((4, 4))
        for tags, value in values.items():
            for place, tag in enumerate(tags):
                marginals[place, task.labels.index(tag)] += np.exp(value - total)
        np.testing.assert_allclose(fitted.predict_proba([words])[0], marginals, atol=1e-6)
        (entities,) = fitted.predict([" ".join(words)])
        spans = spans_of(list(best), "IOB2")
        shares = [sum(np.exp(v - total) for tags, v in values.items() if span in spans_of(list(tags), "IOB2")) for span in spans]
        np.testing.assert_allclose([entity.score for entity in entities], shares, atol=1e-6)


def test_the_loss_of_a_step_does_not_depend_on_how_it_is_cut(fitted: EntityRecognizer) -> None:
    """A long document is cut between its windows, too."""
    task, model, machine = fitted.task_, fitted.loaded_.model, fitted.machine_
    sentences, tags = made(24, seed=4)
    sentences, tags = ([*rows, [one for row in rows for one in row]] for rows in (sentences, tags))
    truth = truth_rows(tags, sentences, "x")
    data, seen = fitted._encode_labelled(task, fitted.tokenizer_, sentences, truth, [])
    assert seen.windowed_rows == 1
    loss = StepLoss(model, task, torch.device("cpu"))

    def gradient(parts: list[Any]) -> tuple[float, Array]:
        model.zero_grad()
        step = Step(0, 10_000, [model_inputs(data.take(part), machine.torch_device) for part in parts])
        (count,) = counts = loss.counts(step)
        assert count == sum(map(len, sentences))
        value = loss.backward(step, counts)
        return value, np.concatenate([p.grad.numpy().ravel() for p in model.parameters() if p.grad is not None])

    order = np.random.default_rng(0).permutation(data.sequences)
    whole, apart = gradient([np.arange(data.sequences)]), gradient(np.array_split(order, 9))
    assert whole[0] == pytest.approx(apart[0], rel=1e-6)
    np.testing.assert_allclose(whole[1], apart[1], atol=1e-6 * float(abs(whole[1]).max()) * 10)
    model.zero_grad()


def test_saved_and_loaded_it_answers_the_same(fitted: EntityRecognizer, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "model")
    with open_tensors(folder) as files:
        assert set(files) >= {*CRF, "classifier.weight", "bert.embeddings.word_embeddings.weight"}
    loaded = bw.load(folder, precision="float32", verify=True)
    sentences, _ = made(20, seed=5)
    assert loaded.predict(sentences) == fitted.predict(sentences)
    for one, other in zip(loaded.predict_proba(sentences), fitted.predict_proba(sentences), strict=True):
        assert np.array_equal(one, other)
    assert loaded.task_ == fitted.task_
    assert loaded.evaluate(*made(20, seed=5), intervals=False) == fitted.evaluate(*made(20, seed=5), intervals=False)


def test_smoke_cases_see_the_transitions(fitted: EntityRecognizer, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "model")
    with open_tensors(folder) as files:
        tensors = {name: files[name] for name in files}
    tensors["crf.start_transitions"] = tensors["crf.start_transitions"] + np.array([0, 4, 0, 0], dtype=np.float32)
    write_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(CheckpointError, match="smoke"):
        bw.load(folder, precision="float32", verify=True)


def test_transformers_reads_all_but_the_transitions(fitted: EntityRecognizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = fitted.save(tmp_path / "model")
    model, told = transformers.AutoModelForTokenClassification.from_pretrained(folder, output_loading_info=True)
    assert set(told["unexpected_keys"]) == CRF
    assert not told["missing_keys"]
    words = made(1, seed=6)[0][0]
    encoded = transformers.AutoTokenizer.from_pretrained(folder)(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        theirs = model.eval()(**encoded).logits[0].numpy()
    ((_, (scores,), _),) = fitted.read([words])
    firsts = [encoded.word_ids().index(number) for number in range(len(words))]
    np.testing.assert_allclose(scores, log_probabilities(theirs[firsts]), atol=1e-5)


def test_a_folder_that_does_not_say_so_has_them_all_the_same(fitted: EntityRecognizer, tmp_path: Path) -> None:
    """As one of another tool, whose transitions have these names."""
    folder = fitted.save(tmp_path / "model")
    (folder / "bertworks.json").unlink()
    loaded = bw.load(folder, precision="float32")
    assert loaded.task_.transitions
    sentences, _ = made(20, seed=5)
    assert loaded.predict(sentences) == fitted.predict(sentences)


def test_converted_it_answers_the_same(fitted: EntityRecognizer, tmp_path: Path) -> None:
    bw.convert(fitted.save(tmp_path / "model"), tmp_path / "converted")
    loaded = bw.load(tmp_path / "converted", precision="float32", verify=True)
    sentences, _ = made(20, seed=5)
    assert loaded.predict(sentences) == fitted.predict(sentences)


def test_trained_on_with_and_without_them(fitted: EntityRecognizer, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "model")
    options = {**SETTINGS, "epochs": 0.01, "learning_rate": 1e-9}
    again = EntityRecognizer(folder, transitions=True, **options).fit(*made(20))
    assert not again.loading_report_.new
    np.testing.assert_allclose(again.task_.steps.learnt, fitted.task_.steps.learnt, atol=0.011)
    without = EntityRecognizer(folder, **options).fit(*made(20))
    assert without.task_.steps.learnt is None
    assert [set(names) for names in without.loading_report_.ignored.values()] == [CRF]
    begun = EntityRecognizer(without.save(tmp_path / "plain"), transitions=True, **options).fit(*made(20))
    assert set(begun.loading_report_.new) == {f"heads.tags.transitions.{name}" for name in ("bias", "first_bias", "last_bias")}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_them(family: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    recognizer = EntityRecognizer(write_family(family, tmp_path / "encoder"), **{**LEARNING, "epochs": 1}).fit(*made(20))
    loaded = bw.load(recognizer.save(tmp_path / "model"), precision="float32", verify=True)
    assert np.array_equal(loaded.task_.steps.learnt, recognizer.task_.steps.learnt)
    assert abs(loaded.task_.steps.learnt).max() > 0
    sentences, _ = made(10, seed=5)
    assert loaded.predict(sentences) == recognizer.predict(sentences)


def test_a_folder_without_them_says_nothing_of_them(tiny_bert: Path, tmp_path: Path) -> None:
    folder = EntityRecognizer(tiny_bert, **{**SETTINGS, "epochs": 1}).fit(*made(20)).save(tmp_path / "model")
    assert "transitions" not in json.loads((folder / "bertworks.json").read_text())["settings"]
    with open_tensors(folder) as files:
        assert not [name for name in files if name.startswith("crf")]


def test_a_long_text_is_one_sequence(fitted: EntityRecognizer) -> None:
    sentences, _ = made(30, seed=10)
    text = " ".join(" ".join(words) for words in sentences)
    ((readings, scores, seen),) = fitted.read([text])
    assert seen.windowed_rows == 1
    (entities,) = fitted.predict([text])
    assert len(entities) > 30
    (lattice,) = fitted.task_.lattices(scores)
    assert len(lattice.scores) == len(readings[0].places) == sum(map(len, sentences))


def test_tags_that_break_the_rules_can_be_learnt_from(tiny_bert: Path) -> None:
    sentences, tags = made(60)
    tags[7] = ["I-PER" if tag == "B-PER" else tag for tag in tags[7]]
    recognizer = EntityRecognizer(tiny_bert, **{**LEARNING, "epochs": 4}).fit(sentences, tags)
    assert recognizer.score(*made(20, seed=2)) > 0.8
    assert not any(faults(row, "IOB2") for row in recognizer.predict(sentences))  # type: ignore[arg-type]


def test_explanations_tell_the_probability_among_all_sequences(fitted: EntityRecognizer) -> None:
    text = "the film by zola brix in kyoto."
    explanation = fitted.explain(text, target="zola brix")
    (entities,) = fitted.predict([text])
    assert explanation.answer is not None
    assert explanation.answer.probabilities["zola brix → PER"] == pytest.approx(entities[0].score)
    whole = explanation._without([np.zeros(0, dtype=np.int64)])
    wanted = fitted.predict_proba([text])[0][3:5][:, [2, 3]].sum(axis=1).mean()
    assert whole.tolist() == pytest.approx([wanted], abs=1e-6)


def test_what_cannot_be_is_named(tiny_bert: Path, fitted: EntityRecognizer, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="True or False, not 'crf'"):
        EntityRecognizer(tiny_bert, transitions="crf").fit(*made(5))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="leave out one of the two"):
        EntityRecognizer(tiny_bert, teacher=tiny_bert, **LEARNING).fit(*made(5))
    folder = fitted.save(tmp_path / "teacher")
    with pytest.raises(SettingsError, match="choose one without"):
        EntityRecognizer(tiny_bert, teacher=folder, **SETTINGS).fit(*made(5))
    with open_tensors(folder) as files:
        tensors = {name: files[name] for name in files if name != "crf.transitions"}
    shutil.copytree(folder, tmp_path / "lacking")
    write_tensors(tmp_path / "lacking" / "model.safetensors", tensors)
    with pytest.raises(CheckpointError, match=r"crf\.transitions"):
        bw.load(tmp_path / "lacking")
