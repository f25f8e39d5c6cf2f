"""Labels of words: what is encoded comes back, whatever the tokenizer; windows; entities of whole words."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from bertworks.batch import Array, PackedBatch
from bertworks.data.tag_schemes import Scheme, Span, all_tags, faults, guess_scheme, spans_of
from bertworks.data.tagged import read_tagged
from bertworks.errors import DataError, SettingsError
from bertworks.tasks import task_from_settings
from bertworks.tasks.sentence_reading import Sentence, Truth
from bertworks.tasks.tagging import HEAD, Tagging, infer
from bertworks.tokenization import Tokenizer
from tests.tokenization.conftest import FAMILIES, real, shared_data, small

__all__ = ["real", "shared_data", "small"]

WORDS = ("dog", "U.S.-led", "Jean-Claude", "play", "café", "N.Y.", "unable", ",", "it's", "New York", "418", "re-play-ing", "博", "x")
SCHEMES: tuple[Scheme, ...] = ("IOB1", "IOB2", "BIOES", "BILOU", "IO", "words")


def valid_tags(draw: np.random.Generator, words: int, scheme: Scheme) -> list[str]:
    """Random tags that keep the rules."""
    tags = all_tags(["PER", "LOC"], scheme)
    while True:
        found = [str(tag) for tag in draw.choice(tags, words)]
        if not faults(found, scheme):
            return found


def sentence(seed: int, scheme: Scheme) -> tuple[list[str], list[str]]:
    draw = np.random.default_rng(seed)
    words = [str(word) for word in draw.choice(WORDS, int(draw.integers(1, 6)))]
    return words, valid_tags(draw, len(words), scheme)


def perfect(task: Tagging, batch: PackedBatch) -> dict[str, Array]:
    """The scores of a model that knows every target, and nothing else."""
    targets = batch.token_targets[HEAD]
    scores = np.zeros((len(targets), len(task.labels)), dtype=np.float32)
    scores[targets >= 0, targets[targets >= 0]] = 20.0
    return {HEAD: scores}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_tags_come_back_with_every_tokenizer(small: Callable[[str], Tokenizer], family: str, scheme: Scheme, seed: int) -> None:
    words, tags = sentence(seed, scheme)
    task = infer([Truth(tags), Truth(all_tags(["PER", "LOC"], scheme))], scheme)
    batch, (reading,), _ = task.encode([Sentence.of(words)], small(family), [Truth(tags)])
    lost = task.lost(reading, Truth(tags))
    known = set(reading.numbers.tolist()) == set(range(len(words)))
    assert not lost or not known, "only a word of which the tokenizer makes nothing may lose its label"
    (found,) = task.paths(task.word_scores([reading], perfect(task, batch)[HEAD]))
    again = task.word_tags(reading, found)
    assert [span for span in spans_of(tags, scheme) if span not in spans_of(again, scheme)] == lost
    if known and scheme != "IO":
        assert again == tags


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_entities_are_whole_words_of_the_original_text(small: Callable[[str], Tokenizer], family: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    text = "".join(str(part) for part in draw.choice(["Elon ", "Musk", " ", "U.S.", "-led", "café", ", ", "playing", "博", "\n"], 9))
    task = Tagging(tuple(all_tags(["PER", "LOC"], "IOB2")), joiners=".")
    batch, readings, _ = task.encode([Sentence(text)], small(family))
    (found,) = task.entities(readings, task.word_scores(readings, draw.normal(size=(batch.tokens, 5)) * 3))
    assert all(a.end <= b.start for a, b in pairwise(found))
    for entity in found:
        assert entity.text == text[entity.start : entity.end] == entity.text.strip()
        assert 0 < entity.score <= 1
        for border in (entity.start, entity.end):
            inside = text[border - 1 : border + 1] if 0 < border < len(text) else ""
            assert not (len(inside) == 2 and inside.isascii() and inside.isalnum())


def test_entities_with_borders_within_the_tokenizers_words(small: Callable[[str], Tokenizer]) -> None:
    """Metaspace takes "U.S.-led" and "York," for one word each; the borders lie within."""
    text = "a U.S.-led plan, New York, now."
    spans = [Span(2, 6, "LOC"), Span(17, 25, "LOC"), Span(30, 31, "X")]
    letters = [(piece, -2.0) for piece in [*"▁acdeklnoprsuwxNSUY.,-", "▁New", "York,", "S.-l"]]
    backend = Backend(models.Unigram([("<unk>", -9.0), *letters], unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizers = [small("wordpiece"), small("wordpiece_lower"), small("roberta"), small("gpt2"), Tokenizer(backend)]
    for tokenizer in tokenizers:
        task = infer([Truth(None, spans)], "IOB2")
        batch, readings, _ = task.encode([Sentence(text)], tokenizer, [Truth(None, spans)])
        if tokenizer is tokenizers[-1]:  # its piece "York," has the comma with it, "S.-l" parts of three words
            assert task.lost(readings[0], Truth(None, spans)) == spans[:2]
            continue
        assert task.lost(readings[0], Truth(None, spans)) == []
        (found,) = task.entities(readings, task.word_scores(readings, perfect(task, batch)[HEAD]))
        assert [(e.start, e.end, e.label) for e in found] == [tuple(span) for span in spans]
        assert [e.text for e in found] == ["U.S.", "New York", "."]


def test_spans_that_cannot_be_given_back_are_named(small: Callable[[str], Tokenizer]) -> None:
    text = "playing the dog runs"
    spans = [Span(0, 4, "A"), Span(8, 15, "B"), Span(12, 15, "C")]
    task = infer([Truth(None, spans)], "IOB2")
    _, (reading,), _ = task.encode([Sentence(text)], small("wordpiece"), [Truth(None, spans)])
    assert task.lost(reading, Truth(None, spans)) == [spans[0], spans[2]]


def test_every_word_weighs_one_and_is_read_where_it_has_most_context(tiny_tokenizer: Tokenizer) -> None:
    words = [f"{word}{number}" for number, word in enumerate(["dog", "cat", "very", "movie"] * 12)]
    tags = ["B-X" if number % 5 == 0 else "O" for number in range(len(words))]
    task = infer([Truth(tags)], "IOB2", max_tokens=20, stride=8)
    batch, (reading,), seen = task.encode([Sentence.of(words)], tiny_tokenizer, [Truth(tags)])
    assert seen.windowed_rows == 1
    assert batch.sequences > 3
    weights, targets = batch.token_targets[f"{HEAD}_weights"], batch.token_targets[HEAD]
    assert len(reading.places) == len(words)
    assert weights.sum() == pytest.approx(len(words))
    assert (weights[targets < 0] == 0).all()
    (windows,) = tiny_tokenizer.encode_batch([reading.sentence.text], max_tokens=20, stride=8)
    firsts = [int(w.token_numbers[w.token_numbers >= 0].min()) for w in windows]
    lasts = [int(w.token_numbers.max()) for w in windows]
    total = lasts[-1]
    for (start, _), place in zip(reading.spans.tolist(), reading.places.tolist(), strict=True):
        window = int(np.searchsorted(batch.offsets, place, side="right")) - 1
        token = int(windows[window].token_numbers[place - batch.offsets[window]])
        assert windows[window].offsets[place - batch.offsets[window], 0] == start
        margins = [
            min(token - a if a else 10**6, b - token if b < total else 10**6) if a <= token <= b else -1
            for a, b in zip(firsts, lasts, strict=True)
        ]
        assert margins[window] == max(margins)
    assert not task.lost(reading, Truth(tags))


def test_a_long_sentence_is_learnt_as_one_sequence(tiny_tokenizer: Tokenizer) -> None:
    """Each word once, where it is read with most context; at the borders of windows the right tags of the neighbours stand."""
    words = [f"{word}{number}" for number, word in enumerate(["dog", "cat", "very", "movie"] * 12)]
    tags = ["B-X" if number % 5 == 0 else "I-X" if number % 5 == 1 else "O" for number in range(len(words))]
    task = infer([Truth(tags)], "IOB2", max_tokens=20, stride=8, transitions=True)
    rows, truth = [Sentence.of(["cat"]), Sentence.of(words)], [Truth(["O"]), Truth(tags)]
    batch, readings, _ = task.encode(rows, tiny_tokenizer, truth)
    assert batch.sequences > 4
    numbers = [task.labels.index(tag) for tag in tags]
    targets, window = batch.token_targets[HEAD], np.repeat(np.arange(batch.sequences), batch.lengths)
    assert set(batch.token_targets) == {HEAD, f"{HEAD}_words"}
    assert targets[targets[:, 0] >= 0][0].tolist() == [task.labels.index("O"), -1, -1]
    places = readings[1].places
    assert sorted(np.flatnonzero(targets[:, 0] >= 0)[1:]) == places.tolist() == sorted(places)
    for number, place in enumerate(places):
        before = -1 if number == 0 else -100 if window[places[number - 1]] == window[place] else numbers[number - 1]
        after = -1 if place == places[-1] else -100 if window[places[number + 1]] == window[place] else numbers[number + 1]
        assert targets[place].tolist() == [numbers[number], before, after]
    scores = np.zeros((batch.tokens, 3), dtype=np.float32)
    scores[places, numbers] = 20.0
    metrics = task.metrics()
    task.update_metrics(metrics, batch, {HEAD: scores})
    assert metrics.compute()["conlleval_f1"] == 1


def test_what_is_not_read_is_lost_and_counted(tiny_tokenizer: Tokenizer) -> None:
    words, tags = ["dog"] * 30, ["O"] * 28 + ["B-X", "I-X"]
    task = infer([Truth(tags)], "IOB2", max_tokens=12, overflow="truncate")
    batch, (reading,), seen = task.encode([Sentence.of(words)], tiny_tokenizer, [Truth(tags)])
    assert (seen.truncated_rows, seen.truncated_tokens) == (1, 20)
    assert task.lost(reading, Truth(tags)) == [Span(28, 30, "X")]
    assert task.word_tags(reading, task.paths(task.word_scores([reading], perfect(task, batch)[HEAD]))[0]) == ["O"] * 30


def test_metrics_of_a_batch_are_those_of_the_words(tiny_tokenizer: Tokenizer) -> None:
    draw = np.random.default_rng(3)
    rows = [sentence(seed, "BIOES") for seed in range(40)] + [(["dog"] * 50, ["O"] * 49 + ["S-PER"])]
    task = infer([Truth(tags) for _, tags in rows], "BIOES", max_tokens=24)
    truth = [Truth(tags) for _, tags in rows]
    batch, readings, _ = task.encode([Sentence.of(words) for words, _ in rows], tiny_tokenizer, truth)
    scores = {HEAD: draw.normal(size=(batch.tokens, len(task.labels))).astype(np.float32)}
    streamed, whole = task.metrics(), task.metrics()
    for groups in (range(15), range(15, 41)):
        chosen = np.flatnonzero(np.isin(batch.groups, groups))
        tokens = np.isin(np.repeat(np.arange(batch.sequences), batch.lengths), chosen)
        task.update_metrics(streamed, batch.take(chosen), {HEAD: scores[HEAD][tokens]})
    for reading, row, tags in zip(readings, rows, task.paths(task.word_scores(readings, scores[HEAD])), strict=True):
        assert len(reading.numbers) == len(row[0])  # every word has a piece
        whole.update([row[1]], [task.word_tags(reading, tags)])
    assert streamed.compute() == whole.compute()


def test_the_task_is_told_by_the_labels() -> None:
    task = infer([Truth(["S-PER", "B-LOC", "E-LOC"])], "BIOES")
    assert task.labels == ("O", "B-LOC", "E-LOC", "S-PER")
    assert task.types == ("LOC", "PER")
    assert set(infer([Truth(None, [Span(0, 1, "X")])], "BIOES").labels) == {"O", "B-X", "I-X", "E-X", "S-X"}
    assert infer([Truth(["NOUN", "VERB"])], "words").labels == ("NOUN", "VERB")
    assert set(infer([Truth(["I-PER", "O"])], "IOB1").labels) == {"O", "I-PER"}
    with pytest.raises(DataError, match="all words have the tag 'O'"):
        infer([Truth(["O", "O"])], "IOB2")
    with pytest.raises(DataError, match="no entity"):
        infer([Truth(None, [])], "IOB2")


def test_an_unknown_tag_names_the_row(tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"row 1: the tag 'B-PRE' .*Did you mean 'B-PER'"):
        Tagging(("O", "B-PER")).encode([Sentence.of(["dog"])] * 2, tiny_tokenizer, [Truth(["O"]), Truth(["B-PRE"])])


def test_settings_come_back_and_wrong_ones_are_refused() -> None:
    task = Tagging(("O", "B-PER", "I-PER"), "IOB2", 64, "truncate", 3, joiners="-.")
    assert task_from_settings("tagging", task.settings()) == task
    assert "transitions" not in task.settings()
    learning = replace(task, transitions=True)
    assert task_from_settings("tagging", learning.settings()) == learning
    wrong = ({"scheme": "IOB9"}, "scheme"), ({"labels": ["O", "O"]}, "twice"), ({"labels": []}, "at least one"), ({"x": 1}, "no setting")
    for change, message in wrong:
        with pytest.raises(SettingsError, match=message):
            task_from_settings("tagging", {**task.settings(), **change})


def test_empty_texts_and_words_of_which_nothing_is_left(small: Callable[[str], Tokenizer]) -> None:
    task = Tagging(("O", "B-PER", "I-PER"))
    rows: list[Any] = ["", " \n ", [], ["\u200b", "dog"], ["dog", "\u200b", "dog"]]
    batch, readings, _ = task.encode([Sentence.of(row) for row in rows], small("wordpiece"))
    scores = task.word_scores(readings, np.zeros((batch.tokens, 3), dtype=np.float32))
    assert [len(values) for values in scores] == [0, 0, 0, 1, 2]
    tags = [task.word_tags(reading, found) for reading, found in zip(readings, task.paths(scores), strict=True)]
    assert [len(row) for row in tags] == [0, 0, 0, 2, 3]
    assert task.entities(readings[:2], scores[:2]) == [[], []]
    assert task.word_tags(readings[4], ["B-PER", "I-PER"]) == ["B-PER", "I-PER", "I-PER"]
    assert task.lost(readings[3], Truth(["B-PER", "O"])) == [Span(0, 1, "PER")]


def test_guessing_uses_the_order_of_tags() -> None:
    assert guess_scheme([["I-PER", "B-PER"]]) == "IOB1"


@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-cased", "bert-base-chinese", "gpt2", "roberta-base", "modernbert"])
def test_no_label_of_real_data_is_lost(shared_data: Path, real: Callable[[str], Tokenizer], name: str) -> None:
    for file in ("tagging/wikigold/all.conll", "tagging/wnut17/dev.conll"):
        data = read_tagged(shared_data / file, limit=400)
        truth = [Truth(tags) for tags in data.labels or []]  # type: ignore[arg-type]
        task = infer(truth, data.scheme)
        batch, readings, _ = task.encode([Sentence.of(words) for words in data.sentences], real(name), truth)
        paths = task.paths(task.word_scores(readings, perfect(task, batch)[HEAD]))
        for reading, tags, true in zip(readings, paths, truth, strict=True):
            assert task.lost(reading, true) == []
            assert spans_of(task.word_tags(reading, tags), data.scheme) == spans_of(true.tags or (), data.scheme)
