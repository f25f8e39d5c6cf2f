"""Probing: the right files and columns, fixed settings, a floor of random weights, results that are kept."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
from safetensors.torch import load_file, save_file

import bertworks as bw
from bertworks.errors import DataError, Interrupted, SettingsError
from bertworks.estimators.encoder import Encoder
from bertworks.estimators.probing.data import TaskFiles, find_files, read_rows
from bertworks.estimators.probing.tasks import PUBLISHED, SETTINGS, TASKS, chosen_tasks
from bertworks.estimators.probing.trials import mean_features, write_twin
from bertworks.estimators.verbs.probe import probe
from bertworks.training.progress import Progress, StepReport
from tests.conftest import make_reviews

MACHINE = {"precision": "float32", "threads": 1, "device": "cpu"}
SST2, MRPC, STSB, RTE, COLA, AG_NEWS = TASKS


def write(path: Path, columns: dict[str, list[Any]], delimiter: str = "\t") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [delimiter.join(columns), *(delimiter.join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def sentiment(rows: int, seed: int) -> dict[str, list[Any]]:
    texts, labels = make_reviews(rows, seed)
    return {"sentence": texts, "label": [int(label == "good") for label in labels]}


def news(rows: int, seed: int) -> dict[str, list[Any]]:
    texts, labels = make_reviews(rows, seed)
    return {"title": ["none"] * rows, "description": texts, "label": labels}


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """SST-2 and STS-B in GLUE's layout and AG News elsewhere; MRPC without its dev file."""
    folder = tmp_path / "glue"
    write(folder / "SST-2/train.tsv", sentiment(48, 0))
    write(folder / "SST-2/dev.tsv", sentiment(24, 1))
    scores = [round(float(x), 1) for x in np.random.default_rng(0).uniform(0, 5, 24)]
    pair = {"index": list(range(24)), "sentence1": make_reviews(24, 2)[0], "sentence2": make_reviews(24, 3)[0], "score": scores}
    write(folder / "STS-B/train.tsv", pair)
    write(folder / "STS-B/dev.tsv", pair)
    write(folder / "classification/ag_news/train_10k.csv", news(40, 4), ",")
    write(folder / "classification/ag_news/test.csv", news(30, 5), ",")
    (folder / "MRPC").mkdir()
    write(
        folder / "MRPC/train.tsv", {"Quality": [1, 0], "#1 ID": [1, 2], "#2 ID": [3, 4], "#1 String": ["a", "b"], "#2 String": ["c", "d"]}
    )
    return folder


# ---- files and rows


def test_files_are_found_by_the_names_of_their_folders(glue: Path) -> None:
    assert find_files(glue, SST2) == TaskFiles(glue / "SST-2/train.tsv", glue / "SST-2/dev.tsv")
    news = glue / "classification/ag_news"
    assert find_files(glue, AG_NEWS) == TaskFiles(news / "train_10k.csv", news / "test.csv")
    assert find_files(glue, MRPC) == f"no {glue}/MRPC/dev.tsv (nor .csv .jsonl .json .parquet)"
    assert find_files(glue, RTE) == f"no folder rte in {glue}"


def test_a_folder_that_is_whole_goes_before_one_that_is_not(glue: Path) -> None:
    (glue / "another/mrpc").mkdir(parents=True)
    for name in ("train", "validation"):
        parquet.write_table(pa.table({"sentence1": ["a"]}), glue / f"another/mrpc/{name}-00000-of-00001.parquet")
    found = find_files(glue, MRPC)
    assert isinstance(found, TaskFiles)
    assert found.held.name == "validation-00000-of-00001.parquet"


def test_several_candidates_are_refused(glue: Path) -> None:
    write(glue / "SST-2/train.csv", sentiment(3, 0), ",")
    with pytest.raises(DataError, match=r"several files that could be its part train \(train.csv, train.tsv\)"):
        find_files(glue, SST2)
    with pytest.raises(DataError, match="is no folder"):
        find_files(glue / "nowhere", SST2)


def test_columns_are_known_by_their_names(tmp_path: Path) -> None:
    columns = {
        "Quality": [1, 0, 1],
        "#1 ID": [1, 2, 3],
        "#2 ID": [3, 4, 5],
        "#1 String": ['say "a"', "b", "c"],
        "#2 String": ["d", "e", "f"],
    }
    files = TaskFiles(write(tmp_path / "train.tsv", columns), tmp_path / "dev.jsonl")
    rows = [{"sentence1": "x", "sentence2": "y", "label": 0, "idx": 7}, {"sentence1": "z", "sentence2": "w", "label": 1, "idx": 8}]
    files.held.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = read_rows(files, MRPC)
    assert found.texts == [('say "a"', "d"), ("b", "e"), ("c", "f")]
    assert (found.labels, found.held_labels) == ([1, 0, 1], [0, 1])
    assert found.held_texts == [("x", "y"), ("z", "w")]


def test_cola_without_a_header_loses_no_row(tmp_path: Path) -> None:
    lines = ["gj04\t1\t\tThe first sentence.", "bc01\t0\t*\tSecond the sentence.", "bc01\t1\t\tThe third one."]
    path = tmp_path / "train.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_rows(TaskFiles(path, write(tmp_path / "dev.tsv", {"sentence": ["A.", "B."], "acceptability": [1, 0]})), COLA)
    assert found.texts == ["The first sentence.", "Second the sentence.", "The third one."]
    assert found.labels == [1, 0, 1]


@pytest.mark.parametrize(
    ("task", "train", "held", "message"),
    [
        (SST2, {"phrase": ["a", "b"], "label": [0, 1]}, None, r"train.tsv has no column sentence or text; it has phrase, label"),
        (RTE, {"premise": ["a", "b"], "label": [0, 1]}, None, "has no column sentence2 or"),
        (SST2, {"sentence": ["a", "b"], "label": [0, 1]}, {"sentence": ["c"], "label": [2]}, "has labels that .* does not have.*: 2"),
        (MRPC, {"sentence1": ["a"] * 2, "sentence2": ["b"] * 2, "label": ["x", "y"]}, None, "no label is one of 1, equivalent"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, task: Any, train: dict[str, Any], held: dict[str, Any] | None, message: str) -> None:
    files = TaskFiles(write(tmp_path / "train.tsv", train), write(tmp_path / "dev.tsv", held or train))
    with pytest.raises(DataError, match=message):
        read_rows(files, task)


def test_a_limit_draws_from_all_rows_and_only_for_training(glue: Path) -> None:
    files = find_files(glue, SST2)
    assert isinstance(files, TaskFiles)
    whole, part = read_rows(files, SST2), read_rows(files, SST2, limit=20)
    assert len(part.texts) == 20
    assert set(part.texts) <= set(whole.texts)
    assert part.texts != whole.texts[:20]
    assert part.held_texts == whole.held_texts
    assert part.fingerprint() != whole.fingerprint()
    assert read_rows(files, SST2, limit=20).fingerprint() == part.fingerprint()


def test_the_published_figures_are_of_metrics_that_are_told() -> None:
    told = {(task.name, metric) for task in TASKS for metric in task.metrics}
    for figures in PUBLISHED.values():
        assert set(figures) <= told
        assert all(0 <= value < 100 for value in figures.values())
    with pytest.raises(SettingsError, match="Did you mean 'mrpc'"):
        chosen_tasks(["mprc"])


# ---- features and twins


def test_features_are_the_mean_of_what_transformers_computes(tiny_bert: Path, one_thread: None) -> None:
    transformers = pytest.importorskip("transformers")
    texts = ["the film was good", "bad " * 90, "a", "my old dog sleeps in the sun"]
    features, seen = mean_features(Encoder(tiny_bert, device="cpu", precision="float32", threads=1), texts)
    tokenizer, model = transformers.AutoTokenizer.from_pretrained(tiny_bert), transformers.AutoModel.from_pretrained(tiny_bert).eval()
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    np.testing.assert_allclose(features, ((states * mask).sum(1) / mask.sum(1)).numpy(), atol=1e-5)
    assert seen.truncated_rows == 1


def test_a_twin_has_the_shape_and_none_of_the_weights(tiny_bert: Path, tmp_path: Path) -> None:
    from bertworks.checkpoints.files import open_tensors

    one, other, again = (write_twin(tiny_bert, tmp_path / name, seed) for name, seed in (("one", 0), ("other", 1), ("again", 0)))
    weights = {}
    for folder in (tiny_bert, one, other, again):
        with open_tensors(folder) as files:
            weights[folder] = {name.removeprefix("bert."): np.asarray(files.read(name)) for name in files}
    shared = [name for name in weights[one] if name.endswith("weight") and "LayerNorm" not in name]
    assert len(shared) > 10
    for name in shared:
        assert weights[one][name].shape == weights[tiny_bert][name].shape
        assert abs(np.corrcoef(weights[one][name].ravel(), weights[tiny_bert][name].ravel())[0, 1]) < 0.3
        assert not np.array_equal(weights[one][name], weights[other][name])
        np.testing.assert_array_equal(weights[one][name], weights[again][name])
    assert Encoder(one).tokenizer.fingerprint() == Encoder(tiny_bert).tokenizer.fingerprint()


# ---- the probe


def test_a_probe_trains_as_a_classifier_does_and_tells_all(glue: Path, tiny_bert: Path, tmp_path: Path, one_thread: None) -> None:
    report = probe(tiny_bert, glue, seeds=2, output=tmp_path / "probe", **MACHINE)
    assert [task.name for task in report.tasks] == ["sst2", "stsb", "agnews-features"]
    assert set(report.skipped) == {"mrpc", "rte", "cola"}
    assert len(report.results) == 3 * 2 * 2
    rows = read_rows(TaskFiles(glue / "SST-2/train.tsv", glue / "SST-2/dev.tsv"), SST2)
    values = []
    for seed in (0, 1):
        options = {"epochs": 3, "overflow": "truncate", "max_tokens": 64, "calibrate": False, "progress": False, "seed": seed}
        classifier = bw.TextClassifier(tiny_bert, **SETTINGS, **options, **MACHINE).fit(rows.texts, rows.labels)
        values.append(float((classifier.predict(rows.held_texts) == np.array(rows.held_labels)).mean()))
    assert report.values(SST2, "accuracy", floor=False) == pytest.approx(values)
    shown = {(row[0], row[1]): row for row in report.table()}
    assert shown["sst2", "accuracy"][2] == f"{100 * mean(values):.2f} ± {100 * stdev(values):.2f}"
    assert shown["sst2", "accuracy"][4:] == ["83.2", "85.9", "89.7", "89.6"]
    assert report.table()[0][2:4] == ["bert (2/32)", "no pretraining"]
    told = "\n".join(report.lines)
    assert "skipped: rte: no folder rte" in told
    assert "TEST sets" in told
    assert ("sst2 accuracy" in told) is True, "it is said whether it is better than no pretraining"
    stored = json.loads((tmp_path / "probe/probe.json").read_text())
    assert stored["summary"][0]["model"]["values"] == pytest.approx(values)
    assert not (tmp_path / "probe/working").exists()
    label, *figures = report.label_table()[1]
    assert (label, len(figures)) == ("bad", 4)


class Counts(Progress):
    """Counts trainings, and stops the one of a given number."""

    def __init__(self, stop: int = 0) -> None:
        self.trainings, self._stop = 0, stop

    def start(self, steps: int, done: int) -> None:
        self.trainings += 1

    def step(self, report: StepReport) -> None:
        if self.trainings == self._stop:
            raise KeyboardInterrupt


def test_what_is_finished_is_read(glue: Path, tiny_bert: Path, make_bert: Callable[..., Path], tmp_path: Path, one_thread: None) -> None:
    folder = tmp_path / "probe"
    options: dict[str, Any] = {"tasks": ["sst2"], "output": folder, **MACHINE}
    with pytest.raises(Interrupted, match="the same command goes on"):
        probe(tiny_bert, glue, progress=Counts(stop=2), **options)
    second, third = Counts(), Counts()
    report = probe(tiny_bert, glue, progress=second, **options)
    assert second.trainings == 1, "the one that was interrupted"
    more = probe(tiny_bert, glue, seeds=2, progress=third, floor=False, **options)
    assert third.trainings == 1, "the new seed"
    assert more.values(SST2, "accuracy", floor=False)[:1] == report.values(SST2, "accuracy", floor=False)
    assert "no pretraining" not in more.table()[0]
    with pytest.raises(SettingsError, match="another limit"):
        probe(tiny_bert, glue, limit=9, **options)
    with pytest.raises(SettingsError, match="made with other precision"):
        probe(tiny_bert, glue, **{**options, "precision": "bfloat16"})
    with pytest.raises(SettingsError, match="another model"):
        probe(make_bert(initializer_range=0.5, hidden_size=16, intermediate_size=16), glue, **options)
    write(glue / "SST-2/train.tsv", sentiment(50, 0))
    with pytest.raises(SettingsError, match="made with other rows"):
        probe(tiny_bert, glue, **options)


def test_a_result_of_an_earlier_version_is_read_and_its_checkpoints_are_forgotten(
    glue: Path, tiny_bert: Path, tmp_path: Path, one_thread: None
) -> None:
    folder = tmp_path / "probe"
    options: dict[str, Any] = {"tasks": ["sst2"], "output": folder, "floor": False, **MACHINE}
    first = probe(tiny_bert, glue, **options)
    kept = folder / "results/sst2-seed-0.json"
    stored = json.loads(kept.read_text())
    assert stored["made_of"].pop("precision") == "float32"
    kept.write_text(json.dumps(stored))  # as it was before the precision stood there
    checkpoint = folder / "working/sst2-seed-0/checkpoints/step-1"
    checkpoint.mkdir(parents=True)  # as a kill right after the result leaves it
    assert probe(tiny_bert, glue, progress=(counts := Counts()), **options).results == first.results
    assert counts.trainings == 0
    assert not (folder / "working").exists()
    with pytest.raises(SettingsError, match="made with other precision"):
        probe(tiny_bert, glue, **{**options, "precision": "bfloat16"})


def test_a_floor_holds_for_all_models_of_its_shape(
    glue: Path, tiny_bert: Path, make_bert: Callable[..., Path], tmp_path: Path, one_thread: None
) -> None:
    options: dict[str, Any] = {"tasks": ["sst2"], **MACHINE}
    first = probe(tiny_bert, glue, output=tmp_path / "first", **options)
    further = tmp_path / "further"
    shutil.copytree(tiny_bert, further)
    tensors = {name: tensor + 1 for name, tensor in load_file(further / "model.safetensors").items()}
    save_file(tensors, further / "model.safetensors", metadata={"format": "pt"})
    config = {**json.loads((further / "config.json").read_text()), "use_cache": True, "id2label": {"0": "no", "1": "yes"}}
    (further / "config.json").write_text(json.dumps({**config, "classifier_dropout": 0.3, "attention_probs_dropout_prob": 0.0}))
    narrow = make_bert(initializer_range=0.5, hidden_size=16, intermediate_size=16)
    for name in ("second", "third"):
        (tmp_path / name / "results").mkdir(parents=True)
        shutil.copy(tmp_path / "first/results/sst2-seed-0-floor.json", tmp_path / name / "results")
    second = probe(further, glue, output=tmp_path / "second", progress=(counts := Counts()), **options)
    assert counts.trainings == 1, "that of the other weights; the floor is read"
    assert second.values(SST2, "accuracy", floor=True) == first.values(SST2, "accuracy", floor=True)
    with pytest.raises(SettingsError, match="made with other shape"):
        probe(narrow, glue, output=tmp_path / "third", **options)
    kept = tmp_path / "first/results/sst2-seed-0-floor.json"
    stored = json.loads(kept.read_text())
    del stored["made_of"]["shape"]
    stored["made_of"]["model"] = json.loads((tmp_path / "first/results/sst2-seed-0.json").read_text())["made_of"]["model"]
    kept.write_text(json.dumps(stored))  # as an earlier version has it
    limited = tmp_path / "limited/results"
    limited.mkdir(parents=True)
    shutil.copy(kept, limited)
    with pytest.raises(SettingsError, match="made with other limit, rows"):
        probe(tiny_bert, glue, limit=9, output=limited.parent, **options)
    assert probe(tiny_bert, glue, output=tmp_path / "first", progress=(counts := Counts()), **options).results == first.results
    assert counts.trainings == 0


def test_what_is_asked_for_must_be_there(glue: Path, tiny_bert: Path, tmp_path: Path) -> None:
    empty, damaged = tmp_path / "empty", tmp_path / "damaged"
    empty.mkdir()
    for name in ("train", "dev"):
        write(damaged / f"RTE/{name}.tsv", {"premise": ["a"], "label": [0]})
    for arguments, error, message in (
        ({"tasks": ["rte", "sst2"]}, DataError, "rte: no folder rte"),
        ({"seeds": 0}, SettingsError, "seeds is a number"),
        ({"data": empty}, DataError, "sst2: no folder sst2"),
        ({"data": ""}, SettingsError, "nothing to probe with"),
        ({"data": damaged}, DataError, "has no column sentence2"),
    ):
        with pytest.raises(error, match=message):
            probe(**{"model": tiny_bert, "data": glue, "output": tmp_path / "out", **arguments})
    assert not (tmp_path / "out").exists()
    texts, labels = make_reviews(20)
    bw.train({"text": texts, "label": labels}, model=tiny_bert, output=tmp_path / "run", epochs=1, **MACHINE)
    with pytest.raises(SettingsError, match="already holds a run"):
        probe(tiny_bert, glue, tasks=["sst2"], output=tmp_path / "run")
