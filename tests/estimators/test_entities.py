"""`EntityRecognizer`: it learns, decides by the rules, is saved and loaded, and agrees with `transformers`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

import bertworks as bw
from bertworks import EntityRecognizer
from bertworks.data.tag_schemes import Span, faults, spans_of, tags_of
from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.estimators.entities.assessment import LOOKUP, compare_with_lookup
from bertworks.estimators.entities.rows import sentence_rows, truth_rows
from bertworks.estimators.entities.verbs import answers
from bertworks.estimators.fingerprints import fingerprint_of_data
from bertworks.tasks.tagging import Entity
from tests.conftest import PLAIN

SETTINGS: dict[str, Any] = {"epochs": 6, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "progress": False}
NAMES = ("zola", "brix", "quent", "ovid", "marly")
PLACES = ("york", "brno", "kyoto", "oslo")
Rows = tuple[list[list[str]], list[list[str]]]


def made(rows: int, seed: int = 0, scheme: Any = "IOB2") -> Rows:
    """Sentences in which names of people follow each other, and places follow "in"."""
    draw = np.random.default_rng(seed)
    sentences, tags = [], []
    for _ in range(rows):
        words = [str(word) for word in draw.choice(PLAIN, draw.integers(2, 6))]
        people = [str(name) for name in draw.choice(NAMES, draw.integers(1, 3), replace=False)]
        place = str(draw.choice(PLACES))
        sentences.append([*words, *people, "in", place, "."])
        spans = [Span(len(words), len(words) + len(people), "PER"), Span(len(words) + len(people) + 1, len(words) + len(people) + 2, "LOC")]
        tags.append(tags_of(spans, len(sentences[-1]), scheme))
    return sentences, tags


def as_texts(rows: Rows) -> tuple[list[str], list[list[tuple[int, int, str]]]]:
    """The same as texts with spans of characters."""
    texts, entities = [], []
    for words, tags in zip(*rows, strict=True):
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        texts.append(" ".join(words))
        entities.append([(int(starts[s]), int(starts[e] - 1), label) for s, e, label in spans_of(tags, "IOB2")])
    return texts, entities


@pytest.fixture(scope="module")
def fitted(tiny_bert: Path) -> EntityRecognizer:
    return EntityRecognizer(tiny_bert, **SETTINGS).fit(*made(120), validation=made(30, seed=1))


def test_it_learns_names_and_places(fitted: EntityRecognizer) -> None:
    test = made(40, seed=2)
    found = fitted.evaluate(*test)
    assert found["conlleval_f1"] > 0.9
    assert found["conlleval_f1"] == found["strict_f1"]
    assert found["intervals"]["conlleval_f1"][0] <= found["conlleval_f1"] <= found["intervals"]["conlleval_f1"][1]
    assert found["accounting"]["rows"] == 40
    assert fitted.score(*test) == found["conlleval_f1"]
    assert list(fitted.classes_) == ["O", "B-LOC", "B-PER", "I-PER"]


def test_entities_of_a_text(fitted: EntityRecognizer) -> None:
    text = "the film by Zola Brix in  Kyoto."
    (entities,) = fitted.predict([text])
    assert [(e.text, e.label) for e in entities] == [("Zola Brix", "PER"), ("Kyoto", "LOC")]
    assert all(isinstance(e, Entity) and text[e.start : e.end] == e.text and 0 < e.score <= 1 for e in entities)


def test_tags_of_words_keep_the_rules(fitted: EntityRecognizer) -> None:
    sentences, _ = made(40, seed=3)
    odd = [[*words, "U.S.-led", "zo-la"] for words in sentences] + [["\u200b"], []]
    tags = fitted.predict(odd)
    assert [len(row) for row in tags] == [len(words) for words in odd]
    assert not any(faults(row, "IOB2") for row in tags)  # type: ignore[arg-type]


def test_probabilities(fitted: EntityRecognizer) -> None:
    sentences, _ = made(5, seed=4)
    probabilities = fitted.predict_proba(sentences)
    for words, values in zip(sentences, probabilities, strict=True):
        assert values.shape == (len(words), 4)
        np.testing.assert_allclose(values.sum(axis=1), 1)
        assert values[0, 3] < 1e-9  # no sentence begins inside an entity


def test_texts_with_spans_train_as_words_with_tags_do(tiny_bert: Path) -> None:
    rows = as_texts(made(120))
    recognizer = EntityRecognizer(tiny_bert, **SETTINGS).fit(*rows)
    test = as_texts(made(30, seed=2))
    found = recognizer.evaluate(*test)
    assert found["conlleval_f1"] > 0.9
    assert "word_accuracy" not in found
    as_dicts = [[{"start": a, "end": b, "label": label} for a, b, label in row] for row in test[1]]
    as_entities = [[Entity("", label, a, b, 1.0) for a, b, label in row] for row in test[1]]
    assert recognizer.score(test[0], as_dicts) == recognizer.score(test[0], as_entities) == found["conlleval_f1"]


def test_labels_of_single_words(tiny_bert: Path) -> None:
    sentences, tags = made(100)
    labels = [["NAME" if tag != "O" else "PLAIN" for tag in row] for row in tags]
    recognizer = EntityRecognizer(tiny_bert, **SETTINGS).fit(sentences, labels)
    assert recognizer.task_.scheme == "words"
    found = recognizer.evaluate(sentences, labels)
    assert found["accuracy"] > 0.95
    (row,) = recognizer.predict(["zola in oslo"])
    assert [(e.text, e.label) for e in row] == [("zola", "NAME"), ("in", "PLAIN"), ("oslo", "NAME")]  # type: ignore[union-attr]


@pytest.mark.parametrize("scheme", ["IOB1", "BIOES"])
def test_other_schemes_come_back_as_they_are(tiny_bert: Path, scheme: str) -> None:
    rows = made(80, scheme=scheme)
    recognizer = EntityRecognizer(tiny_bert, **SETTINGS).fit(*rows)
    assert recognizer.task_.scheme == scheme
    assert recognizer.score(*rows) > 0.9
    assert not any(faults(row, scheme) for row in recognizer.predict(rows[0]))  # type: ignore[arg-type]


def test_long_texts_are_read_whole(fitted: EntityRecognizer) -> None:
    sentences, _ = made(30, seed=10)
    text = " ".join(" ".join(words) for words in sentences)
    assert len(fitted.predict_proba([text])[0]) == sum(map(len, sentences))
    (entities,) = fitted.predict([text])
    assert {"LOC", "PER"} == {entity.label for entity in entities}
    assert len(entities) > 30
    _, seen = fitted.predict_with_accounting([text])
    assert (seen.windowed_rows, seen.truncated_tokens) == (1, 0)
    (alone,), (other,) = fitted.predict_proba([text])[:1], fitted.predict_proba([text, "oslo"])[:1]
    np.testing.assert_allclose(alone, other, atol=1e-5)


def test_what_is_lost_is_listed_and_counted(tiny_bert: Path) -> None:
    texts, entities = as_texts(made(30))
    start, end, label = entities[4][0]
    entities[4] = [(start, end - 1, label)]
    recognizer = EntityRecognizer(tiny_bert, **{**SETTINGS, "epochs": 1}).fit(texts, entities)
    (loss,) = recognizer.losses_
    assert (loss.row, loss.label, loss.text) == (4, label, texts[4][start : end - 1])
    assert sum(recognizer.accounting_.notes.values()) == 1


def test_broken_tags_are_counted_and_read_as_conlleval_reads_them(tiny_bert: Path) -> None:
    sentences, tags = made(30)
    tags[7] = ["I-PER" if tag == "B-PER" else tag for tag in tags[7]]
    recognizer = EntityRecognizer(tiny_bert, **{**SETTINGS, "epochs": 1}).fit(sentences, tags)
    assert recognizer.losses_ == []
    assert [(count, "IOB2" in note) for note, count in recognizer.accounting_.notes.items()] == [(1, True)]


def test_saved_and_loaded_it_answers_the_same(fitted: EntityRecognizer, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "model")
    loaded = bw.load(folder, precision="float32", verify=True)
    assert isinstance(loaded, EntityRecognizer)
    sentences, _ = made(20, seed=5)
    assert loaded.predict(sentences) == fitted.predict(sentences)
    assert loaded.task_ == fitted.task_
    stored = json.loads((folder / "bertworks.json").read_text())
    stored["settings"]["labels"][1:3] = stored["settings"]["labels"][2:0:-1]
    (folder / "bertworks.json").write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match="changed"):
        bw.load(folder, precision="float32", verify=True)


def test_transformers_reads_the_folder_and_scores_the_same(fitted: EntityRecognizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    folder = fitted.save(tmp_path / "model")
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    assert model.config.id2label == dict(enumerate(fitted.classes_))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    sentences, _ = made(6, seed=6)
    for words in sentences:
        encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            theirs = model(**encoded).logits[0].softmax(-1).numpy()
        firsts = [encoded.word_ids().index(number) for number in range(len(words))]
        ((reading,), (scores,), _) = next(iter(fitted.read([words])))
        assert reading.words == len(words)
        np.testing.assert_allclose(np.exp(scores), theirs[firsts], atol=1e-5)
    find = transformers.pipeline("token-classification", model=str(folder), aggregation_strategy="first")
    for text in map(" ".join, sentences):
        (ours,) = fitted.predict([text])
        assert [(e["start"], e["end"], e["entity_group"]) for e in find(text)] == [(e.start, e.end, e.label) for e in ours]


def test_a_folder_of_transformers_loads_and_its_scheme_is_told(fitted: EntityRecognizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    source = fitted.save(tmp_path / "ours")
    model = transformers.AutoModelForTokenClassification.from_pretrained(source)
    model.save_pretrained(tmp_path / "theirs")
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "theirs")
    loaded = bw.load(tmp_path / "theirs", precision="float32")
    assert (loaded.task_.scheme, loaded.task_.labels) == ("IOB2", fitted.task_.labels)
    sentences, _ = made(20, seed=7)
    assert loaded.predict(sentences) == fitted.predict(sentences)


def test_types_that_the_model_does_not_know_are_missed(fitted: EntityRecognizer) -> None:
    sentences, tags = made(10, seed=8)
    tags[0] = ["B-NEW", *tags[0][1:]]
    per_type = {row["label"]: row for row in fitted.evaluate(sentences, tags)["per_type"]}
    assert (per_type["NEW"]["support"], per_type["NEW"]["recall"]) == (1, 0.0)


def test_labels_of_the_validation_data_only_are_known(tiny_bert: Path) -> None:
    sentences, tags = made(20)
    held = (sentences[:2], [["B-NEW", *row[1:]] for row in tags[:2]])
    recognizer = EntityRecognizer(tiny_bert, **{**SETTINGS, "epochs": 1}).fit(sentences, tags, validation=held)
    assert "B-NEW" in recognizer.classes_


def test_assessment(fitted: EntityRecognizer, tmp_path: Path) -> None:
    sentences, tags = made(30, seed=9)
    tags[3] = ["O"] * len(tags[3])
    found = fitted.assess(sentences, tags, results=tmp_path / "answers.parquet", mistakes=2)
    assert found.metrics["errors"]["spurious"] >= 2
    worst = found.mistakes[0]
    assert len(found.mistakes) == 2
    assert (worst["row"], worst["label"], worst["kind"]) == (3, "nothing", "spurious")
    assert worst["confidence"] > 0.5
    table = parquet.read_table(tmp_path / "answers.parquet")
    assert table["words"].to_pylist() == sentences
    assert table["prediction"].to_pylist() == fitted.predict(sentences)
    fitted.assess(sentences, tags, results=tmp_path / "answers.jsonl")
    assert [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()] == table.to_pylist()


def test_mistakes_name_what_is_missing(fitted: EntityRecognizer) -> None:
    text = "the food is so bad"
    found = fitted.assess([text], [[(4, 8, "PER")]])
    (mistake,) = found.mistakes
    assert (mistake["label"], mistake["prediction"], mistake["kind"]) == ("PER 'food'", "nothing", "missed")
    assert mistake["confidence"] > 0.5


def test_the_baseline_knows_the_words(fitted: EntityRecognizer) -> None:
    rows, test = made(60), made(20, seed=2)
    truth = [truth_rows(labels, sentence_rows(sentences), "x") for sentences, labels in (rows, test)]
    found = compare_with_lookup(fitted.task_, rows[0], truth[0], test[0], truth[1])[LOOKUP]
    assert 0.5 < found["conlleval_f1"] < 1  # all names are known; which of two begins is not
    texts, spans = as_texts(rows), as_texts(test)
    truth = [truth_rows(labels, sentence_rows(sentences), "x") for sentences, labels in (texts, spans)]
    again = compare_with_lookup(fitted.task_, texts[0], truth[0], spans[0], truth[1])[LOOKUP]
    assert again["conlleval_f1"] == pytest.approx(found["conlleval_f1"])


def test_explanations_add_up_for_that_very_span(fitted: EntityRecognizer) -> None:
    explanation = fitted.explain("the film by zola brix in kyoto.", target="zola brix")
    found = explanation.attributions
    assert found.warning is None
    assert found.words.sum() == pytest.approx(found.tokens.score - found.tokens.baseline_score, rel=0.01)
    ((reading,), _, _) = next(iter(fitted.read(["the film by zola brix in kyoto."])))
    (batch, _, _) = fitted.task_.encode([reading.sentence], fitted.tokenizer_)
    logits = fitted._scores(batch)["tags"]
    wanted = [fitted.task_.labels.index(tag) for tag in ("B-PER", "I-PER")]
    assert found.tokens.score == pytest.approx(logits[reading.places[3:5], wanted].mean(), abs=1e-4)
    assert found.score == "the mean logit of B-PER I-PER"
    assert explanation.answer is not None
    assert explanation.answer.prediction == "zola brix → PER"
    assert explanation.heads(0).shape[1] == batch.tokens
    curve = explanation.faithfulness
    assert curve.quantity == "P(zola brix → PER)"


def test_explanations_of_other_words_and_wrong_targets(fitted: EntityRecognizer) -> None:
    text = "the film by zola in kyoto."
    assert fitted.explain(text).target in ("zola → PER", "kyoto → LOC")
    assert fitted.explain(text, target="LOC").target == "kyoto → LOC"
    assert fitted.explain(text, target="film=LOC").target == "film → LOC"
    with pytest.raises(SettingsError, match="finds no entity 'zolo'"):
        fitted.explain(text, target="zolo")
    with pytest.raises(SettingsError, match=r"no label 'LOK'\. Did you mean 'LOC'"):
        fitted.explain(text, target="film=LOK")
    with pytest.raises(DataError, match="has no words 'cinema'"):
        fitted.explain(text, target="cinema=LOC")


@pytest.mark.parametrize(
    ("sentences", "labels", "message"),
    [
        ("a text", [["O"]], "put it in a list"),
        ([["a"], "b"], [["O"], []], "some sentences are texts"),
        ([["a", "b"]], [["O"]], "2 words but 1 tags"),
        ([["a"]], [["O"], ["O"]], "1 sentences but 2 rows"),
        ([["a"]], [[3]], "not a name"),
        ([[1]], [["O"]], "not a text"),
        (["ab"], [[(0, 5, "X")]], "has 2 characters"),
        ([], [], "no sentences"),
        ([["a"]], [["O"]], "nothing to learn"),
    ],
)
def test_wrong_data_are_named(tiny_bert: Path, sentences: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        EntityRecognizer(tiny_bert, **SETTINGS).fit(sentences, labels)


def test_wrong_settings_are_named(tiny_bert: Path) -> None:
    with pytest.raises(SettingsError, match="Did you mean 'IOB2'"):
        EntityRecognizer(tiny_bert, scheme="IOB3", **SETTINGS).fit(*made(5))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no setting 'schema'"):
        EntityRecognizer(schema="IOB1")


def test_a_run_goes_on_only_with_the_same_tags(tiny_bert: Path, fitted: EntityRecognizer) -> None:
    sentences, tags = made(5)
    task = fitted.task_
    prints = []
    for labels in (tags, [["O"] * len(row) for row in tags]):
        data, _ = fitted._encode_labelled(task, fitted.tokenizer_, sentences, truth_rows(labels, sentences, "x"), [])
        prints.append(fingerprint_of_data(data))
    assert prints[0] != prints[1]


def test_parameters_are_scikit_learns(make_bert: Callable[..., Path]) -> None:
    from sklearn.base import clone

    recognizer = EntityRecognizer(scheme="BIOES", epochs=2)
    assert clone(recognizer).get_params() == recognizer.get_params()


def test_tags_without_types_are_entities(tiny_bert: Path) -> None:
    sentences, tags = made(40)
    plain = [[tag.partition("-")[0] for tag in row] for row in tags]
    recognizer = EntityRecognizer(tiny_bert, **SETTINGS).fit(sentences, plain)
    assert list(recognizer.classes_) == ["O", "B", "I"]
    found = recognizer.evaluate(sentences, plain)
    assert [row["label"] for row in found["per_type"]] == ["entity"]
    assert {e.label for row in recognizer.predict([" ".join(words) for words in sentences]) for e in row} == {"entity"}  # type: ignore[union-attr]


def test_single_words_need_words(tiny_bert: Path) -> None:
    with pytest.raises(SettingsError, match="learnt from words with tags"):
        EntityRecognizer(tiny_bert, scheme="words", **SETTINGS).fit(["Ada runs"], [[(0, 3, "PER")]])


def test_a_row_that_is_too_long_is_named_by_its_number(tiny_bert: Path) -> None:
    sentences, tags = made(600)
    recognizer = EntityRecognizer(tiny_bert, **{**SETTINGS, "epochs": 1, "overflow": "error"}).fit(sentences[:40], tags[:40])
    with pytest.raises(DataError, match="row 577 has"):
        recognizer.predict([*sentences[:577], ["dog"] * 90])


def test_sentences_keep_their_numbers_in_parts(fitted: EntityRecognizer, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertworks.estimators.entities.verbs.SENTENCES_AT_ONCE", 4)
    words = made(10)[0]
    with pytest.raises(DataError, match="sentence 6: a word is 3"):
        list(answers(fitted, [*words[:6], ["a", 3], *words[7:]]))
    strict = EntityRecognizer(tiny_bert, overflow="error", max_tokens=40, **{**SETTINGS, "epochs": 0.1}).fit(*made(20))
    texts = [" ".join(sentence) for sentence in words]
    texts[9] = "the " * 90
    with pytest.raises(DataError, match="row 9 has 92 tokens"):
        list(answers(strict, texts))


def test_names_that_look_like_prefixes_are_types_where_the_scheme_has_none(tiny_bert: Path) -> None:
    words, tags = made(60, scheme="IO")
    of = {"PER": "B-cell", "LOC": "O-ring", "O": "O"}
    recognizer = EntityRecognizer(tiny_bert, scheme="IO", **SETTINGS).fit(words, [[of[tag] for tag in row] for row in tags])
    assert list(recognizer.classes_) == ["O", "B-cell", "O-ring"]
    (entities,) = recognizer.predict(["the film by Zola in Kyoto."])
    assert {entity.label for entity in entities} == {"B-cell", "O-ring"}
    assert all(entity.score > 0.5 for entity in entities)
