"""Filling masks and judging texts and pairs, against `transformers` on the same folder and against slow ways."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import bertworks
from bertworks import MaskFiller, NextSentence, Tokenizer
from bertworks.checkpoints.files import read_json, write_json
from bertworks.cli.main import run
from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.estimators import model_folder
from bertworks.estimators.mask_filler import _Choice
from bertworks.inference.models import new_model
from bertworks.tasks import fill_mask
from bertworks.tasks.fill_mask import FillMask
from tests.conftest import CONFIG, SPECIAL

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = ["the [MASK] was cold", "a fine [MASK] of tea and [MASK] rice", "[MASK] ."]


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with both heads of its pretraining."""
    loaded = new_model(
        {**CONFIG, "architectures": ["BertForPreTraining"]},
        {"masked_lm": ("masked_lm", CONFIG["vocab_size"]), "next_sentence": ("next_sentence", 2)},  # type: ignore[dict-item]
        seed=3,
    )
    path = tmp_path_factory.mktemp("pretrained") / "model"
    task = FillMask(max_tokens=24, vocabulary=CONFIG["vocab_size"])  # type: ignore[arg-type]
    model_folder.save(path, loaded, Tokenizer.load(tiny_bert), task, about={}, replace=False)
    return path


@pytest.fixture(scope="module")
def filler(folder: Path) -> MaskFiller:
    return MaskFiller(folder, precision="float32", device="cpu")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Callable[..., Any]:
    """The probabilities of `transformers` at each mask, `[masks, vocabulary]`, and the next-sentence logits."""
    transformers = pytest.importorskip("transformers")
    model = transformers.BertForPreTraining.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def answer(*texts: str) -> Any:
        inputs = tokenizer(*texts, return_tensors="pt")
        with torch.no_grad():
            out = model(**inputs)
        at = inputs["input_ids"][0] == tokenizer.mask_token_id
        return out.prediction_logits[0][at].softmax(-1).numpy(), out.seq_relationship_logits[0].softmax(-1).numpy()

    return answer


def test_candidates_and_scores_are_those_of_transformers(filler: MaskFiller, theirs: Callable[..., Any]) -> None:
    for text, filled in zip(TEXTS, filler.fill(TEXTS, top_k=4), strict=True):
        probabilities, _ = theirs(text)
        assert len(filled.masks) == len(probabilities)
        for mask, expected in zip(filled.masks, probabilities, strict=True):
            np.testing.assert_allclose([c.score for c in mask], np.sort(expected)[::-1][:4], rtol=1e-4)
            best = filler.tokenizer.id_to_token(int(expected.argmax())) or ""
            assert mask[0].token == best.removeprefix("##")


def test_all_masks_are_filled_the_surest_first(filler: MaskFiller, theirs: Callable[..., Any]) -> None:
    text = TEXTS[1]
    first, _ = theirs(text)
    surest = int(first.max(1).argmax())
    token = filler.tokenizer.id_to_token(int(first[surest].argmax())) or ""
    parts = text.split("[MASK]")
    half = parts[0] + (token if surest == 0 else "[MASK]") + parts[1] + (token if surest == 1 else "[MASK]") + parts[2]
    if token.startswith("##"):
        half = half.replace(" " + token, token.removeprefix("##"))
    assert filler.fill(text).filled == filler.fill(half).filled
    assert "[MASK]" not in filler.fill(text).filled


def test_only_the_given_candidates(filler: MaskFiller, theirs: Callable[..., Any]) -> None:
    words = ["soup", "tea", "dog"]
    (mask,) = filler.fill(TEXTS[0], candidates=words).masks
    ((probabilities,), _) = theirs(TEXTS[0])
    expected = sorted(((probabilities[filler.tokenizer.token_to_id(word)], word) for word in words), reverse=True)
    assert [candidate.token for candidate in mask] == [word for _, word in expected]
    np.testing.assert_allclose([candidate.score for candidate in mask], [p for p, _ in expected], rtol=1e-4)
    assert mask[0].text == TEXTS[0].replace("[MASK]", mask[0].token)


def slow_score(theirs: Callable[..., Any], filler: MaskFiller, before: str, word: str, after: str) -> float:
    """The geometric mean of a word's token probabilities at as many masks, by `transformers`."""
    ids = filler.tokenizer.encode(word).ids[1:-1].tolist()
    probabilities, _ = theirs(before + " [MASK]" * len(ids) + after)
    first = before.count("[MASK]")
    return float(np.prod([probabilities[first + i][token] for i, token in enumerate(ids)]) ** (1 / len(ids)))


def test_candidates_of_several_tokens(filler: MaskFiller, theirs: Callable[..., Any]) -> None:
    words = ["soup", "movies", "the old dog", "tea"]
    assert [len(filler.tokenizer.encode(word)) - 2 for word in words] == [1, 2, 3, 1]
    text = "a fine [MASK] of tea and [MASK] rice"
    first, second = filler.fill(text, candidates=words).masks
    for mask, before, after in ((first, "a fine", " of tea and [MASK] rice"), (second, "a fine [MASK] of tea and", " rice")):
        expected = sorted(((slow_score(theirs, filler, before, word, after), word) for word in words), reverse=True)
        assert [candidate.token for candidate in mask] == [word for _, word in expected]
        np.testing.assert_allclose([candidate.score for candidate in mask], [score for score, _ in expected], rtol=1e-4)
        for candidate in mask:
            assert candidate.text == f"{before} {candidate.token}{after}"
    assert [c.token for c in filler.fill(text, candidates=words, top_k=2).masks[1]] == [c.token for c in second[:2]]


def test_single_tokens_keep_their_scores_beside_longer_candidates(filler: MaskFiller) -> None:
    alone = {c.token: c.score for c in filler.fill(TEXTS[0], candidates=["soup", "tea"]).masks[0]}
    among = {c.token: c.score for c in filler.fill(TEXTS[0], candidates=["movies", "soup", "tea", "Movies"]).masks[0]}
    assert among.keys() == {"movies", "soup", "tea"}, "spellings of the same tokens are one candidate"
    assert {token: among[token] for token in alone} == alone


def test_all_masks_are_filled_from_candidates_of_several_tokens(filler: MaskFiller) -> None:
    """The surest mask first, then the other with a view to it: by hand."""
    words, text = ["movies", "the old dog", "soup"], TEXTS[1]
    masks = filler.fill(text, candidates=words, top_k=1).masks
    surest = max((mask[0] for mask in masks), key=lambda candidate: candidate.score)
    assert filler.fill(text, candidates=words).filled == filler.fill(surest.text, candidates=words, top_k=1).masks[0][0].text


def test_candidates_of_several_tokens_in_a_long_text(filler: MaskFiller) -> None:
    """By what is said of the single tokens where somebody writes so many masks, each in its best window."""
    words = ["the", "soup", "was", "very", "cold", "and", "old"] * 8
    words[30] = "[MASK]"
    text = " ".join(words)
    found = {c.token: c for c in filler.fill(text, candidates=["movies", "the old dog"]).masks[0]}
    for word in ("movies", "the old dog"):
        ids = filler.tokenizer.encode(word).ids[1:-1].tolist()
        several = filler.fill(text.replace("[MASK]", " ".join(["[MASK]"] * len(ids))), top_k=filler.tokenizer.vocabulary_size).masks
        spelled = [filler.tokenizer.id_to_token(i) for i in ids]
        of_token = [{c.score for c in mask if c.token == token.removeprefix("##")} for mask, token in zip(several, spelled, strict=True)]
        means = {float(np.prod(scores) ** (1 / len(ids))) for scores in itertools.product(*of_token)}  # "##s" and "s" look alike
        assert min(abs(mean / found[word].score - 1) for mean in means) < 1e-4
        assert found[word].text == text.replace("[MASK]", word)


def test_a_piece_that_goes_on_a_word_takes_the_space_away(filler: MaskFiller) -> None:
    token = filler.tokenizer.token_to_id("##e")
    assert token is not None
    assert filler._spliced("the win [MASK] was", [8, 14], _Choice((token,))) == ("e", "the wine was")
    whole = filler.tokenizer.token_to_id("wine")
    assert whole is not None
    assert filler._spliced("the [MASK] was", [4, 10], _Choice((whole,))) == ("wine", "the wine was")


def test_the_text_keeps_its_capitals_and_spaces(filler: MaskFiller) -> None:
    text = "The  SOUP, [MASK]  and Rice!"
    candidate = filler.fill(text, candidates=["cold"]).masks[0][0]
    assert candidate.text == "The  SOUP, cold  and Rice!"


def test_a_mask_in_a_long_text_is_filled_where_most_is_seen(filler: MaskFiller, theirs: Callable[..., Any]) -> None:
    words = ["the", "soup", "was", "very", "cold", "and", "old"] * 8
    words[30] = "[MASK]"
    text = " ".join(words)
    (mask,) = filler.fill(text, top_k=1).masks
    windows = filler.tokenizer.encode_batch([text], max_tokens=24)[0]
    assert len(windows) > 2
    seen = [(min(at, len(w) - 1 - at), w) for w in windows for at in np.flatnonzero(w.ids == filler.tokenizer.mask_id).tolist()]
    best = max(seen, key=lambda item: item[0])[1]
    shown = filler.tokenizer.decode(best.ids[1:-1], skip_special_tokens=False)
    np.testing.assert_allclose(mask[0].score, theirs(shown)[0].max(), rtol=1e-4)
    assert mask[0].text == text.replace("[MASK]", mask[0].token)


def test_likelihood_hides_every_token_in_turn(filler: MaskFiller, theirs: Callable[..., Any]) -> None:
    text = "the soup was cold"
    words = text.split()
    expected = []
    for place, word in enumerate(words):
        ((probabilities,), _) = theirs(" ".join("[MASK]" if i == place else w for i, w in enumerate(words)))
        expected.append(np.log(probabilities[filler.tokenizer.token_to_id(word)]))
    judged = filler.likelihood(text)
    assert judged.tokens == words
    np.testing.assert_allclose(judged.log_probabilities, expected, rtol=1e-4)
    assert judged.pseudo_log_likelihood == pytest.approx(sum(expected), rel=1e-5)
    assert judged.pseudo_perplexity == pytest.approx(np.exp(-np.mean(expected)), rel=1e-4)
    assert filler.likelihood([text, "a dog"])[0].log_probabilities == pytest.approx(judged.log_probabilities, rel=1e-4)


def test_every_token_of_a_long_text_is_judged_once(filler: MaskFiller) -> None:
    words = ["the", "soup", "was", "very", "cold", "and", "old"] * 8
    assert filler.likelihood(" ".join(words)).tokens == words


def test_likelihoods_are_computed_some_at_a_time(filler: MaskFiller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the number of texts, nor with the square of a text's length; the results are the same."""
    texts = ["the soup was cold", " ".join(["the", "soup", "was", "very", "cold", "and", "old"] * 8), "a dog", "wine"]
    whole = filler.likelihood(texts)
    (batch,) = filler.task_.hidden_in_turn(texts, filler.tokenizer)
    monkeypatch.setattr(fill_mask, "TOKENS_AT_ONCE", 100)
    parts = list(filler.task_.hidden_in_turn(texts, filler.tokenizer))
    assert len(parts) > 10
    assert max(part.tokens for part in parts) < 100 + 24
    for name in ("input_ids", "segment_ids", "groups"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(batch, name))
    for one, other in zip(filler.likelihood(texts), whole, strict=True):
        assert one.tokens == other.tokens
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, rtol=1e-5)
    assert len(whole[1].tokens) == 56


def test_next_sentence_is_that_of_transformers(folder: Path, theirs: Callable[..., Any]) -> None:
    pairs = [("the soup was cold", "he sent it back again"), ("a dog", "the old train was late"), ("rice", "wine .")]
    judge = NextSentence(folder, precision="float32", device="cpu")
    np.testing.assert_allclose(judge.predict(pairs), [theirs(*pair)[1][0] for pair in pairs], rtol=1e-4)
    assert judge.predict([]).shape == (0,)


# ---- folders


def test_the_folder_knows_its_task_and_is_verified(folder: Path, tmp_path: Path) -> None:
    import shutil

    assert isinstance(bertworks.load(folder, verify=True), MaskFiller)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    smoke = read_json(copy / "smoke.json")
    smoke["cases"][0]["output"] -= 0.5
    write_json(copy / "smoke.json", smoke)
    with pytest.raises(CheckpointError, match="smoke"):
        bertworks.load(copy, verify=True)


def test_a_folder_of_transformers_loads(folder: Path, tmp_path: Path, filler: MaskFiller) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.BertForMaskedLM.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    loaded = bertworks.load(tmp_path / "theirs", precision="float32", device="cpu")
    assert loaded.fill(TEXTS[0]).filled == filler.fill(TEXTS[0]).filled


# ---- what is wrong


def test_wrong_things(filler: MaskFiller, folder: Path, tiny_bert: Path) -> None:
    with pytest.raises(DataError, match=r"text 1 has no \[MASK\]"):
        filler.fill(["a [MASK]", "no mask"])
    with pytest.raises(SettingsError, match=r"'東京' cannot be told by the vocabulary, which reads it as \[UNK\]"):
        filler.fill(TEXTS[0], candidates=["soup", "東京"])
    with pytest.raises(SettingsError, match="reads it as no token"):
        filler.fill(TEXTS[0], candidates=[" "])
    with pytest.raises(SettingsError, match="top_k"):
        filler.fill(TEXTS[0], top_k=0)
    with pytest.raises(SettingsError, match="at least one"):
        filler.fill(TEXTS[0], candidates=[])
    with pytest.raises(DataError, match="no token"):
        filler.likelihood(" ")
    with pytest.raises(CheckpointError, match=r"BertModel|masked"):
        MaskFiller(tiny_bert)
    with pytest.raises(CheckpointError, match="next-sentence"):
        NextSentence(tiny_bert)
    with pytest.raises(DataError, match="pairs"):
        NextSentence(folder).predict(["one text"])  # type: ignore[list-item]


# ---- the command line


def test_commands(folder: Path, capsys: pytest.CaptureFixture[str], filler: MaskFiller) -> None:
    options = ["--model", str(folder), "--precision", "float32", "--device", "cpu"]
    assert run(["fill-mask", TEXTS[0], TEXTS[1], "--top-k", "2", *options]) == 0
    out = capsys.readouterr().out
    assert filler.fill(TEXTS[1]).filled in out
    assert "mask 2" in out
    assert run(["fill-mask", TEXTS[0], "--candidates", "soup, tea", "--json", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {candidate["token"] for candidate in told["masks"][0]} == {"soup", "tea"}
    assert run(["fill-mask", "the soup was cold", "--likelihood", *options]) == 0
    assert "pseudo-perplexity" in capsys.readouterr().out
    assert run(["next-sentence", "the soup was cold", "a dog", "--json", *options]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["follows"] < 1
    assert run(["next-sentence", "one", *options]) == 2
    assert "two texts are compared, not 1" in capsys.readouterr().err
    assert run(["fill-mask", "no mask here", *options]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["fill-mask", "the soup was cold", "--likelihood", "--top-k", "3", *options]) == 2
    assert "leave out --top-k" in capsys.readouterr().err


def test_lines_are_numbered_with_the_empty_ones(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--model", str(folder), "--precision", "float32", "--device", "cpu"]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEXTS[0]}\n\n\nno mask here\n"))
    assert run(["fill-mask", *options]) == 3
    assert "text 3 has no [MASK]" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("the soup\n\n\u200b\n"))  # the last is a character that no token has
    assert run(["fill-mask", "--likelihood", *options]) == 3
    assert "text 2 has no token" in capsys.readouterr().err


def test_other_verbs_say_what_such_a_model_is_for(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(folder), "a text"]) == 2
    told = capsys.readouterr().err
    assert "as for fill-mask" in told
    assert "or use next-sentence" in told
    assert run(["explain", str(folder), "the soup was cold", "--output", str(tmp_path / "page.html")]) == 0, "attention, as of any encoder"
    assert (tmp_path / "page.html").stat().st_size > 1000


@pytest.mark.parametrize("candidates", [["[MASK]"], ["a [MASK]"], ["soup", "[SEP]"]])
def test_special_tokens_are_no_words(filler: MaskFiller, candidates: list[str]) -> None:
    with pytest.raises(SettingsError, match="has a special token in it, which is no word"):
        filler.fill("The [MASK] and [MASK] was cold.", candidates=candidates)


def test_a_mask_is_never_filled_with_a_mask(folder: Path) -> None:
    """By a model that would: then a text never were full."""
    filler = MaskFiller(folder, precision="float32", device="cpu")
    name = filler.mask_token
    with torch.no_grad():
        filler._loaded.model.heads["masked_lm"].bias[filler.tokenizer.mask_id] += 1e3
    filled = filler.fill(f"the {name} was {name} and {name}", top_k=3)
    assert name not in filled.filled
    assert all(candidate.token != name for mask in filled.masks for candidate in mask)


def test_no_texts_have_no_likelihoods(filler: MaskFiller) -> None:
    assert filler.likelihood([]) == []


def test_a_vocabulary_without_words(tmp_path: Path) -> None:
    """There is nothing that a token could go on."""
    tokens = [*SPECIAL, ".", ",", "!", "?", "##."]
    (tmp_path / "vocab.txt").write_text("".join(token + "\n" for token in tokens), encoding="utf-8")
    loaded = new_model({**CONFIG, "vocab_size": len(tokens)}, {"masked_lm": ("masked_lm", len(tokens))}, seed=3)
    task = FillMask(max_tokens=24, vocabulary=len(tokens))
    model_folder.save(tmp_path / "model", loaded, Tokenizer.load(tmp_path / "vocab.txt"), task, about={}, replace=False)
    filled = MaskFiller(tmp_path / "model", precision="float32", device="cpu").fill("! [MASK] ?", candidates=[".", ","])
    assert {candidate.text for candidate in filled.masks[0]} == {"! . ?", "! , ?"}
