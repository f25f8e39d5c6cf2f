"""Model cards: what the hub reads of them, that their examples run, and that they give nothing away."""

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from bertworks.estimators.reports import RunRecord, read_run, write_model_card
from bertworks.estimators.reports.public_names import base_model, data_name, is_hub_name
from tests.estimators.reports.conftest import MakeRun
from tests.estimators.reports.documents import page_of_markdown, tables_of, titles_of
from tests.estimators.reports.finished_runs import HOSTILE, parts_of_a_run, write_run

KINDS = ("single", "multi", "number")


def card_of(run: Path, **more: Any) -> ModelCard:
    """The card of a run's model, as the hub's own library reads it."""
    return ModelCard(write_model_card(run / "model", read_run(run), **more).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_hub_reads_the_results(make_run: MakeRun, kind: str) -> None:
    run = make_run(kind)
    data = card_of(run).data
    assert isinstance(data, ModelCardData)
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    assert data.tags == ["bertworks", "bert"]
    assert data.model_name == "reviews-1"
    results = data.eval_results
    assert all(isinstance(result, EvalResult) for result in results)
    validation = read_run(run).validation
    values = {result.metric_name: result.metric_value for result in results}
    headline = {"single": ("Accuracy", "accuracy"), "multi": ("Micro F1", "micro_f1"), "number": ("Spearman correlation", "spearman")}[kind]
    assert results[0].metric_name == headline[0]
    assert values[headline[0]] == validation[headline[1]], "not rounded"
    assert {result.dataset_name for result in results} == {"reviews.csv"}
    assert set(values.values()) <= {value for value in validation.values() if isinstance(value, float)}
    assert ModelCardData(**{**data.to_dict(), "model_name": data.model_name}).to_yaml()


@pytest.mark.parametrize("kind", KINDS)
def test_sections_and_numbers(make_run: MakeRun, kind: str) -> None:
    run = make_run(kind)
    page = page_of_markdown(card_of(run).text)
    calibration = ["Calibration"] if kind == "single" else []
    usual = ["How to use it", "Training data", "Evaluation", *calibration, "Accounting", "Settings", "Limits"]
    assert titles_of(page) == usual
    stored = read_run(run).validation
    row = next(table for table in tables_of(page) if table[0][0] == "metric")[1]
    headline = read_run(run).headline or ""
    low, high = stored["intervals"][headline]
    assert row[1] == f"{stored[headline]:.4f} ({low:.4f} to {high:.4f})"


def test_nothing_private_stands_in_it(make_run: MakeRun) -> None:
    for kind in KINDS:
        run = make_run(kind, folder=kind)
        text = write_model_card(run / "model", read_run(run)).read_text(encoding="utf-8")
        assert "/home" not in text
        assert "someone" not in text
        assert str(run.parent) not in text
        for quoted in ("The soup was cold", "alert(1)", "4 texts stand"):
            assert quoted not in text
        assert "reviews.csv" in text


def test_names_cannot_break_it(make_run: MakeRun) -> None:
    attack = '": [\n- x: {{ 1 }} --- \n---\n' + HOSTILE
    parts = parts_of_a_run(names=(attack, "b", "c"))
    parts["config.toml"]["data"] |= {"source": f"/data/{attack}", "text": attack, "label": attack}
    parts["model/config.json"]["model_type"] = attack
    run = write_run(make_run().parent / "attacked", parts)
    card = card_of(run, name=attack)
    assert card.data.model_name == attack
    page = page_of_markdown(card.text)
    assert not page.all("script") + page.all("a") + page.all("img")
    assert titles_of(page)[0] == "How to use it"


def test_a_model_by_itself_has_a_card(make_run: MakeRun) -> None:
    run = make_run()
    card = ModelCard(write_model_card(run / "model").read_text(encoding="utf-8"))
    assert card.data.model_name == "reviews-1"
    assert [result.metric_name for result in card.data.eval_results] == ["Accuracy"]
    assert "learning_rate" in card.text
    several = make_run("multi", folder="several")
    card = ModelCard(write_model_card(several / "model", name="genres", language="en", license="mit").read_text(encoding="utf-8"))
    assert card.data.get("eval_results") is None, "thresholds were tuned after these figures were measured"
    assert (card.data.language, card.data.license) == ("en", "mit")
    assert page_of_markdown(card.text).all("h1")[0].plain == "genres"


@pytest.mark.parametrize(
    ("classifier", "base"),
    [
        ({}, None),
        ({"model": "bertworks-mini"}, None),
        ({"model": "bert-base-uncased"}, "bert-base-uncased"),
        ({"model": "google/electra-small-v1.0"}, "google/electra-small-v1.0"),
        ({"model": "/home/someone/bert"}, None),
        ({"model": "C:\\models\\bert"}, None),
        ({"model": "./bert"}, None),
        ({"model": "../models/bert"}, None),
        ({"model": "~/bert"}, None),
        ({"model": "here/bert"}, None),
        ({"model": "a/b/c"}, None),
    ],
)
def test_the_base_is_a_hub_name_or_nothing(
    classifier: dict[str, str], base: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert base_model(RunRecord("run", settings={"classifier": classifier})) == base
    assert base_model(RunRecord("run", model={"about": {"base_model": "org/name"}}, settings={"classifier": classifier})) == "org/name"
    assert base_model(RunRecord("run")) is None


def test_data_sets_of_the_hub_are_named(make_run: MakeRun) -> None:
    parts = parts_of_a_run()
    parts["config.toml"]["data"]["source"] = "user/reviews:small"
    card = card_of(make_run(config_toml=parts["config.toml"]))
    assert card.data.datasets == ["user/reviews"]
    assert is_hub_name("user/reviews:small")
    assert data_name("(in memory)") == "private data"


def run_examples(folder: Path) -> list[str]:
    """What each program of a model's card prints, run as it stands."""
    shown = []
    for code in re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code.replace("path/to/this/folder", str(folder)), {})
        shown.append(out.getvalue())
    return shown


def first_number(text: str, before: str) -> float:
    return float(re.findall(before + r"([-\d.e]+)", text)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_run_and_agree(fitted: Callable[[str], Any], tmp_path: Path, kind: str) -> None:
    """bertworks and `transformers` give the same answer."""
    model = fitted(kind)
    folder = model.save(tmp_path / "model")
    write_model_card(folder)
    ours, theirs = run_examples(folder)
    answer = model.predict(["A new text."])[0]
    if kind == "number":
        assert first_number(ours, r"\[") == pytest.approx(float(answer), rel=2e-3), "loaded, it may compute in bfloat16"
        assert first_number(theirs, "'score': ") == pytest.approx(float(answer), abs=1e-4)
    elif kind == "single":
        assert f"'label': '{answer}'" in theirs
        assert f"['{answer}']" in ours
        assert first_number(theirs, "'score': ") == pytest.approx(model.predict_proba(["A new text."])[0].max(), abs=1e-4)
    else:
        assert set(re.findall(r"'(\w+)'", theirs)) == set(answer)
        assert str(answer) in ours


def test_the_examples_for_pairs_run_and_agree(make: Callable[..., Any], reviews: Callable[..., Any], tmp_path: Path) -> None:
    texts, labels = reviews(24)
    model = make(epochs=1).fit([(text, "a second text") for text in texts], labels)
    folder = model.save(tmp_path / "model")
    write_model_card(folder)
    ours, theirs = run_examples(folder)
    pair = ("A first text.", "A second text.")
    assert f"'label': '{model.predict([pair])[0]}'" in theirs
    assert first_number(theirs, "'score': ") == pytest.approx(model.predict_proba([pair])[0].max(), abs=1e-4)
    assert str(model.predict([pair])) in ours
