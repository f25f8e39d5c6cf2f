"""Replaced-token detection from a corpus to folders: two models that `transformers` loads, exactly resumable, however steps are cut."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks.batch import PackedBatch
from bertworks.checkpoints.files import read_json
from bertworks.errors import BertworksError, CheckpointError, DataError, SettingsError
from bertworks.estimators.pretraining.batches import PretrainingBatches
from bertworks.estimators.pretraining.config import ObjectiveSettings, PretrainingConfig
from bertworks.estimators.pretraining.run import _Pretraining, pretrain
from bertworks.estimators.workflows import prepare_corpus, train_tokenizer
from bertworks.inference import load_model
from bertworks.inference.engine import evaluate, score
from bertworks.nn.replaced_tokens import ReplacedTokens
from bertworks.tasks.masked_lm import MASKED_LM
from bertworks.tasks.masking import IGNORED
from bertworks.tasks.replaced_tokens import REPLACED_TOKEN_DETECTION
from bertworks.training.config import TrainingConfig
from bertworks.training.progress import Progress, StepReport
from bertworks.training.steps import StepLoss, Steps
from tests.estimators.test_pretraining import write_text

DETECTION = REPLACED_TOKEN_DETECTION
# ruff: noqa: SIM905 - words are read more easily in lines than as lists
WORDS = "one two three four five six seven eight nine ten red blue green white black cat dog bird fish horse".split()
DETECTS: Any = {DETECTION: ("replaced_token_detection", 1)}
FILES = ("model/model.safetensors", "generator/model.safetensors")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    text = write_text(folder / "text.txt")
    train_tokenizer([text], output=folder / "tokenizer", vocabulary_size=157)  # the model has 160 rows
    prepare_corpus([text], folder / "tokenizer", folder / "corpus", held_out=0.15, processes=1)
    return folder / "corpus"


def settings(corpus: Path, objective: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    usual = {"steps": 12, "batch_size": 8, "precision": "float32", "threads": 1, "evaluations": 2, "log_steps": 1, "device": "cpu"}
    shape = {"hidden": 32, "layers": 2, "heads": 4, "max_positions": 48, "dropout": 0.1}
    return {
        "corpus": {"path": str(corpus), "max_tokens": 32, "held_out_tokens": 2000},
        "model": {"architecture": "electra", **shape, "config": {"embedding_size": 16}},
        "objectives": {DETECTION: objective or {}},
        "training": {**usual, **training},
    }


def made(values: dict[str, Any]) -> _Pretraining:
    return _Pretraining(PretrainingConfig.from_dict(values), Progress())


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    pretrain(settings(corpus), output=folder)
    return folder


# ---- what a run leaves behind


def padded(batch: PackedBatch, ids: Any) -> dict[str, torch.Tensor]:
    values = {"input_ids": ids, "attention_mask": np.ones(batch.tokens, dtype=np.int64), "token_type_ids": batch.segment_ids}
    return {name: torch.from_numpy(batch.to_padded(x)) for name, x in values.items()}


def test_transformers_loads_both_and_computes_the_same(corpus: Path, finished: Path) -> None:
    transformers = pytest.importorskip("transformers")
    metrics = read_json(finished / "metrics.json")["held_out"]
    run = made(settings(corpus))
    assert run.task.metrics().headline == "masked_lm_loss", "the other loss depends on how good the generator is"
    batch = run.held_out()
    assert batch is not None
    hidden = batch.token_targets[MASKED_LM] != IGNORED
    theirs = {}
    for name, kind in (("model", "ElectraForPreTraining"), ("generator", "ElectraForMaskedLM")):
        assert read_json(finished / name / "config.json")["architectures"] == [kind]
        theirs[name], told = getattr(transformers, kind).from_pretrained(finished / name, output_loading_info=True)
        assert not told["missing_keys"]
        assert not told["unexpected_keys"]
    narrow = theirs["generator"].config
    assert (narrow.hidden_size, narrow.num_attention_heads, narrow.intermediate_size, narrow.num_hidden_layers) == (8, 1, 32, 2)

    arrays = {}
    for name in ("model", "generator"):
        weights = load_model(finished / name, {MASKED_LM: (MASKED_LM, 160)} if name == "generator" else DETECTS)
        arrays |= {n if name == "model" else f"generator.{n}": v for n, v in weights.model.arrays().items()}
        shared = [value for n, value in weights.model.arrays().items() if ".embeddings." in n]
        assert len(shared) == 5
    run.loaded.model.set_arrays({name: arrays[name] for name in run.loaded.model.arrays()})
    assert isinstance(run.loaded.model, ReplacedTokens)
    ours = score(run.loaded.model, batch, device=torch.device("cpu"), token_budget=300)
    with torch.no_grad():
        words = theirs["generator"].eval()(**padded(batch, batch.input_ids)).logits
        words = words[padded(batch, batch.input_ids)["attention_mask"].bool()][torch.from_numpy(hidden)]
        own = words.log_softmax(1).gather(1, torch.from_numpy(batch.token_targets[MASKED_LM][hidden])[:, None])[:, 0]
    np.testing.assert_allclose(ours[MASKED_LM][:, 0], own, atol=1e-5)
    assert metrics["masked_lm_loss"] == pytest.approx(-float(own.mean()), rel=1e-5)

    read: list[tuple[Any, Any]] = []
    model = run.loaded.model
    real = model.encoder.forward
    model.encoder.forward = lambda inputs, **options: read.append(inputs.input_ids.numpy()) or real(inputs, **options)  # type: ignore[method-assign,func-returns-value]
    ours = score(model, batch, device=torch.device("cpu"), token_budget=10**6)
    (ids,) = read
    order = np.argsort(batch.lengths, kind="stable")
    taken = batch.take(order)
    with torch.no_grad():
        said = theirs["model"].eval()(**padded(taken, ids)).logits[padded(taken, ids)["attention_mask"].bool()].numpy()
    true = np.where(hidden, batch.token_targets[MASKED_LM], batch.input_ids)
    rows = np.concatenate([np.arange(batch.offsets[i], batch.offsets[i + 1]) for i in order])
    np.testing.assert_allclose(ours[DETECTION][rows, 0], said, atol=1e-5)
    replaced = ids != true[rows]
    np.testing.assert_array_equal(ours[DETECTION][rows, 1], replaced)
    assert metrics[f"{DETECTION}_accuracy"] == pytest.approx(float(((said > 0) == replaced).mean()))
    assert metrics[f"{DETECTION}_loss"] == pytest.approx(float(np.logaddexp(0, np.where(replaced, -said, said)).mean()), rel=1e-5)
    assert metrics[f"{DETECTION}_replaced_share"] == pytest.approx(float(replaced.mean()))
    tokenizer = run.tokenizer
    assert not set(ids[hidden[rows]].tolist()) & tokenizer.special_ids
    assert ids[hidden[rows]].max() < tokenizer.vocabulary_size


def test_the_folders_are_those_of_pretrained_models(corpus: Path, finished: Path) -> None:
    filler = bw.load(finished / "generator", verify=True)
    assert isinstance(filler, bw.MaskFiller)
    stored = read_json(finished / "generator" / "bertworks.json")["about"]
    assert stored["pretraining"]["objectives"][DETECTION]["weight"] == 50.0
    for name in ("generator", "model"):
        assert read_json(finished / name / "config.json")["hidden_dropout_prob"] == 0.1
        assert read_json(finished / name / "tokenizer_config.json")["model_max_length"] == 48
    assert bw.Encoder(finished / "model", device="cpu")("the old baker").last_hidden_state[0].shape[1] == 32
    texts = ["the old baker opened the red door .", "a young sailor sold an empty boat ."] * 8
    classifier = bw.TextClassifier(str(finished / "model"), epochs=1, device="cpu").fit(texts, ["a", "b"] * 8)
    assert len(classifier.predict(texts)) == 16
    report = pretrain(resume=finished)
    assert report.was_finished
    assert report.generator == finished / "generator"


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def facts(self, title: str, lines: list[str]) -> None:  # type: ignore[override]
        self.lines += [f"{title}: {line}" for line in lines]


def test_what_is_told_at_the_start(corpus: Path, tmp_path: Path) -> None:
    told = Told()
    pretrain(settings(corpus, {"rate": 0.4}, steps=1), output=tmp_path / "run", progress=told)
    text = "\n".join(told.lines)
    assert "generator: 2 layers of 8, " in text
    assert "[MASK]" in text
    assert "to predict: " in text


@pytest.mark.slow
def test_both_learn(tmp_path: Path) -> None:
    """A document has two words, by lot: who reads it knows what may stand there, and what may not."""
    draw = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        pair = draw.choice(WORDS, 2, replace=False)
        lines += [*(" ".join(draw.choice(pair, int(draw.integers(6, 12)))) for _ in range(int(draw.integers(3, 8)))), ""]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    train_tokenizer([tmp_path / "text.txt"], output=tmp_path / "tokenizer", vocabulary_size=120)
    prepare_corpus([tmp_path / "text.txt"], tmp_path / "tokenizer", tmp_path / "corpus", held_out=0.15, processes=1)
    values = settings(tmp_path / "corpus", {"generator_size": 0.5}, steps=250, learning_rate=0.005, batch_size=16)
    values["model"]["dropout"] = 0.0
    metrics = pretrain(values, output=tmp_path / "run").metrics
    assert metrics is not None
    assert metrics["masked_lm_loss"] < 2.9 < np.log(len(WORDS)), "it has read the text"
    share = metrics[f"{DETECTION}_replaced_share"]
    assert metrics[f"{DETECTION}_loss"] < -0.9 * (share * np.log(share) + (1 - share) * np.log(1 - share)), "so has the discriminator"
    assert metrics[f"{DETECTION}_f1"] > 0.2


# ---- exactness


class Stops(Progress):
    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, report: StepReport) -> None:
        if report.step == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("more", [{}, {"optimizer": "muon", "average": 0.5}], ids=["adamw", "muon and mean"])
def test_a_stopped_run_ends_in_the_same_bits(corpus: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    values = settings(corpus, checkpoint_steps=3, **more)
    whole = pretrain(values, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        pretrain(values, output=tmp_path / "run", progress=Stops(8))
    report = pretrain(resume=tmp_path / "run")
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert report.metrics == whole.metrics
    other = pretrain({**values, "training": {**values["training"], "seed": 1}}, output=tmp_path / "other")
    assert other.metrics != whole.metrics


def test_gradients_do_not_depend_on_how_a_step_is_cut(corpus: Path) -> None:
    """With dropout in both."""
    run = made(settings(corpus))
    run.loaded.model.initialize(3)
    model = run.loaded.model
    for parameter in model.parameters():
        parameter.data *= 4  # a generator that prefers some words
    loss = StepLoss(model, run.task, torch.device("cpu"))
    source = Steps(PretrainingBatches(run.sequences, run.task, batch_size=24), TrainingConfig(learning_rate=0.1), run.machine)
    results = []
    for budget in (10_000, 150, 33):
        step = source.make(2, budget)
        counts = loss.counts(step)
        assert counts[1] == step.tokens, "the discriminator's count is that of all tokens"
        value = loss.backward(step, counts)
        results.append((len(step.batches), counts, value, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
        model.zero_grad()
    (pieces, counts, value, whole), *others = results
    assert pieces == 1
    assert whole.keys() == dict(model.named_parameters()).keys()
    norm = float(torch.stack([g.norm() for g in whole.values()]).norm())
    for number, other_counts, other_value, other in others:
        assert number > 3
        assert other_counts == counts
        assert other_value == pytest.approx(value, rel=1e-6)
        assert max(float((other[n] - whole[n]).abs().max()) for n in whole) < 1e-6 * norm


def test_held_out_text_is_judged_alike_however_it_is_cut_and_masked(corpus: Path) -> None:
    run = made(settings(corpus, {"rate": 0.4, "mask_share": 0.5}))
    batch = run.held_out()
    assert batch is not None
    usual = made({**settings(corpus), "objectives": {"masked_lm": {}}}).held_out()
    assert usual is not None
    np.testing.assert_array_equal(batch.input_ids, usual.input_ids)
    np.testing.assert_array_equal(batch.token_targets[MASKED_LM], usual.token_targets[MASKED_LM])
    first, second = (
        evaluate(run.loaded.model, run.task, batch, device=torch.device("cpu"), token_budget=budget).compute() for budget in (100, 10**6)
    )
    assert first == {name: pytest.approx(value, rel=1e-5) for name, value in second.items()}


# ---- going on


def with_start(corpus: Path, finished: Path, **objective: Any) -> dict[str, Any]:
    values = settings(corpus, objective, steps=1, learning_rate=1e-9)
    values["model"] = {"start": str(finished / "model"), "dropout": 0.0}
    return values


def test_going_on_from_discriminator_and_generator(corpus: Path, finished: Path, tmp_path: Path) -> None:
    before = read_json(finished / "metrics.json")["held_out"]
    told = Told()
    report = pretrain(with_start(corpus, finished, generator=str(finished / "generator")), output=tmp_path / "run", progress=told)
    assert report.metrics is not None
    for name in ("masked_lm_loss", f"{DETECTION}_loss", f"{DETECTION}_accuracy"):
        assert report.metrics[name] == pytest.approx(before[name], rel=1e-4), name
    assert not any("embeddings differ" in line for line in told.lines)


def test_a_new_generator_beside_a_discriminator(corpus: Path, finished: Path, tmp_path: Path) -> None:
    run = made(with_start(corpus, finished, generator_size=0.5))
    assert run.generator is not None
    assert run.generator.model.spec.hidden == 16
    assert run.generator.model.spec.layers[0].dropout == 0.0
    own = load_model(finished / "model", DETECTS).model.arrays()
    for name, values in own.items():
        np.testing.assert_array_equal(run.loaded.model.arrays()[name], values)
    assert run.generator.model.encoder.embeddings is run.loaded.model.encoder.embeddings
    first = run.loaded.model.arrays()["generator.encoder.layers.0.attention.output.weight"].flatten()
    assert first.std() == pytest.approx(0.02, rel=0.3)
    of_model = made(settings(corpus)).loaded.model.arrays()
    own_first = of_model["encoder.layers.0.attention.output.weight"].flatten()[: len(first)]
    assert abs(np.corrcoef(first, own_first)[0, 1]) < 0.3, "not the same draws"


def test_a_generator_beside_a_new_model_and_one_with_other_embeddings(corpus: Path, finished: Path, tmp_path: Path) -> None:
    values = settings(corpus, {"generator": str(finished / "generator")})
    run = made(values)
    theirs = load_model(finished / "generator").model.arrays()
    name = "encoder.embeddings.token.weight"
    np.testing.assert_array_equal(run.loaded.model.arrays()[name], theirs[name])

    other = pretrain(settings(corpus, steps=1, seed=9), output=tmp_path / "other")
    told = Told()
    run = _Pretraining(PretrainingConfig.from_dict(with_start(corpus, finished, generator=str(other.generator))), told)
    assert any("embeddings differ" in line for line in told.lines)
    np.testing.assert_array_equal(run.loaded.model.arrays()[name], load_model(finished / "model").model.arrays()[name])


def test_a_toml_file_names_a_generator_beside_it(corpus: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "generator", tmp_path / "small")
    text = f'[corpus]\npath = "{corpus}"\n[model]\narchitecture = "electra"\n[training]\nsteps = 1\n[objectives.{DETECTION}]\n'
    text += 'generator = "small"\n'
    (tmp_path / "run.toml").write_text(text)
    read = PretrainingConfig.read(tmp_path / "run.toml").objectives[DETECTION]
    assert vars(read) == {
        "weight": 50.0,
        "rate": 0.15,
        "unit": "token",
        "mask_share": 0.85,
        "random_share": 0.0,
        "teacher": None,
        "generator_size": 0.25,
        "generator": str(tmp_path / "small"),
    }


# ---- the generator alone, and beside a teacher


def test_masked_words_alone_and_going_on_from_a_generator(corpus: Path, finished: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    values = {**settings(corpus), "objectives": {"masked_lm": {}}}
    alone = pretrain(values, output=tmp_path / "alone")
    assert alone.generator is None
    assert read_json(alone.model / "config.json")["architectures"] == ["ElectraForMaskedLM"]
    _, told = transformers.ElectraForMaskedLM.from_pretrained(alone.model, output_loading_info=True)
    assert not told["missing_keys"]
    values["model"] = {"start": str(finished / "generator"), "dropout": 0.0}
    values["training"] |= {"steps": 1, "learning_rate": 1e-9}
    again = pretrain(values, output=tmp_path / "again")
    assert again.metrics is not None
    before = read_json(finished / "metrics.json")["held_out"]
    assert again.metrics["masked_lm_loss"] == pytest.approx(before["masked_lm_loss"], rel=1e-4)


def test_a_teacher_sees_the_true_text(corpus: Path, tiny_bert: Path, tmp_path: Path) -> None:
    values = settings(corpus, steps=3)
    values["objectives"] = {DETECTION: {}, "distillation": {"teacher": str(tiny_bert)}}
    run, plain = made(values), made(settings(corpus))
    assert [objective.name for objective in run.task.objectives] == ["distillation", MASKED_LM, DETECTION]
    numbers = np.arange(6)
    batch = run.task.prepare(*run.sequences.take(numbers))
    np.testing.assert_array_equal(batch.token_targets["distillation"], run.teachers["distillation"][0](*plain.sequences.take(numbers)))
    report = pretrain(values, output=tmp_path / "run")
    assert report.metrics is not None
    assert "distillation_cosine" in report.metrics
    assert read_json(report.model / "config.json")["architectures"] == ["ElectraForPreTraining"]


def test_a_budget_of_time(corpus: Path, tmp_path: Path) -> None:
    values = settings(corpus)
    del values["training"]["steps"]
    report = pretrain({**values, "training": {**values["training"], "minutes": 0.01}}, output=tmp_path / "run")
    assert report.steps >= 1


# ---- what is wrong


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": {DETECTION: {}, "masked_lm": {}}}, "cannot stand beside masked_lm: its generator learns masked words already"),
        ({"objectives": {DETECTION: {}, "masked_lm": {}, "next_sentence": {}}}, "beside masked_lm and next_sentence"),
        ({"objectives": {DETECTION: {}, "sentence_order": {}}}, "no head for pairs of texts"),
        ({"objectives": {DETECTION: {"generator_siez": 1}}}, "Did you mean 'generator_size'"),
        ({"objectives": {DETECTION: {"generator_size": 0}}}, "generator_size must be above 0 and at most 1, not 0"),
        ({"objectives": {DETECTION: {"generator_size": 1.5}}}, "generator_size must be above 0 and at most 1, not 1.5"),
        ({"objectives": {DETECTION: {"generator_size": "half"}}}, "'generator_size' must be a number, not 'half'"),
        ({"objectives": {DETECTION: {"weight": -1}}}, r"replaced_token_detection\] weight must be a number, 0 or more, not -1"),
        ({"objectives": {DETECTION: {"weight": "much"}}}, "'weight' must be a number, not 'much'"),
        ({"objectives": {DETECTION: {"generator": 3}}}, r"replaced_token_detection\]: 'generator' must be a text or null, not 3"),
        ({"model": {"start": 3}}, r"\[model\]: 'start' must be a text or null, not 3"),
        ({"objectives": {DETECTION: {"rate": 3}}}, "rate must lie in"),
        ({"objectives": {DETECTION: {"teacher": "x"}}}, "takes no teacher"),
        ({"objectives": {"masked_lm": {"generator_size": 0.5}}}, r"\[objectives.masked_lm\] has no setting 'generator_size'"),
        ({"objectives": {"replaced_token_detecton": {}}}, "Did you mean 'replaced_token_detection'"),
    ],
)
def test_wrong_configurations(corpus: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pretrain({**settings(corpus), **change}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_of_another_objective(corpus: Path) -> None:
    config = PretrainingConfig.from_dict(settings(corpus))
    with pytest.raises(SettingsError, match="takes ReplacedTokenSettings, not ObjectiveSettings"):
        PretrainingConfig(config.corpus, config.model, {DETECTION: ObjectiveSettings()}, config.training)


def test_an_architecture_without_the_head(corpus: Path, tmp_path: Path, tiny_bert: Path) -> None:
    values = settings(corpus)
    values["model"] = {**values["model"], "architecture": "bert", "config": {}}
    with pytest.raises(SettingsError, match=r'set \[model\] architecture = "electra", not "bert"'):
        pretrain(values, output=tmp_path / "run")
    text = write_text(tmp_path / "text.txt")
    prepare_corpus([text], tiny_bert, tmp_path / "corpus", held_out=0.15, processes=1)
    values = {**settings(tmp_path / "corpus"), "model": {"start": str(tiny_bert)}}
    with pytest.raises(CheckpointError, match="'bert' has no head for replaced_token_detection; it has heads for: masked_lm"):
        pretrain(values, output=tmp_path / "other")


def wrong_embeddings(folder: Path) -> str:
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps({**config, "embedding_size": 24, "max_position_embeddings": 64}))
    return r"has embedding_size 24, not 16; max_position_embeddings 64, not 48"


def another_architecture(folder: Path) -> str:
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    return "has architecture bert, not electra"


def another_tokenizer(folder: Path) -> str:
    words = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (folder / "tokenizer.json").write_text(json.dumps(words))
    return "has another tokenizer than the corpus"


def a_discriminator(folder: Path) -> str:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder.parent / "model" / name, folder / name)
    return "is no generator: it has no head for masked words"


@pytest.mark.parametrize("change", [wrong_embeddings, another_architecture, another_tokenizer, a_discriminator])
def test_a_generator_that_does_not_fit(corpus: Path, finished: Path, tmp_path: Path, change: Callable[[Path], str]) -> None:
    shutil.copytree(finished / "model", tmp_path / "model")
    shutil.copytree(finished / "generator", tmp_path / "generator")
    message = change(tmp_path / "generator")
    expected = DataError if change is another_tokenizer else BertworksError
    with pytest.raises(expected, match=message):
        pretrain(with_start(corpus, finished, generator=str(tmp_path / "generator")), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
