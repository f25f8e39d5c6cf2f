"""Recipes: complete, each value with its reason, and each runs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bertworks.checkpoints.files import read_json
from bertworks.errors import SettingsError
from bertworks.estimators.pretraining.config import PretrainingConfig
from bertworks.estimators.pretraining.run import pretrain
from bertworks.estimators.workflows import prepare_corpus, train_tokenizer
from bertworks.recipes import recipe_names, recipe_summary, recipe_text
from bertworks.training.schedules import rate_factor

from .test_pretraining import write_text

SMALL_MODEL = {"hidden": 32, "layers": 2, "heads": 2, "feed_forward": 64, "max_positions": 64}
SMALL_TRAINING = {"steps": 2, "batch_size": 8, "evaluations": 1, "precision": "float32", "threads": 1, "device": "cpu"}


def values(name: str) -> dict[str, Any]:
    return tomllib.loads(recipe_text(name))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    text = write_text(folder / "text.txt")
    train_tokenizer([text], output=folder / "tokenizer", vocabulary_size=160)
    prepare_corpus([text], folder / "tokenizer", folder / "corpus", held_out=0.15, processes=1)
    return folder / "corpus"


@pytest.fixture(scope="module")
def start(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for the recipes that go on from one."""
    config = {"corpus": {"path": str(corpus), "max_tokens": 32}, "model": SMALL_MODEL, "training": SMALL_TRAINING}
    return pretrain(config, output=tmp_path_factory.mktemp("start") / "run").model


def scaled_down(name: str, corpus: Path, start: Path) -> dict[str, Any]:
    """The recipe with a tiny shape, corpus and budget; everything else as it stands."""
    recipe = values(name)
    recipe["corpus"] |= {"path": str(corpus), "max_tokens": 32, "held_out_tokens": 500}
    recipe["model"] |= {"start": str(start)} if "start" in recipe["model"] else SMALL_MODEL
    recipe["model"] |= {"learnt_positions": 32} if "learnt_positions" in recipe["model"] else {}
    for objective in recipe["objectives"].values():
        objective |= {"teacher": str(start)} if "teacher" in objective else {}
    recipe["training"] = {k: v for k, v in recipe["training"].items() if k not in ("minutes", "tokens")} | SMALL_TRAINING
    return recipe


def test_the_recipes_that_are_promised() -> None:
    assert {"bert-paper", "bert-paper-512", "cramming", "cpu-evening", "continue"} <= set(recipe_names())
    with pytest.raises(SettingsError, match="Did you mean 'cramming'"):
        recipe_text("craming")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_configuration(name: str, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "my.toml").write_text(recipe_text(name), encoding="utf-8")
    config = PretrainingConfig.read(tmp_path / "my.toml")
    assert config.corpus.path == str(tmp_path / "corpus")
    stored = config.to_dict()
    for table in ("corpus", "model", "training"):
        given = {key: value for key, value in values(name)[table].items() if key != "path"}
        assert {key: stored[table][key] for key in given} == given


@pytest.mark.parametrize("name", recipe_names())
def test_every_value_has_its_reason_and_the_head_its_sources(name: str) -> None:
    text = recipe_text(name)
    bare = [line for line in text.splitlines() if re.match(r"\w+ = ", line) and not re.search(r"# [^ ]", line)]
    assert not bare
    head = text.split("\n[", 1)[0]
    assert re.search(r"(et al\.|& \w+),? (19|20)\d\d", head), "a source"
    assert "Measured results: " in head
    assert 20 < len(recipe_summary(name)) < 140, "one line of a list"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_runs(name: str, corpus: Path, start: Path, tmp_path: Path) -> None:
    recipe = scaled_down(name, corpus, start)
    report = pretrain(recipe, output=tmp_path / "run")
    assert report.steps == 2
    assert report.metrics is not None
    assert report.metrics["masked_lm_loss"] > 0
    assert ("next_sentence_accuracy" in report.metrics) == ("next_sentence" in recipe["objectives"])
    assert read_json(report.model / "config.json")["hidden_size"] == SMALL_MODEL["hidden"]


def test_both_parts_of_the_paper_make_its_million_steps() -> None:
    """Devlin et al. 2019, appendix A.2: 1,000,000 steps, 10,000 of warm-up, then one line down to 0."""
    first, second = (values(name)["training"] for name in ("bert-paper", "bert-paper-512"))
    assert first["steps"] + second["steps"] == 1_000_000
    assert first["steps"] * first["warmup"] == pytest.approx(10_000, rel=0.01)
    papers = first["learning_rate"] * rate_factor(first["steps"], 1_000_000, "linear", 0.01, 0.0)
    assert second["learning_rate"] == pytest.approx(papers, rel=0.02)
