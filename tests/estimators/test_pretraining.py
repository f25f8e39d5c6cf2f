"""Pretraining: from a corpus to a folder that `transformers` loads, exactly resumable, judged on held-out text."""

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bertworks.batch import PackedBatch
from bertworks.checkpoints.files import open_tensors, read_json
from bertworks.cli.main import run as run_command
from bertworks.data.corpus.corpus import Corpus
from bertworks.data.corpus.plans import COPY
from bertworks.errors import BertworksError, DataError, SettingsError
from bertworks.estimators.pretraining.batches import PretrainingBatches
from bertworks.estimators.pretraining.config import PretrainingConfig
from bertworks.estimators.pretraining.run import _Pretraining, pretrain
from bertworks.estimators.workflows import prepare_corpus, train_tokenizer
from bertworks.evaluation import ClassificationMetrics
from bertworks.evaluation.language_model import MaskedLanguageModelMetrics
from bertworks.evaluation.vectors import VectorMetrics
from bertworks.inference.engine import evaluate, score
from bertworks.tasks.masked_lm import MASKED_LM
from bertworks.tasks.masking import IGNORED
from bertworks.tasks.pretraining import PretrainingMetrics
from bertworks.tasks.text_overlap import TextOverlap
from bertworks.training.progress import Progress, StepReport
from bertworks.training.run import RunFolder

SUBJECTS = ("the old baker", "a young sailor", "my neighbour", "the quiet teacher", "her brother", "the town clerk")
VERBS = ("opened", "carried", "painted", "forgot", "mended", "counted", "sold", "washed")
THINGS = ("the red door", "a heavy basket", "seven letters", "the broken clock", "an empty boat", "two silver spoons")
TIMES = ("before sunrise", "in the rain", "without a word", "on the last day of summer", "after the bell had rung")


def write_text(path: Path, documents: int = 80) -> Path:
    draw = np.random.default_rng(0)
    lines = []
    for _ in range(documents):
        count = int(draw.integers(3, 12))
        lines += [" ".join(str(draw.choice(part)) for part in (SUBJECTS, VERBS, THINGS, TIMES)) + " ." for _ in range(count)]
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    text = write_text(folder / "text.txt")
    train_tokenizer([text], output=folder / "tokenizer", vocabulary_size=160)
    prepare_corpus([text], folder / "tokenizer", folder / "corpus", held_out=0.15, processes=1)
    return folder / "corpus"


def settings(corpus: Path, **training: Any) -> dict[str, Any]:
    usual = {"steps": 12, "batch_size": 8, "precision": "float32", "threads": 1, "evaluations": 2, "log_steps": 1, "device": "cpu"}
    return {
        "corpus": {"path": str(corpus), "max_tokens": 32, "held_out_tokens": 2000},
        "model": {"hidden": 32, "layers": 2, "heads": 2, "max_positions": 48, "dropout": 0.1},
        "objectives": {"masked_lm": {"rate": 0.2}, "next_sentence": {"weight": 0.5}},
        "training": {**usual, **training},
    }


def weights(folder: Path) -> bytes:
    return (folder / "model/model.safetensors").read_bytes()


def test_transformers_computes_the_same_loss(corpus: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    values = settings(corpus)
    report = pretrain(values, output=tmp_path / "run")
    theirs = transformers.BertForPreTraining.from_pretrained(report.model).eval()
    made = _Pretraining(PretrainingConfig.from_dict(values), Progress())
    batch = made.held_out()
    assert batch is not None
    labels = batch.token_targets[MASKED_LM]
    with torch.no_grad():
        padded = batch.to_padded(fill=0)
        mask = batch.to_padded(np.ones(batch.tokens, dtype=np.int64), fill=0)
        out = theirs(
            input_ids=torch.tensor(padded),
            attention_mask=torch.tensor(mask),
            token_type_ids=torch.tensor(batch.to_padded(batch.segment_ids, fill=0)),
        )
    scores, targets = out.prediction_logits, torch.tensor(batch.to_padded(labels, fill=IGNORED))
    loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    right = (scores.argmax(-1) == targets)[targets != IGNORED].float().mean()
    follows = (out.seq_relationship_logits.argmax(-1).numpy() == batch.targets["pairing"]).mean()
    assert report.metrics is not None
    assert report.metrics["masked_lm_loss"] == pytest.approx(float(loss), rel=1e-5)
    assert report.metrics["masked_lm_accuracy"] == pytest.approx(float(right))
    assert report.metrics["next_sentence_accuracy"] == pytest.approx(follows)
    assert report.metrics["masked_lm_tokens"] == int((labels != IGNORED).sum())


def test_it_learns(corpus: Path, tmp_path: Path) -> None:
    values = settings(corpus, steps=150, learning_rate=0.005, batch_size=16)
    values["model"]["dropout"] = 0.0
    report = pretrain(values, output=tmp_path / "run")
    assert report.metrics is not None
    assert report.metrics["masked_lm_loss"] < 0.75 * np.log(160), "far better than drawing from the vocabulary"
    config = read_json(report.model / "config.json")
    assert config["architectures"] == ["BertForPreTraining"]
    assert config["hidden_dropout_prob"] == 0.1, "fine-tuning has dropout, whatever pretraining had"


def test_the_best_is_kept_also_where_more_is_better(corpus: Path, tmp_path: Path) -> None:
    values = {**settings(corpus, steps=40, learning_rate=0.02, evaluations=20), "objectives": {"next_sentence": {}}}
    report = pretrain(values, output=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    judged = [line["next_sentence_accuracy"] for line in lines if line["kind"] == "validation"]
    assert min(judged) < max(judged)
    assert report.metrics is not None
    assert report.metrics["next_sentence_accuracy"] == max(judged)


@pytest.mark.parametrize(
    ("parts", "headline", "higher"),
    [
        ({"distillation": VectorMetrics()}, "distillation_cosine", True),
        ({"sentence_order": ClassificationMetrics(("a", "b"))}, "sentence_order_accuracy", True),
        ({"distillation": VectorMetrics(), "masked_lm": MaskedLanguageModelMetrics()}, "masked_lm_loss", False),
    ],
)
def test_what_is_judged_by_says_what_is_better(parts: dict[str, Any], headline: str, higher: bool) -> None:
    metrics = PretrainingMetrics(parts, {})
    assert (metrics.headline, metrics.higher_is_better) == (headline, higher)


class Stops(Progress):
    """Stops a training after some steps, as a bug or Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, report: StepReport) -> None:
        if report.step == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("stop", "copies"), [(1, 0.0), (7, 0.0), (11, 0.0), (7, 0.5)])
def test_a_stopped_run_ends_in_the_same_bits(corpus: Path, tmp_path: Path, stop: int, copies: float) -> None:
    values = settings(corpus, checkpoint_steps=3, batch_ramp=0.5)
    values["corpus"]["copies"] = copies
    whole = pretrain(values, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        pretrain(values, output=tmp_path / "run", progress=Stops(stop))
    report = pretrain(resume=tmp_path / "run")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert report.metrics == whole.metrics
    assert report.tokens == whole.tokens
    assert pretrain(resume=tmp_path / "run").was_finished


def test_changed_copies_are_learnt_from_but_not_judged_by(corpus: Path) -> None:
    values = settings(corpus, batch_size=64)
    without = _Pretraining(PretrainingConfig.from_dict(values), Progress())
    values["corpus"]["copies"] = 1.0
    made = _Pretraining(PretrainingConfig.from_dict(values), Progress())
    batch, held_out, same = PretrainingBatches(made.sequences, made.task, batch_size=64).whole_step(0), made.held_out(), without.held_out()
    assert set(batch.targets["next_sentence"].tolist()) == {COPY}
    assert "second text: a changed copy of the first" in made.sample(batch)
    assert held_out is not None
    assert same is not None
    np.testing.assert_array_equal(held_out.input_ids, same.input_ids)
    np.testing.assert_array_equal(held_out.targets["next_sentence"], same.targets["next_sentence"])


def test_overlap_is_that_of_whole_texts_and_its_head_does_not_stay(corpus: Path, tmp_path: Path) -> None:
    values = settings(corpus)
    values["corpus"]["copies"] = 0.6
    values["objectives"]["text_overlap"] = {"weight": 5.0}
    made = _Pretraining(PretrainingConfig.from_dict(values), Progress())
    batch = PretrainingBatches(made.sequences, made.task, batch_size=64).whole_step(0)
    hidden = batch.token_targets[MASKED_LM] != IGNORED
    whole = replace(batch, input_ids=np.where(hidden, batch.token_targets[MASKED_LM], batch.input_ids))
    np.testing.assert_array_equal(batch.targets["text_overlap"], TextOverlap(made.tokenizer).overlaps(whole))
    report = pretrain(values, output=tmp_path / "run")
    assert report.metrics is not None
    assert {"text_overlap_spearman", "text_overlap_mean_squared_error", "masked_lm_loss", "next_sentence_accuracy"} <= set(report.metrics)
    assert read_json(report.model / "config.json")["architectures"] == ["BertForPreTraining"]
    alone = {**values, "objectives": {"masked_lm": {}, "text_overlap": {}}}
    assert _Pretraining(PretrainingConfig.from_dict(alone), Progress()).sequences.settings.pairing == "next_sentence"


def test_pairs_of_copies_alone_teach_no_order(corpus: Path, tmp_path: Path) -> None:
    values = settings(corpus, steps=3)
    values["corpus"]["copies"] = 1.0
    start = pretrain(settings(corpus, steps=1, learning_rate=1e-12), output=tmp_path / "start").model
    values["model"] = {"start": str(start), "dropout": 0.0}
    end = pretrain(values, output=tmp_path / "end").model
    with open_tensors(start) as before, open_tensors(end) as after:
        same = {name: bool(np.array_equal(before.read(name), after.read(name))) for name in before if "cls." in name}
    assert same["cls.seq_relationship.bias"], "no label, no gradient, and biases do not decay"
    assert not same["cls.predictions.bias"]


def test_a_run_does_not_go_on_with_another_corpus(corpus: Path, tmp_path: Path) -> None:
    values = settings(corpus, checkpoint_steps=3)
    with pytest.raises(KeyboardInterrupt):
        pretrain(values, output=tmp_path / "run", progress=Stops(7))
    prepare_corpus([write_text(tmp_path / "other.txt", 60)], corpus / "tokenizer", tmp_path / "other", held_out=0.1, processes=1)
    stored = tmp_path / "run/config.toml"
    stored.write_text(stored.read_text().replace(str(corpus), str(tmp_path / "other")))
    with pytest.raises(BertworksError, match="corpus"):
        pretrain(resume=tmp_path / "run")


def test_a_finished_model_tells_no_paths_of_the_machine(corpus: Path, tmp_path: Path) -> None:
    first = pretrain(settings(corpus, steps=1), output=tmp_path / "first")
    again = pretrain({**settings(corpus, steps=1), "model": {"start": str(first.model)}}, output=tmp_path / "again")
    for report in (first, again):
        assert str(tmp_path) not in "".join(path.read_text("utf-8") for path in report.model.glob("*.json"))
        assert str(corpus.parent) not in "".join(path.read_text("utf-8") for path in report.model.glob("*.json"))
    assert read_json(again.model / "bertworks.json")["about"]["pretraining"]["model"]["start"] == "first"


def test_going_on_from_a_model(corpus: Path, tmp_path: Path) -> None:
    first = pretrain(settings(corpus), output=tmp_path / "first")
    values = settings(corpus, steps=1, learning_rate=1e-9)
    values["model"] = {"start": str(first.model), "dropout": 0.0}
    again = pretrain(values, output=tmp_path / "again")
    assert first.metrics is not None
    assert again.metrics is not None
    assert again.metrics["masked_lm_loss"] == pytest.approx(first.metrics["masked_lm_loss"], rel=1e-4)


def test_positions_that_were_not_learnt_begin_as_copies_of_those_that_were(corpus: Path, tmp_path: Path) -> None:
    first = pretrain(settings(corpus, steps=2), output=tmp_path / "first")
    values = settings(corpus, steps=1, learning_rate=1e-12)
    values["model"] = {"start": str(first.model), "dropout": 0.0, "learnt_positions": 20}
    again = pretrain(values, output=tmp_path / "again")
    name = "bert.embeddings.position_embeddings.weight"
    before, after = (load_file(report.model / "model.safetensors")[name] for report in (first, again))
    repeated = [*range(20), *range(1, 20), *range(1, 10)]
    np.testing.assert_allclose(after, before[repeated], atol=1e-9)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "modernbert"])
def test_scores_of_a_new_model_may_begin_with_the_frequencies_of_the_text(corpus: Path, tmp_path: Path, architecture: str) -> None:
    values = settings(corpus, steps=1, learning_rate=1e-12)
    del values["objectives"]["next_sentence"]
    values["model"] |= {"architecture": architecture, "dropout": 0.0}
    values["model"]["config"] = {"decoder_bias": True} if architecture == "modernbert" else {}
    plain = pretrain(values, output=tmp_path / "plain")
    values["model"]["frequency_bias"] = True
    report = pretrain(values, output=tmp_path / "run")
    tokens = np.concatenate([np.asarray(shard.tokens) for shard in Corpus.open(corpus).shards])
    weights = load_file(report.model / "model.safetensors")
    (bias,) = (weights[name] for name in ("cls.predictions.bias", "lm_head.bias", "decoder.bias") if name in weights)
    expected = [np.log((np.sum(tokens == number) + 1) / (len(tokens) + len(bias))) for number in range(len(bias))]
    np.testing.assert_allclose(bias, expected, atol=1e-5)
    assert report.metrics is not None
    assert plain.metrics is not None
    assert report.metrics["masked_lm_loss"] < plain.metrics["masked_lm_loss"] - 0.3, "far from drawing from the vocabulary"


def test_a_budget_of_tokens_and_one_of_time(corpus: Path, tmp_path: Path) -> None:
    values = settings(corpus)
    del values["training"]["steps"]
    report = pretrain({**values, "training": {**values["training"], "tokens": 4000}}, output=tmp_path / "tokens")
    assert report.tokens == pytest.approx(4000, rel=0.05)
    timed = pretrain({**values, "training": {**values["training"], "minutes": 0.02}}, output=tmp_path / "time")
    assert timed.steps >= 1


@pytest.fixture(scope="module")
def short_documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose documents have 40 tokens, a word each."""
    folder = tmp_path_factory.mktemp("short")
    draw = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("ba", "ko", "mi", "re", "su") for b in ("den", "lor", "nat", "pim")]
    text = "".join(f"{' '.join(draw.choice(words, 40).tolist())}\n\n" for _ in range(300))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    train_tokenizer([folder / "text.txt"], output=folder / "tokenizer", vocabulary_size=160)
    prepare_corpus([folder / "text.txt"], folder / "tokenizer", folder / "corpus", lines="sentences", processes=1)
    return folder / "corpus"


def tokens_of(made: _Pretraining, steps: int) -> int:
    """Tokens of the first steps, counted one by one."""
    training = made.config.training
    ramp = int(steps * training.batch_ramp)
    batches = PretrainingBatches(made.sequences, made.task, batch_size=training.batch_size, ramp=ramp)
    return sum(batches.whole_step(step).tokens for step in range(steps))


@pytest.mark.parametrize("ramp", [0.0, 0.6])
@pytest.mark.parametrize("documents", ["corpus", "short_documents"])
@pytest.mark.parametrize("budget", ["tokens", "minutes"])
def test_a_budget_is_kept_also_on_a_ramp_and_where_documents_are_short(
    documents: str, ramp: float, budget: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Pretraining, "_measured_rate", lambda self, batch_size: 1000.0)
    values = settings(request.getfixturevalue(documents), steps=None, batch_size=16, batch_ramp=ramp)
    values["training"] |= {"tokens": 30_000} if budget == "tokens" else {"minutes": 0.5}
    if documents == "short_documents":
        values |= {"objectives": {"masked_lm": {}}, "model": {**values["model"], "max_positions": 128}}
        values["corpus"]["max_tokens"] = 128
    made = _Pretraining(PretrainingConfig.from_dict(values), Progress())
    if documents == "short_documents":
        assert made.sequences.mean_tokens() < 45, "sequences end with their documents"
    assert tokens_of(made, made._steps()) == pytest.approx(30_000, rel=0.04)


def test_a_step_is_timed_at_the_size_that_it_has_in_the_mean(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[int] = []
    monkeypatch.setattr(_Pretraining, "_measured_rate", lambda self, batch_size: timed.append(batch_size) or 1000.0)
    values = settings(corpus, steps=None, minutes=1.0, batch_size=64, batch_ramp=0.5)
    made = _Pretraining(PretrainingConfig.from_dict(values), Progress())
    steps = made._steps()
    batches = PretrainingBatches(made.sequences, made.task, batch_size=64, ramp=int(steps * 0.5))
    assert timed == [pytest.approx(batches.first_sequence(steps) / steps, abs=1)]


# ---- batches


def batches_of(corpus: Path, batch_size: int = 8, ramp: int = 0) -> PretrainingBatches:
    made = _Pretraining(PretrainingConfig.from_dict(settings(corpus)), Progress())
    return PretrainingBatches(made.sequences, made.task, batch_size=batch_size, ramp=ramp)


def joined(batches: list[PackedBatch]) -> dict[int, tuple[list[int], list[int]]]:
    """Ids and targets of each sequence, by its key."""
    out = {}
    for batch in batches:
        for key, a, b in zip(batch.keys.tolist(), batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
            out[key] = (batch.input_ids[a:b].tolist(), batch.token_targets[MASKED_LM][a:b].tolist())
    return out


def test_a_step_does_not_depend_on_the_token_budget(corpus: Path) -> None:
    source = batches_of(corpus)
    whole, parted = source.step(3, 10_000), source.step(3, 70)
    assert len(whole) == 1
    assert len(parted) > 2
    assert joined(whole) == joined(parted)


def test_steps_take_every_sequence_once_also_on_a_ramp(corpus: Path) -> None:
    source = batches_of(corpus, batch_size=8, ramp=5)
    sizes = [len(source.whole_step(step).keys) for step in range(8)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 2
    assert sizes[5:] == [8, 8, 8]
    keys = [key for step in range(8) for key in source.whole_step(step).keys.tolist()]
    assert keys == list(range(len(keys)))


def test_scores_of_tokens_do_not_depend_on_the_batches(corpus: Path) -> None:
    made = _Pretraining(PretrainingConfig.from_dict(settings(corpus)), Progress())
    data = made.held_out()
    assert data is not None
    model, cpu = made.loaded.model, torch.device("cpu")
    together, alone = (score(model, data, device=cpu, token_budget=budget) for budget in (100_000, 40))
    for name in together:
        np.testing.assert_allclose(together[name], alone[name], atol=1e-5)
    metrics = evaluate(model, made.task, data, device=cpu, token_budget=100).compute()
    assert metrics["masked_lm_loss"] == pytest.approx(-together[MASKED_LM][:, 0].mean(), rel=1e-6)


@pytest.mark.parametrize("architecture", ["modernbert", "roberta"])
def test_special_tokens_of_new_models_of_other_families_lie_in_the_vocabulary(corpus: Path, tmp_path: Path, architecture: str) -> None:
    import transformers

    values = {**settings(corpus, steps=1, evaluations=1), "objectives": {"masked_lm": {}}}
    values["model"] = {**values["model"], "architecture": architecture}
    folder = pretrain(values, output=tmp_path / "run").model
    config, tokenizer = transformers.AutoConfig.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)
    assert (config.bos_token_id, config.eos_token_id) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert config.pad_token_id == tokenizer.pad_token_id
    if architecture == "modernbert":
        assert (config.cls_token_id, config.sep_token_id) == (tokenizer.cls_token_id, tokenizer.sep_token_id)


class Listens(Progress):
    """Keeps what is told before the training."""

    def __init__(self) -> None:
        self.told: dict[str, list[str]] = {}

    def facts(self, about: str, lines: Sequence[str]) -> None:
        self.told.setdefault(about, []).extend(lines)


def test_a_folder_of_another_run_is_refused_before_anything_is_computed(corpus: Path, tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", {"pretraining": {}}).close()
    heard = Listens()
    with pytest.raises(SettingsError, match="run already holds a run: resume it"):
        pretrain(settings(corpus, steps=None, minutes=0.01), output=tmp_path / "run", progress=heard)
    assert not heard.told


def test_it_is_told_what_a_run_is_judged_by(corpus: Path, tmp_path: Path) -> None:
    heard = Listens()
    report = pretrain(settings(corpus, steps=1), output=tmp_path / "judged", progress=heard)
    batch = _Pretraining(PretrainingConfig.from_dict(settings(corpus)), Progress()).held_out()
    assert report.metrics is not None
    assert batch is not None
    assert heard.told["held out"] == [
        f"judged on {batch.sequences} sequences, {batch.tokens:,} tokens, of documents that are not trained on"
    ]


def test_it_is_told_where_nothing_is_held_out(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_corpus([write_text(tmp_path / "text.txt", 20)], corpus / "tokenizer", tmp_path / "whole", held_out=0.0, processes=1)
    heard = Listens()
    assert pretrain(settings(tmp_path / "whole", steps=1), output=tmp_path / "run", progress=heard).metrics is None
    assert heard.told["held out"][0].startswith("no documents of the corpus, so nothing is judged")
    assert run_command(["pretrain", "--resume", str(tmp_path / "run")]) == 0
    assert "nothing was judged" in capsys.readouterr().out


def test_too_few_held_out_documents_for_pairs_are_told(corpus: Path, tmp_path: Path) -> None:
    text = write_text(tmp_path / "text.txt", 20)
    for share in range(1, 20):
        prepare_corpus([text], corpus / "tokenizer", tmp_path / "one", held_out=share / 100, processes=1)
        if Corpus.open(tmp_path / "one").held_out.totals.documents == 1:
            break
    assert Corpus.open(tmp_path / "one").held_out.totals.documents == 1
    heard = Listens()
    assert pretrain(settings(tmp_path / "one", steps=1), output=tmp_path / "run", progress=heard).metrics is None
    assert heard.told["held out"][0].startswith("too little for pairs of texts, so nothing is judged")


@pytest.mark.parametrize("budget", [{"steps": 1}, {"steps": None, "tokens": 1000}])
def test_documents_of_one_sentence_have_no_order(short_documents: Path, tmp_path: Path, budget: dict[str, Any]) -> None:
    values = settings(short_documents, **budget)
    values["objectives"] = {"sentence_order": {}}
    values["training"] = {key: value for key, value in values["training"].items() if value is not None}
    with pytest.raises(DataError, match="no document has two sentences"):
        pretrain(values, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_from_another_folder(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrain(settings(corpus, steps=1), output=tmp_path / "first")
    monkeypatch.setenv("HOME", str(corpus.parent))
    monkeypatch.chdir(tmp_path)
    values = settings(corpus)
    values["corpus"]["path"] = f"~/{corpus.name}"
    values["model"] = {"start": Path("first/model")}
    values["objectives"] = {"masked_lm": {}, "distillation": {"teacher": "first/model"}}
    with pytest.raises(KeyboardInterrupt):
        pretrain(values, output="run", progress=Stops(7))
    stored = tomllib.loads(Path("run/config.toml").read_text(encoding="utf-8"))["pretraining"]
    assert stored["corpus"]["path"] == str(corpus)
    assert stored["model"]["start"] == stored["objectives"]["distillation"]["teacher"] == str(tmp_path / "first/model")
    assert PretrainingConfig.from_dict(values).describes(PretrainingConfig.from_dict(stored))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(corpus)
    assert pretrain(resume=tmp_path / "run").steps == 12


def test_a_name_that_is_no_folder_stays(corpus: Path) -> None:
    placed = PretrainingConfig.from_dict({**settings(corpus), "model": {"start": "organisation/name"}}).placed()
    assert placed.model.start == "organisation/name"


def test_the_python_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pretraining.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    small = {'{"minutes": 240}': '{"steps": 1, "batch_size": 4}', "24_000": "160", '"exact"': '"exact", held_out=0.15'}
    for wanted, instead in small.items():
        assert block.count(wanted) == 1
        block = block.replace(wanted, instead)
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    write_text(Path("texts/some.txt"))
    exec(block, {})
    assert "masked_lm_loss" in capsys.readouterr().out
    assert Path("runs/encoder/model/model.safetensors").exists()


# ---- what is wrong


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"steps": 5, "minutes": 3.0}}, "needs one budget"),
        ({"training": {}}, "needs one budget: steps, tokens or minutes, not none"),
        ({"trainning": {"steps": 5}}, r"unknown table \[trainning\]. Did you mean 'training'"),
        ({"training": {"steps": 5, "learning_rat": 1.0}}, "Did you mean 'learning_rate'"),
        ({"objectives": {"masked_lmm": {}}}, "Did you mean 'masked_lm'"),
        ({"objectives": {"masked_lm": {"rate": 3}}}, "rate must lie in"),
        ({"model": {"hidden": 30, "heads": 4}}, "multiple of heads"),
        ({"model": {"learnt_positions": 20}}, "learnt_positions says how many positions the model in start has learnt"),
        ({"model": {"learnt_positions": 1}}, "learnt_positions must be a whole number above 1, not 1"),
        ({"model": {"frequency_bias": True, "start": "a-model"}}, "frequency_bias .* the model in start has learnt its own"),
        ({"model": {"frequency_bias": True}, "objectives": {"next_sentence": {}}}, "frequency_bias .* only masked_lm has such scores"),
        ({"corpus": {"path": "x", "max_tokens": 4096}}, "above .* max_positions"),
        ({"objectives": {"next_sentence": {}, "sentence_order": {}}}, "different pairs"),
        ({"training": {"steps": 1e4}}, r"\[training\]: 'steps' must be a whole number"),
        (
            {"training": {"steps": 5, "batch_ramp": "0.5", "threads": True}},
            "'batch_ramp' must be a number.*'threads' must be a whole number",
        ),
        (
            {"objectives": {"masked_lm": {}, "next_sentence": {"rate": 0.3, "unit": "word"}}},
            "rate and unit would change nothing there: it takes weight",
        ),
        ({"objectives": {"masked_lm": {}}, "corpus": {"path": "x", "copies": 0.3}}, "no objective asks for pairs"),
        ({"corpus": {"path": "x", "max_tokens": "128", "short_share": "0.1"}}, "'max_tokens' must be .*'short_share' must be a number"),
        ({"corpus": {"path": "x", "held_out_tokens": 2e5}}, "'held_out_tokens' must be a whole number"),
        ({"model": {"config": 3}}, "'config' must be a table"),
        ({"objectives": {"replaced_token_detection": {}}}, r'set \[model\] architecture = "electra", not "bert"'),
    ],
)
def test_wrong_configurations(corpus: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pretrain({**settings(corpus), **change}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_tokenizer_than_the_model(corpus: Path, tmp_path: Path, tiny_bert: Path) -> None:
    values = settings(corpus)
    values["model"] = {"start": str(tiny_bert)}
    with pytest.raises(DataError, match="prepare it again"):
        pretrain(values, output=tmp_path / "run")


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(BertworksError, match="corpus prepare"):
        pretrain(settings(tmp_path), output=tmp_path / "run")
