"""Distillation while pretraining: the teacher's vectors against a slow way, and runs that learn from them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks import Encoder, Tokenizer
from bertworks.batch import Array
from bertworks.checkpoints.files import read_json
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.pretraining.config import PretrainingConfig
from bertworks.estimators.pretraining.run import _Pretraining, pretrain
from bertworks.estimators.workflows import prepare_corpus, train_tokenizer
from bertworks.inference.engine import score
from bertworks.tasks.distillation import DISTILLATION
from bertworks.tokenization import word_translation
from bertworks.tokenization.word_translation import WordTranslation
from bertworks.training.progress import Progress, StepReport

SUBJECTS = ("the old baker", "a young sailor", "my neighbour", "the quiet teacher", "her brother", "zyx")
VERBS = ("opened", "carried", "painted", "forgot", "mended", "counted")
THINGS = ("the red door", "a heavy basket", "seven letters", "the broken clock", "two silver spoons")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    draw = np.random.default_rng(0)
    lines = []
    for _ in range(60):
        lines += [" ".join(str(draw.choice(part)) for part in (SUBJECTS, VERBS, THINGS)) + "." for _ in range(int(draw.integers(2, 9)))]
        lines.append("")
    (folder / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    train_tokenizer([folder / "text.txt"], output=folder / "tokenizer", vocabulary_size=120)
    prepare_corpus([folder / "text.txt"], folder / "tokenizer", folder / "corpus", held_out=0.15, processes=1)
    return folder / "corpus"


def settings(corpus: Path, teacher: Path, **training: Any) -> dict[str, Any]:
    usual = {"steps": 8, "batch_size": 8, "precision": "float32", "threads": 1, "evaluations": 2, "log_steps": 1, "device": "cpu"}
    return {
        "corpus": {"path": str(corpus), "max_tokens": 32, "held_out_tokens": 1000},
        "model": {"hidden": 32, "layers": 2, "heads": 2, "max_positions": 48, "dropout": 0.1},
        "objectives": {"masked_lm": {}, "next_sentence": {}, "distillation": {"weight": 3.0, "teacher": str(teacher)}},
        "training": {**usual, **training},
    }


def made(corpus: Path, teacher: Path) -> _Pretraining:
    return _Pretraining(PretrainingConfig.from_dict(settings(corpus, teacher)), Progress())


# ---- the teacher


def unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def test_vectors_of_words_and_texts_are_those_of_the_teacher(corpus: Path, tiny_bert: Path) -> None:
    """One text at a time, one word at a time, by strings alone."""
    run, teacher = made(corpus, tiny_bert), Encoder(tiny_bert, precision="float32", device="cpu")
    batch, word_starts = run.sequences.take(np.arange(12))
    assert DISTILLATION in run.teachers
    vectors = run.teachers[DISTILLATION][0](batch, word_starts)
    words_seen = 0
    for start, stop in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
        sums = np.zeros(32)
        ends = [i for i in range(start, stop) if batch.input_ids[i] == run.tokenizer.sep_id]
        for begin, end in zip([start + 1, *(e + 1 for e in ends[:-1])], ends, strict=True):
            heads = [i for i in range(begin, end) if word_starts[i] or i == begin]
            spans = list(zip(heads, [*heads[1:], end], strict=True))
            spelled = [run.tokenizer.decode(batch.input_ids[a:b]) for a, b in spans]
            pieces = [len(teacher.tokenizer.encode(word).ids) - 2 for word in spelled]
            states = teacher(" ".join(spelled)).last_hidden_state[0]
            assert len(states) == sum(pieces) + 2, "words alone and words in a text have the same tokens"
            at = 1
            for (a, b), count in zip(spans, pieces, strict=True):
                for token in range(a, b):
                    np.testing.assert_allclose(vectors[token], unit(states[at : at + count].mean(0)), atol=2e-3)
                at += count
                words_seen += 1
            np.testing.assert_allclose(vectors[end], unit(states.mean(0)), atol=2e-3)
            sums += unit(states.mean(0))
        np.testing.assert_allclose(vectors[start], unit(sums), atol=2e-3)
    assert words_seen > 50


def test_a_text_beyond_the_teachers_limit_has_no_targets_there(corpus: Path, make_bert: Any) -> None:
    short = make_bert(max_position_embeddings=10)
    run = made(corpus, short)
    batch, word_starts = run.sequences.take(np.arange(6))
    assert DISTILLATION in run.teachers
    vectors = run.teachers[DISTILLATION][0](batch, word_starts)
    told = np.abs(vectors.astype(np.float32)).sum(1) > 0
    ordinary = ~np.isin(batch.input_ids, sorted(run.tokenizer.special_ids))
    assert told[~ordinary].all(), "special tokens have vectors of what was read"
    assert told[ordinary].any()
    assert not told[ordinary].all()


def test_words_are_translated_once_each(tiny_bert: Path, corpus: Path) -> None:
    source, target = Tokenizer.load(corpus / "tokenizer"), Tokenizer.load(tiny_bert)
    translation = WordTranslation(source, target)
    encoded = source.encode("the old baker opened zyx")
    for text in ("the", "baker"):
        (word,) = [np.array(ids) for ids in [source.encode(text).ids[1:-1]]]
        assert translation.word(word).tolist() == target.encode(text).ids[1:-1].tolist()
    assert len(encoded.ids) > 5


def test_words_are_forgotten_in_time(tiny_bert: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_translation, "_MOST_REMEMBERED", 2)
    source, target = Tokenizer.load(corpus / "tokenizer"), Tokenizer.load(tiny_bert)
    translation = WordTranslation(source, target)
    for text in ("the", "old", "baker", "opened", "the"):
        assert translation.word(source.encode(text).ids[1:-1]).tolist() == target.encode(text).ids[1:-1].tolist()
        assert len(translation._words) <= 2


# ---- runs


def test_it_learns_from_the_teacher_and_keeps_no_head_of_it(corpus: Path, tiny_bert: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    begun = pretrain(settings(corpus, tiny_bert, steps=1, learning_rate=1e-9), output=tmp_path / "begun")
    report = pretrain(settings(corpus, tiny_bert, steps=120, learning_rate=0.005), output=tmp_path / "run")
    assert begun.metrics is not None
    assert report.metrics is not None
    assert report.metrics["distillation_cosine"] > begun.metrics["distillation_cosine"] + 0.3
    assert report.metrics["masked_lm_loss"] < begun.metrics["masked_lm_loss"]
    assert read_json(report.model / "config.json")["architectures"] == ["BertForPreTraining"]
    _, loading = transformers.BertForPreTraining.from_pretrained(report.model, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]


class Stops(Progress):
    def step(self, report: StepReport) -> None:
        if report.step == 5:
            raise KeyboardInterrupt


def test_a_stopped_run_ends_in_the_same_bits(corpus: Path, tiny_bert: Path, tmp_path: Path) -> None:
    values = settings(corpus, tiny_bert, checkpoint_steps=3)
    pretrain(values, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        pretrain(values, output=tmp_path / "run", progress=Stops())
    pretrain(resume=tmp_path / "run")
    name = "model/model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_metric_is_the_mean_cosine(corpus: Path, tiny_bert: Path) -> None:
    run = made(corpus, tiny_bert)
    batch = run.held_out()
    assert batch is not None
    scores = score(run.loaded.model, batch, device=run.machine.torch_device, token_budget=300)
    metrics = run.task.metrics()
    run.task.update_metrics(metrics, batch, scores)
    wanted = batch.token_targets[DISTILLATION].astype(np.float64)
    cosines = [unit(a) @ unit(b) for a, b in zip(scores[DISTILLATION].astype(np.float64), wanted, strict=True)]
    assert metrics.compute()["distillation_cosine"] == pytest.approx(np.mean(cosines), rel=1e-4)


def test_another_teacher_is_another_run(corpus: Path, tiny_bert: Path, make_bert: Any, tmp_path: Path) -> None:
    teacher = Path(shutil.copytree(tiny_bert, tmp_path / "teacher"))
    with pytest.raises(KeyboardInterrupt):
        pretrain(settings(corpus, teacher, checkpoint_steps=3), output=tmp_path / "run", progress=Stops())
    other = make_bert(initializer_range=0.2)
    for file in other.iterdir():
        shutil.copy(file, teacher / file.name)
    with pytest.raises(Exception, match="teacher"):
        pretrain(resume=tmp_path / "run")


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ({"distillation": {}}, r"\[objectives.distillation\] needs a teacher"),
        ({"masked_lm": {"teacher": "x"}}, r"\[objectives.masked_lm\] takes no teacher"),
    ],
)
def test_wrong_configurations(corpus: Path, tmp_path: Path, objectives: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pretrain({**settings(corpus, tmp_path), "objectives": objectives}, output=tmp_path / "run")


# ---- attention as the teacher's


def attention_settings(corpus: Path, teacher: Path, **training: Any) -> dict[str, Any]:
    values = settings(corpus, teacher, **training)
    return {**values, "objectives": {"attention_relations": {"teacher": str(teacher)}}}


@pytest.fixture(scope="module")
def same_tokens(corpus: Path, make_bert: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher with the tokenizer of the corpus."""
    tokenizer = Tokenizer.load(corpus / "tokenizer")
    folder = make_bert(vocab_size=len(tokenizer), hidden_size=48, num_attention_heads=2, num_hidden_layers=1, initializer_range=0.2)
    own = tmp_path_factory.mktemp("teachers") / "bert"
    own.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, own / name)
    tokenizer.save(own)
    return own


def test_the_loss_is_the_divergence_of_attention_and_values(corpus: Path, same_tokens: Path) -> None:
    """PyTorch on the probabilities that `Encoder` shows, and the metric's own way."""
    torch = pytest.importorskip("torch")
    from bertworks.nn.inputs import model_inputs
    from bertworks.training.steps import Step, StepLoss

    run = _Pretraining(PretrainingConfig.from_dict(attention_settings(corpus, same_tokens)), Progress())
    batch, word_starts = run.sequences.take(np.arange(9))
    prepared = run.task.prepare(batch, word_starts)
    device = torch.device("cpu")
    loss = StepLoss(run.loaded.model, run.task, device)
    step = Step(0, 100, [model_inputs(prepared.take(part), device) for part in (np.arange(4), np.arange(4, 9))])
    counts = [batch.tokens]
    assert loss.counts(step) == counts
    ours = loss.backward(step, counts)

    teacher = Encoder(same_tokens, precision="float32", device="cpu")(batch, attentions="all").attentions
    student = run.loaded.model
    with torch.no_grad():
        own = student.encoder(model_inputs(batch, device), attentions=[1]).attentions[1]
    assert teacher is not None
    expected = 0.0
    for i, (probabilities, length) in enumerate(zip(own, batch.lengths.tolist(), strict=True)):
        wanted = teacher[-1][i, :, :length, :length]
        expected += float((wanted * (np.log(wanted) - np.log(probabilities.numpy()))).sum()) / 2 / batch.tokens
    scores = score(student, prepared, device=device, token_budget=100)
    metrics = run.task.metrics()
    run.task.update_metrics(metrics, prepared, scores)
    found = metrics.parts["attention_relations"].compute()
    assert found["attention_divergence"] == pytest.approx(expected, rel=5e-3), "targets are kept in float16"
    assert ours == pytest.approx(found["attention_divergence"] + found["value_divergence"], rel=1e-4)
    assert found["attention_divergence"] == pytest.approx(np.mean(found["attention_divergence_by_head"]))


def test_a_student_comes_to_attend_as_its_teacher(corpus: Path, same_tokens: Path, tmp_path: Path) -> None:
    begun = pretrain(attention_settings(corpus, same_tokens, steps=1, learning_rate=1e-9), output=tmp_path / "begun")
    report = pretrain(attention_settings(corpus, same_tokens, steps=200, batch_size=24, learning_rate=0.01), output=tmp_path / "run")
    assert begun.metrics is not None
    assert report.metrics is not None
    for name in ("attention_divergence", "value_divergence"):
        assert report.metrics[f"attention_relations_{name}"] < 0.6 * begun.metrics[f"attention_relations_{name}"]
    assert read_json(report.model / "config.json")["architectures"] == ["BertModel"]


def test_attention_needs_the_same_tokens(corpus: Path, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="prepare it again with that, or use distillation"):
        pretrain(attention_settings(corpus, tiny_bert), output=tmp_path / "run")
