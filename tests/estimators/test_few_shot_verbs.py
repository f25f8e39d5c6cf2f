"""The verbs for classes from a few texts, in Python and on the command line."""

import json
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

import bertworks as bw
from bertworks.cli.main import run
from bertworks.errors import CheckpointError, DataError, Interrupted, SettingsError
from bertworks.estimators.verbs.compare import compare
from bertworks.estimators.verbs.explain import explain
from bertworks.training.progress import Progress, StepReport

SETTINGS: dict[str, Any] = {"learning_rate": 5e-3, "epochs": 2, "precision": "float32", "device": "cpu", "pairs_per_text": 8}


@pytest.fixture(scope="module")
def files(reviews: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    for name, count, seed in (("few", 24, 7), ("dev", 60, 8), ("test", 80, 9)):
        lines = [f"{label},{text}" for text, label in zip(*reviews(count, seed=seed), strict=True)]
        (folder / f"{name}.csv").write_text("label,text\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(files: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    output = tmp_path_factory.mktemp("runs") / "few"
    return bw.train(files / "few.csv", task="few-shot", model=tiny_bert, output=output, validation=files / "dev.csv", **SETTINGS)


def test_numbers_are_in_the_order_of_classifiers(tiny_bert: Path) -> None:
    texts, labels = ["good film", "bad film", "good soup", "bad soup"], [10, 9, 10, 9]
    few = bw.FewShotClassifier(tiny_bert, pairs_per_text=0, progress=False, precision="float32").fit(texts, labels)
    whole = bw.TextClassifier(tiny_bert, epochs=1, progress=False, precision="float32").fit(texts, labels)
    assert few.classes_.tolist() == whole.classes_.tolist() == [9, 10]


def test_a_class_without_a_text_is_never_predicted(tiny_bert: Path, tmp_path: Path) -> None:
    texts, labels = ["good film", "bad film", "good soup", "bad soup"], ["yes", "no"] * 2
    make = partial(bw.FewShotClassifier, tiny_bert, pairs_per_text=0, progress=False, precision="float32")
    few, plain = make().fit(texts, labels, classes=["maybe", "no"]), make().fit(texts, labels)
    assert few.classes_.tolist() == ["maybe", "no", "yes"]
    probabilities = few.predict_proba(texts)
    assert probabilities[:, 0].tolist() == [0] * 4
    np.testing.assert_allclose(probabilities[:, 1:], plain.predict_proba(texts), rtol=1e-6)
    assert bw.load(few.save(tmp_path / "few"), verify=True).predict(texts).tolist() == few.predict(texts).tolist()


def test_a_run_folder_holds_everything(trained: Any) -> None:
    folder: Path = trained.folder
    names = ("config.toml", "metrics.json", "accounting.json", "inspection.json", "predictions.parquet", "report.md", "report.html")
    for name in (*names, "model/few_shot.json", "model/head.safetensors", "model/encoder/config.json", "model/README.md"):
        assert (folder / name).exists(), name
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["headline"] == "accuracy"
    assert metrics["validation"]["macro_f1"] == trained.metrics["macro_f1"]
    assert set(metrics["baselines"]) == {"majority class", "TF-IDF + logistic regression"}
    assert json.loads((folder / "accounting.json").read_text())["training"]["rows"] == 24
    config = (folder / "config.toml").read_text()
    assert "pairs_per_text = 8" in config
    assert "learning_rate = 0.005" in config
    assert trained.steps > 0
    card = (folder / "model" / "README.md").read_text()
    assert "sorts texts into 2 classes: bad, good" in card
    assert 'model = bw.load("path/to/this/folder")' in card
    assert "chosen on these same validation rows" not in card
    assert "transformers:" not in card.replace("sentence-transformers", "")
    assert any(step.startswith("bertworks predict") for step in trained.next_steps)


def test_the_python_class_learns_the_same(trained: Any, files: Path, tiny_bert: Path) -> None:
    rows = [line.split(",") for line in (files / "few.csv").read_text().splitlines()[1:]]
    labels, texts = zip(*rows, strict=True)
    by_hand = bw.FewShotClassifier(tiny_bert, progress=False, **SETTINGS).fit(list(texts), list(labels))
    loaded = bw.load(trained.folder, verify=True, precision="float32", device="cpu")
    assert isinstance(loaded, bw.FewShotClassifier)
    np.testing.assert_array_equal(loaded.predict_proba(list(texts)), by_hand.predict_proba(list(texts)))
    assert loaded.about_["rows"] == 24


def test_the_numbers_are_those_of_scikit_learn(trained: Any, files: Path, tmp_path: Path) -> None:
    report = bw.evaluate(trained.folder, files / "test.csv", precision="float32", results=tmp_path / "answers.parquet")
    rows = [line.split(",") for line in (files / "test.csv").read_text().splitlines()[1:]]
    labels, texts = (list(column) for column in zip(*rows, strict=True))
    model = bw.load(trained.model, precision="float32", device="cpu")
    predicted, probabilities = model.predict(texts).tolist(), model.predict_proba(texts)
    assert report.metrics["accuracy"] == accuracy_score(labels, predicted)
    assert report.metrics["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert report.metrics["log_loss"] == pytest.approx(log_loss(labels, probabilities, labels=["bad", "good"]), rel=1e-5)
    assert bw.evaluate(trained.folder, files / "few.csv", precision="float32").metrics["accuracy"] == 1.0
    assert "accuracy" in report.metrics["intervals"]
    assert model.evaluate(texts, labels)["accuracy"] == report.metrics["accuracy"]
    assert parquet.read_table(tmp_path / "answers.parquet").num_rows == 80
    assert all(mistake["prediction"] != mistake["label"] for mistake in report.mistakes)


def test_predict_and_compare_take_it_as_any_classifier(trained: Any, files: Path, tmp_path: Path) -> None:
    found = bw.predict(trained.folder, file=files / "test.csv", output=tmp_path / "out.jsonl", probabilities=True, precision="float32")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert found.accounting.rows == len(rows) == 80
    model = bw.load(trained.folder, precision="float32", device="cpu")
    assert [row["prediction"] for row in rows] == model.predict([row["text"] for row in rows]).tolist()
    assert rows[0]["probability_bad"] + rows[0]["probability_good"] == pytest.approx(1, abs=1e-5)
    assert compare(trained.folder, trained.model, files / "test.csv").comparison.metrics["accuracy"].difference == 0


def test_a_run_that_was_cut_off_is_begun_again(trained: Any, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.folder, copy)
    shutil.rmtree(copy / "model")
    (copy / "metrics.json").unlink()
    again = bw.train(resume=copy)
    assert again.metrics == trained.metrics
    weights = [(folder / "model" / "head.safetensors").read_bytes() for folder in (copy, trained.folder)]
    assert weights[0] == weights[1]
    assert bw.train(resume=copy).was_finished
    with pytest.raises(SettingsError, match="leave out pairs_per_text"):
        bw.train(resume=copy, pairs_per_text=3)


class Watches(Progress):
    """Counts the steps, and stops a training after some, as Ctrl-C would."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.steps = stop, list[int]()

    def step(self, report: StepReport) -> None:
        self.steps.append(report.step)
        if report.step == self.stop:
            signal.raise_signal(signal.SIGINT)


def test_a_stopped_training_goes_on_behind_its_last_checkpoint(trained: Any, files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = {"task": "few-shot", "model": tiny_bert, "output": folder, "validation": files / "dev.csv", **SETTINGS}
    with pytest.raises(Interrupted, match=rf"and saved; go on with: bertworks train --resume {folder}$"):
        bw.train(files / "few.csv", progress=Watches(stop=9), log_steps=1, **arguments)
    second = Watches()
    again = bw.train(resume=folder, progress=second)
    assert second.steps[0] == 10
    assert again.metrics == trained.metrics
    for name in ("head.safetensors", "encoder/model.safetensors"):
        assert (folder / "model" / name).read_bytes() == (trained.folder / "model" / name).read_bytes()


def test_the_command_line(
    trained: Any, files: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train = ["train", str(files / "few.csv"), "--task", "few-shot", "--model", str(tiny_bert), "--precision", "float32", "--json"]
    assert run([*train, "--pairs-per-text", "0", "--inverse-penalty", "2", "--validation-fraction", "0.25"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert Path(found["folder"]).name == "few-1"
    assert found["validation"]["rows"] == 6
    assert found["steps"] == 0
    assert "inverse_penalty = 2.0" in (tmp_path / "runs" / "few-1" / "config.toml").read_text()
    assert run([*train, "--pairs-per-text", "1", "--validation-fraction", "0"]) == 0
    assert json.loads(capfd.readouterr().out)["validation"] is None
    assert run(["predict", str(trained.folder), "the soup was so fresh and lovely"]) == 0
    assert capfd.readouterr().out.startswith("good\t")
    text = "the soup was so fresh and lovely"
    assert run(["explain", str(trained.folder), text, "--target", "bad", "--json", "--precision", "float32"]) == 0
    why = json.loads(capfd.readouterr().out)
    assert (why["prediction"], why["target"], why["attribution"]["of"]) == ("good", "bad", "the logit of bad")
    assert len(why["words"]) == len(why["attribution"]["words"]) == 7
    assert why["faithfulness"]["quantity"] == "P(bad)"
    assert run(["explain", str(trained.folder), text, "-o", str(tmp_path / "why.html")]) == 0
    assert capfd.readouterr().out.lstrip().startswith("good (")
    assert run(["evaluate", str(trained.folder), str(files / "test.csv")]) == 0
    assert "macro f1" in capfd.readouterr().out
    assert run(["inspect", str(files / "test.csv"), "--model", str(trained.model)]) == 0
    capfd.readouterr()


def test_the_whole_model_is_verified_not_the_encoder_alone(trained: Any, tmp_path: Path) -> None:
    from bertworks.checkpoints.files import open_tensors, write_tensors

    model = bw.load(trained.model, verify=True, precision="float32", device="cpu")
    cases = json.loads((trained.model / "smoke.json").read_text())["cases"]
    np.testing.assert_allclose([case["output"] for case in cases], model.predict_proba([case["input"] for case in cases]), atol=1e-5)

    def copy(name: str) -> Path:
        return Path(shutil.copytree(trained.model, tmp_path / name))

    other = copy("head")
    with open_tensors(other / "head.safetensors") as files:
        arrays = {name: np.array(files.read(name)) for name in files}
    write_tensors(other / "head.safetensors", {"weight": arrays["weight"][::-1].copy(), "bias": arrays["bias"]})
    bw.load(other)
    with pytest.raises(CheckpointError, match="does not answer as it did when it was saved"):
        bw.load(other, verify=True)
    renamed = copy("labels")
    text = (renamed / "few_shot.json").read_text()
    (renamed / "few_shot.json").write_text(text.replace('"bad"', '"?"').replace('"good"', '"bad"').replace('"?"', '"good"'))
    with pytest.raises(CheckpointError, match="files are not those that were saved"):
        bw.load(renamed, verify=True)
    bare = copy("bare")
    (bare / "smoke.json").unlink()
    with pytest.raises(CheckpointError, match=r"no smoke\.json"):
        bw.load(bare, verify=True)


def test_long_texts_are_treated_as_it_is_told(files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    command = ["train", str(files / "few.csv"), "--task", "few-shot", "--model", str(tiny_bert), "--precision", "float32", "--json"]
    more = ["--pairs-per-text", "0", "--validation-fraction", "0", "--output", str(tmp_path / "run")]
    assert run([*command, *more, "--max-tokens", "9", "--overflow", "window", "--stride", "2"]) == 0
    model = bw.load(tmp_path / "run", precision="float32")
    assert (model.task_.max_tokens, model.task_.overflow, model.task_.stride) == (9, "window", 2)
    text = "the soup was so fresh and lovely and the room was warm and the bread was good"
    encoder = bw.SentenceEncoder(tiny_bert, precision="float32", max_tokens=9, stride=2)
    np.testing.assert_allclose(model.encoder_.encode(text), encoder.encode(text), atol=1e-6)
    cut = bw.FewShotClassifier(tiny_bert, pairs_per_text=0, overflow="truncate", max_tokens=9, precision="float32", progress=False)
    cut.fit([text, "a cold and dirty room"], ["good", "bad"])
    assert cut.accounting_.truncated_rows == 1
    cut.save(tmp_path / "cut")
    assert bw.load(tmp_path / "cut", verify=True).task_.overflow == "truncate"


def test_wrong_input_gets_one_clear_error(trained: Any, files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"task": "few-shot", "model": tiny_bert, "output": tmp_path / "run"}
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (files / "few.csv", {"pair": "text"}, "no option 'pair' for the task 'few-shot'"),
        (files / "few.csv", {"pairs_per_txt": 3}, "no option 'pairs_per_txt' for the task 'few-shot'.*pairs_per_text"),
        (files / "few.csv", {"pairs_per_text": -1}, "0 or more, not -1"),
        (files / "few.csv", {"label": "lable"}, "no column 'lable'"),
        ([{"text": f"a song {i}", "label": "x"} for i in range(9)], {}, "One label|at least two labels"),
        ([{"premise": f"a {i}", "hypothesis": f"b {i}", "label": "xy"[i % 2]} for i in range(20)], {}, "has pairs of texts"),
    ]
    for data, more, message in wrong:
        with pytest.raises((DataError, SettingsError), match=message):
            bw.train(data, **options, **more)
    for labels in (["good", None], ["good", float("nan")], ["good", ["bad"]]):
        with pytest.raises(DataError, match=r"row 1 has (no label|the labels)"):
            bw.FewShotClassifier(tiny_bert, progress=False).fit(["a song", "a dog"], labels)
    with pytest.raises(DataError, match="2 texts but 1 labels"):
        bw.load(trained.folder).score(["a song", "a dog"], ["good"])
    with pytest.raises(DataError, match="the label 'fine' is none of the 2 labels"):
        bw.evaluate(trained.folder, [{"text": "a song", "label": "fine"}, {"text": "a dog", "label": "good"}])
    for more, message in (({"pair": "b"}, "no option 'pair' for the task 'few-shot'"), ({"target": "god"}, "Did you mean 'good'")):
        with pytest.raises(SettingsError, match=message):
            explain(trained.folder, "the song was good", **more)
    broken = tmp_path / "broken"
    shutil.copytree(trained.model, broken)
    (broken / "few_shot.json").write_text('{"settings": {"labels": ["bad"]}}')
    with pytest.raises(CheckpointError, match="do not belong together"):
        bw.load(broken)
