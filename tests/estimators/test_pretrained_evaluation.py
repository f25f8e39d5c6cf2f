"""Judging pretrained models on text, against `transformers` on the same hidden tokens and the same pairs; and `predict` for them."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks import MaskFiller, Tokenizer
from bertworks.batch import PackedBatch
from bertworks.cli.main import run
from bertworks.data.corpus.corpus import Corpus
from bertworks.errors import CheckpointError, DataError, MissingExtraError, SettingsError
from bertworks.estimators import model_folder
from bertworks.estimators.pretraining import documents, evaluation
from bertworks.estimators.pretraining.evaluation import evaluate
from bertworks.estimators.workflows import prepare_corpus
from bertworks.inference.models import new_model
from bertworks.tasks.fill_mask import FillMask
from bertworks.tasks.masked_lm import MASKED_LM
from bertworks.tasks.masking import IGNORED, Masker, Masking
from bertworks.tasks.next_sentence import NEXT_SENTENCE
from tests.conftest import CONFIG, PLAIN, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TOKENS = 24
WORDS = PLAIN[:40]
"""Each document has a word of its own."""


def make_documents(count: int, seed: int = 0, shortest: int = 1) -> list[list[str]]:
    """The sentences of documents, which all differ."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        sentences = range(int(draw.integers(shortest, 9)))
        made.append([" ".join([WORDS[number % len(WORDS)]] * int(draw.integers(1, 7)) + [chr(97 + i), "."]) for i in sentences])
    return made


DOCUMENTS = make_documents(40, shortest=1)


def as_text(made: list[list[str]], between: str = "\n") -> str:
    return "\n\n".join(between.join(sentences) for sentences in made) + "\n"


@pytest.fixture(scope="module")
def make_model(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes random pretrained models with one tokenizer."""

    def make(seed: int = 3, heads: tuple[str, ...] = (MASKED_LM, NEXT_SENTENCE), about: Any = None, **changes: Any) -> Path:
        config = {**CONFIG, "architectures": ["BertForPreTraining"], **changes}
        outputs = {MASKED_LM: config["vocab_size"], NEXT_SENTENCE: 2}
        loaded = new_model(config, {name: (name, outputs[name]) for name in heads}, seed=seed)  # type: ignore[dict-item, misc]
        path = tmp_path_factory.mktemp("pretrained") / "model"
        task = FillMask(max_tokens=64, vocabulary=config["vocab_size"])
        model_folder.save(path, loaded, Tokenizer.load(tiny_bert), task, about=about or {}, replace=False)
        return path

    return make


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path]) -> Path:
    return make_model()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(as_text(DOCUMENTS), encoding="utf-8")
    return path


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[PackedBatch]]:
    """The batches that models are given, by their targets."""
    seen: dict[str, list[PackedBatch]] = {MASKED_LM: [], NEXT_SENTENCE: []}
    original = evaluation.evaluate_batch

    def spy(model: Any, task: Any, batch: PackedBatch, **options: Any) -> Any:
        seen[task.objectives[0].name].append(batch)
        return original(model, task, batch, **options)

    monkeypatch.setattr(evaluation, "evaluate_batch", spy)
    return seen


def numbers(model: Path | str, data: Any, **options: Any) -> dict[str, Any]:
    return evaluate(model, data, **{"max_tokens": MAX_TOKENS, "precision": "float32", "device": "cpu", **options}).metrics


def of_words(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if not name.startswith("next_sentence")}


def padded(batch: PackedBatch) -> dict[str, torch.Tensor]:
    mask = batch.to_padded(np.ones(batch.tokens, dtype=np.int64), fill=0)
    segments = batch.to_padded(batch.segment_ids, fill=0)
    return {
        "input_ids": torch.tensor(batch.to_padded(fill=0)),
        "attention_mask": torch.tensor(mask),
        "token_type_ids": torch.tensor(segments),
    }


# ---- against transformers


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_loss_and_accuracy_are_those_of_transformers(model: Path, text: Path, rate: float) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertForMaskedLM.from_pretrained(model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = []
    for sentences in DOCUMENTS:
        ids = tokenizer(" ".join(sentences), add_special_tokens=False)["input_ids"]
        parts = [ids[start : start + MAX_TOKENS - 2] for start in range(0, len(ids), MAX_TOKENS - 2)]
        rows += [[tokenizer.cls_token_id, *part, tokenizer.sep_token_id] for part in parts]
    batch = PackedBatch.from_sequences(rows)
    mask = Masker(Masking(rate, seed=7), special_ids=range(5), mask_id=tokenizer.mask_token_id, vocabulary=len(VOCABULARY))
    seen, targets = mask(batch, np.ones(batch.tokens, dtype=bool))
    inputs = padded(replace(batch, input_ids=seen))
    labels = torch.tensor(batch.to_padded(targets, fill=IGNORED))
    with torch.no_grad():
        out = theirs(**inputs, labels=labels)
    found = numbers(model, text, rate=rate, seed=7)
    assert found["masked_lm_loss"] == pytest.approx(float(out.loss), rel=1e-5)
    assert found["masked_lm_perplexity"] == pytest.approx(float(out.loss.exp()), rel=1e-4)
    assert found["masked_lm_accuracy"] == pytest.approx(float((out.logits.argmax(-1) == labels)[labels != IGNORED].float().mean()))
    assert found["masked_lm_tokens"] == int((targets != IGNORED).sum())
    assert found["tokens"] == batch.tokens - 2 * batch.sequences
    assert found["documents"] == len(DOCUMENTS)


def test_pairs_are_judged_as_transformers_does(model: Path, text: Path, batches: dict[str, list[PackedBatch]]) -> None:
    transformers = pytest.importorskip("transformers")
    found = numbers(model, text)
    theirs = transformers.BertForNextSentencePrediction.from_pretrained(model).eval()
    losses: list[float] = []
    right: list[bool] = []
    for batch in batches[NEXT_SENTENCE]:
        labels = torch.tensor(batch.targets[NEXT_SENTENCE])
        with torch.no_grad():
            scores = theirs(**padded(batch)).logits
        losses += torch.nn.functional.cross_entropy(scores, labels, reduction="none").tolist()
        right += (scores.argmax(-1) == labels).tolist()
    assert found["next_sentence_pairs"] == len(losses) > 30
    assert found["next_sentence_log_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["next_sentence_accuracy"] == pytest.approx(np.mean(right))


# ---- pairs


def texts_of(batch: PackedBatch, row: int) -> tuple[list[int], list[int]]:
    """The tokens of the two texts of a pair, without special tokens."""
    ids, segments = (values[batch.offsets[row] : batch.offsets[row + 1]] for values in (batch.input_ids, batch.segment_ids))
    return tuple(ids[(segments == side) & (ids >= 5)].tolist() for side in (0, 1))  # type: ignore[return-value]


def is_run(some: list[int], whole: list[int]) -> bool:
    return any(whole[i : i + len(some)] == some for i in range(len(whole) - len(some) + 1))


def test_pairs_are_formed_as_in_the_paper(model: Path, tmp_path: Path, batches: dict[str, list[PackedBatch]]) -> None:
    made = make_documents(40, seed=1, shortest=3)
    (tmp_path / "text.txt").write_text(as_text([*made, ["alone ."]]), encoding="utf-8")
    found = numbers(model, tmp_path / "text.txt")
    tokenizer = Tokenizer.load(model)
    wholes = [tokenizer.encode(" ".join(sentences)).ids[1:-1].tolist() for sentences in made]
    words = {int(tokenizer.encode(word).ids[1]) for word in WORDS}
    labels: list[int] = []
    told = 0
    for batch in batches[NEXT_SENTENCE]:
        assert batch.lengths.max() <= MAX_TOKENS
        assert not np.isin(batch.input_ids, [tokenizer.mask_id]).any(), "nothing is hidden in pairs"
        for row in range(batch.sequences):
            first, second = texts_of(batch, row)
            label = int(batch.targets[NEXT_SENTENCE][row])
            labels.append(label)
            if not set(first) & words:  # a full stop that was left of a sentence: it may be anyone's
                continue
            (own,) = (whole for whole in wholes if is_run(first, whole))
            assert is_run(first + second, own) == (label == 0)
            assert any(is_run(second, whole) for whole in wholes if whole is not own) == (label == 1)
            told += 1
    assert 0.4 < np.mean(labels) < 0.6
    assert told > 0.9 * len(labels)
    assert found["documents"] == 41


def test_a_model_that_learnt_the_order_is_judged_by_it(
    make_model: Callable[..., Path], text: Path, batches: dict[str, list[PackedBatch]]
) -> None:
    found = numbers(make_model(about={"pretraining": {"objectives": {"sentence_order": {}}}}), text)
    assert "next_sentence_accuracy" not in found
    assert found["sentence_order_pairs"] == sum(batch.sequences for batch in batches[NEXT_SENTENCE]) > 0
    for batch in batches[NEXT_SENTENCE]:
        for row in range(batch.sequences):
            first, second = (set(ids) for ids in texts_of(batch, row))
            assert first & second, "both texts are of one document, which has a word of its own"


@pytest.mark.parametrize("made", [[["the day ."]] * 9, [["the day .", "no night ."]]])
def test_without_several_sentences_there_are_no_pairs(model: Path, made: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(as_text(made), encoding="utf-8")
    report = evaluate(model, tmp_path / "text.txt", max_tokens=MAX_TOKENS)
    assert not [name for name in report.metrics if name.startswith("next_sentence")]
    assert "next sentence not judged: pairs are made of documents of several sentences" in report.facts[-1]


def test_paragraphs_are_split_where_that_can_be_done(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentencex")
    sentences = [[f"The {word} was here today.", f"Nobody saw the {word} again.", "It rained."] for word in WORDS[:12]]
    (tmp_path / "text.txt").write_text(as_text(sentences, " "), encoding="utf-8")
    found = numbers(model, tmp_path / "text.txt")
    assert found["next_sentence_pairs"] > 5

    def missing(language: str) -> Any:
        raise MissingExtraError.for_package("sentencex", "corpus", "text whose lines are no sentences")

    monkeypatch.setattr(documents, "SentenceSplitter", missing)
    report = evaluate(model, tmp_path / "text.txt", max_tokens=MAX_TOKENS, precision="float32", device="cpu")
    assert report.metrics == of_words(found), "hidden tokens are the same without"
    assert "pip install 'bertworks[corpus]'" in report.facts[-1]


# ---- the same tokens for everyone


def test_models_of_one_tokenizer_guess_the_same_tokens(
    model: Path, make_model: Callable[..., Path], text: Path, batches: dict[str, list[PackedBatch]]
) -> None:
    first = numbers(model, text)
    assert numbers(model, text) == first
    others = [make_model(4), make_model(5, (MASKED_LM,), hidden_size=16, vocab_size=len(VOCABULARY) + 11)]
    found = [numbers(other, text) for other in others]
    assert len({first["masked_lm_loss"], *(each["masked_lm_loss"] for each in found)}) == 3
    assert "next_sentence_accuracy" not in found[1]
    same = batches[MASKED_LM][0]
    for batch in batches[MASKED_LM]:
        np.testing.assert_array_equal(batch.input_ids, same.input_ids)
        np.testing.assert_array_equal(batch.token_targets[MASKED_LM], same.token_targets[MASKED_LM])
    numbers(model, text, seed=1)
    assert (batches[MASKED_LM][-1].input_ids != same.input_ids).any()


def test_parts_do_not_change_what_is_guessed(model: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_words(numbers(model, text))
    monkeypatch.setattr(documents, "_TOKENS_AT_ONCE", 60)
    monkeypatch.setattr(documents, "_CHARACTERS_AT_ONCE", 100)
    monkeypatch.setattr(evaluation, "_SEQUENCES_AT_ONCE", 3)
    told: list[tuple[int, int]] = []
    parts = numbers(model, text, progress=lambda done, total: told.append((done, total)))
    assert of_words(parts) == pytest.approx(whole, rel=1e-6)
    assert parts["next_sentence_pairs"] > 10
    assert told == sorted(told)
    assert told[-1] == (len(DOCUMENTS), len(DOCUMENTS))


def test_every_form_of_a_text_gives_the_same_numbers(model: Path, text: Path, tmp_path: Path) -> None:
    expected = numbers(model, text)
    rows = [{"body": "\n".join(sentences), "id": i} for i, sentences in enumerate(DOCUMENTS)]
    (tmp_path / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(text.read_bytes()))
    assert numbers(model, tmp_path / "text.txt.gz") == expected
    assert numbers(model, tmp_path / "text.jsonl", text="body") == expected
    assert numbers(model, rows, text="body") == expected
    assert numbers(model, ["\n".join(sentences) for sentences in DOCUMENTS]) == expected


def test_a_limit_takes_the_first_documents(model: Path, text: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text(as_text(DOCUMENTS[:7]), encoding="utf-8")
    expected = numbers(model, tmp_path / "few.txt")
    assert expected["documents"] == 7
    assert numbers(model, text, limit=7) == expected
    assert numbers(model, ["\n".join(sentences) for sentences in DOCUMENTS], limit=7) == expected


# ---- corpora


@pytest.fixture(scope="module")
def corpus(model: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora") / "corpus"
    prepare_corpus([text], model, folder, held_out=0.4, processes=1)
    return folder


def test_a_corpus_is_judged_by_what_it_holds_out(model: Path, corpus: Path, tmp_path: Path) -> None:
    opened = Corpus.open(corpus)
    held_out = [opened.sentences(shard, i) for shard in opened.held_out for i in range(len(shard.documents) - 1)]
    (tmp_path / "held-out.txt").write_text(as_text(held_out), encoding="utf-8")
    assert numbers(model, corpus) == numbers(model, tmp_path / "held-out.txt")
    (tmp_path / "few.txt").write_text(as_text(held_out[:4]), encoding="utf-8")
    assert numbers(model, corpus, limit=4) == numbers(model, tmp_path / "few.txt")


def test_a_corpus_that_does_not_fit_is_refused(
    model: Path, corpus: Path, text: Path, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match="not prepared with the model's tokenizer: name the text"):
        evaluate("bertworks-mini", corpus)
    prepare_corpus([text], model, tmp_path / "corpus", held_out=0.0, processes=1)
    with pytest.raises(DataError, match="holds no documents out"):
        evaluate(model, tmp_path / "corpus", max_tokens=MAX_TOKENS)
    with pytest.raises(SettingsError, match="leave out text, split"):
        evaluate(model, corpus, max_tokens=MAX_TOKENS, text="body", split="test")
    (tmp_path / "unfinished" / "unfinished").mkdir(parents=True)
    with pytest.raises(DataError, match="is unfinished"):
        evaluate(model, tmp_path / "unfinished", max_tokens=MAX_TOKENS)


# ---- what cannot be done


@pytest.mark.parametrize("content", ["", " \n\n \n"])
def test_a_text_of_nothing_is_refused(model: Path, content: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"text\.txt"):
        evaluate(model, tmp_path / "text.txt", max_tokens=MAX_TOKENS)


def test_rows_without_a_text_are_counted(model: Path) -> None:
    report = evaluate(model, [{"text": "the day was long ."}, {"text": " "}, {"text": None}], max_tokens=MAX_TOKENS)
    assert report.metrics["documents"] == 1
    assert (report.accounting.rows, report.accounting.dropped.total()) == (3, 2)


def test_wrong_settings_are_told(model: Path, text: Path) -> None:
    with pytest.raises(SettingsError, match=r"the model reads 64 tokens at most: .*--max-tokens 64"):
        evaluate(model, text)
    for rate in (0, 1.5):
        with pytest.raises(SettingsError, match="above 0 and at most 1"):
            evaluate(model, text, rate=rate, max_tokens=MAX_TOKENS)
    with pytest.raises(SettingsError, match="limit"):
        evaluate(model, text, limit=0, max_tokens=MAX_TOKENS)
    with pytest.raises(DataError, match="'premise' and 'hypothesis'"):
        evaluate(model, [{"premise": "a", "hypothesis": "b"}], max_tokens=MAX_TOKENS)


def test_a_model_without_the_head_is_told_so(tiny_bert: Path, text: Path) -> None:
    with pytest.raises(CheckpointError, match="no finished model"):
        bw.evaluate(tiny_bert, text)


# ---- on the command line and in Python


def test_evaluate_takes_pretrained_models(model: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--max-tokens", str(MAX_TOKENS), "--precision", "float32", "--device", "cpu"]
    assert run(["evaluate", str(model), str(text), *options, "--json"]) == 0
    expected = numbers(model, text)
    assert json.loads(capsys.readouterr().out)["metrics"] == expected
    assert bw.evaluate(model, text, max_tokens=MAX_TOKENS, precision="float32", device="cpu").metrics == expected  # type: ignore[call-arg]
    assert run(["evaluate", str(model), str(text), *options, "--rate", "0.3", "--seed", "2"]) == 0
    told = capsys.readouterr().out
    assert "40 documents" in told
    assert f"{numbers(model, text, rate=0.3, seed=2)['masked_lm_loss']:.4f}" in told
    assert run(["evaluate", str(model), str(text), "--label", "x"]) == 2
    assert "evaluate has no option 'label' for the task 'masked-lm'" in capsys.readouterr().err


def test_predict_fills_masks(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["the [MASK] was cold .", "a [MASK] and [MASK] day ."]
    expected = MaskFiller(model, precision="float32", device="cpu").fill(texts)
    machine = ["--precision", "float32", "--device", "cpu"]
    assert run(["predict", str(model), *texts, *machine, "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [filled.to_dict() for filled in expected]
    assert run(["predict", str(model), *texts, *machine]) == 0
    tokens, scores, whole = capsys.readouterr().out.splitlines()[1].split("\t")
    best = [mask[0] for mask in expected[1].masks]
    assert (tokens, whole) == ("|".join(each.token for each in best), expected[1].filled)
    assert scores == "|".join(f"{each.score:.4f}" for each in best)
    rows = [{"text": text, "id": i} for i, text in enumerate(texts)]
    bw.predict(model, file=rows, output=tmp_path / "filled.jsonl", precision="float32", device="cpu")
    written = [json.loads(line) for line in (tmp_path / "filled.jsonl").read_text().splitlines()]
    assert [row["prediction"] for row in written] == [filled.filled for filled in expected]
    assert [row["id"] for row in written] == [0, 1]


def test_predict_without_a_mask_names_the_ways(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(model), "the day was long ."]) == 2
    told = capsys.readouterr().err
    assert "there is no [MASK] in 'the day was long .'" in told
    assert "fill-mask" in told
    assert "next-sentence" in told


def test_compare_refuses_pretrained_models(model: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(model), str(model), "--data", str(text)]) == 2
    assert "is a model for masked-lm: name others, or evaluate each" in capsys.readouterr().err


def test_pretrained_models_are_explained_as_encoders(model: Path, tmp_path: Path) -> None:
    assert run(["explain", str(model), "the day was long .", "--output", str(tmp_path / "why.html")]) == 0
    assert (tmp_path / "why.html").exists()
