"""`bertworks train`: what it reads, prints and leaves behind."""

import json
import signal
import tomllib
from pathlib import Path

import numpy as np
import pandas
import pytest
from safetensors.numpy import load_file

import bertworks as package
from bertworks.errors import Interrupted, SettingsError
from bertworks.estimators import train_report
from bertworks.training.progress import Progress, StepReport

from .conftest import FAST, Bertworks, review_rows


def weights(run: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in load_file(run / "model" / "model.safetensors").items()}


class StopAt(Progress):
    """Interrupts a training at a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, report: StepReport) -> None:
        if report.step == self.at:
            signal.raise_signal(signal.SIGINT)


def test_from_a_file_to_a_model(bertworks: Bertworks, encoder: Path) -> None:
    done = bertworks(
        "train", "train.csv", "--text", "review", "--label", "sentiment", "--model", encoder, "--validation-fraction", "0.2", *FAST
    )
    assert done.code == 0, done.err
    run = Path("runs/train-1")
    assert {"config.toml", "log.jsonl", "checkpoints", "model", "metrics.json", "accounting.json"} <= {p.name for p in run.iterdir()}
    for told in ("train.csv: 96 rows; text 'review', label 'sentiment'", "columns not used: id", "19 of 96 rows held out", "padding 0.0%"):
        assert told in done.err
    for told in ("device: cpu", "precision: float32 (as asked)", "new: heads.labels.output", "learning rate 0.005"):
        assert told in done.err
    assert "accuracy" in done.out
    assert 'bertworks predict runs/train-1 "a new text"' in done.out
    assert "\x1b" not in done.out + done.err
    assert not [line for line in (done.out + done.err).splitlines() if len(line) > 100 or line != line.rstrip()]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["validation"]["rows"] == 19
    assert json.loads((run / "accounting.json").read_text())["training"]["rows"] == 77
    assert bertworks("train", "train.csv", "--model", encoder, *FAST).code == 0
    assert Path("runs/train-2/model").is_dir()


def test_json_is_all_there_is(bertworks: Bertworks, encoder: Path) -> None:
    report = bertworks("train", "train.csv", "--model", encoder, "--json", "-o", "here", *FAST).json
    assert report["headline"] == "accuracy"
    assert report["model"] == "here/model"
    assert report["validation"]["rows"] == 10
    assert report["accounting"]["training"]["padding_tokens"] == 0


def test_the_settings_are_complete(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    bertworks("train", "train.csv", "--model", encoder, "-o", "run", "--split", "[:80]", "--shuffle-seed", "3", *FAST)
    settings = tomllib.loads(Path("run/config.toml").read_text())
    assert settings["data"]["source"] == str(work / "train.csv")
    assert (settings["data"]["split"], settings["data"]["shuffle_seed"]) == ("[:80]", 3)
    assert settings["training"]["device"] == "cpu"
    assert settings["training"]["threads"] == 1


def test_a_run_goes_on_bit_for_bit(bertworks: Bertworks, encoder: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "model": encoder,
        "epochs": 4,
        "learning_rate": 0.005,
        "batch_size": 16,
        "precision": "float32",
        "threads": 1,
        "log_steps": 1,
    }
    package.train(work / "train.csv", output="whole", **settings)
    with pytest.raises(Interrupted, match="--resume cut"):
        package.train("train.csv", output="cut", progress=StopAt(9), **settings)
    assert not Path("cut/model").exists()
    refused = bertworks("predict", "cut", "a text")
    assert refused.code == 4
    assert "bertworks train --resume cut" in refused.error
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    done = bertworks("train", "--resume", "../cut")
    assert done.code == 0, done.err
    assert "going on at step 9 of" in done.err
    assert weights(work / "cut") == weights(work / "whole")
    whole, cut = ((work / name / "metrics.json").read_text() for name in ("whole", "cut"))
    assert json.loads(whole)["validation"] == json.loads(cut)["validation"]
    again = bertworks("train", "--resume", "../cut")
    assert again.code == 0
    assert "is finished already" in again.out


def test_several_seeds(bertworks: Bertworks, encoder: Path) -> None:
    arguments = ("train", "train.csv", "--model", encoder, "-o", "many", "--seeds", "3", "--validation-fraction", "0.3", *FAST)
    done = bertworks(*arguments)
    assert done.code == 0, done.err
    assert "mean ± sd" in done.out
    report = bertworks("train", "--resume", "many", "--json").json
    scores = [seed["accuracy"] for seed in report["seeds"]]
    assert [seed["seed"] for seed in report["seeds"]] == [0, 1, 2]
    assert report["mean"] == pytest.approx(np.mean(scores))
    assert report["standard_deviation"] == pytest.approx(np.std(scores, ddof=1))
    best = report["seeds"][int(np.argmax(scores))]["folder"]
    assert weights(Path("many")) == weights(Path(best))
    assert bertworks("predict", "many", "this film was good").code == 0


def test_seeds_go_on(bertworks: Bertworks, encoder: Path) -> None:
    settings = {
        "model": encoder,
        "epochs": 2,
        "learning_rate": 0.005,
        "batch_size": 16,
        "precision": "float32",
        "threads": 1,
        "log_steps": 1,
    }
    whole = package.train("train.csv", output="whole", seeds=2, **settings)
    with pytest.raises(Interrupted, match=r"--resume cut$"):
        package.train("train.csv", output="cut", seeds=2, progress=StopAt(7), **settings)
    done = bertworks("train", "--resume", "cut", "--json")
    assert [seed["accuracy"] for seed in done.json["seeds"]] == [result.score for result in whole.seeds]
    assert weights(Path("cut/seed-1")) == weights(Path("whole/seed-1"))


def test_validation_data_of_their_own(bertworks: Bertworks, encoder: Path) -> None:
    report = bertworks("train", "train.csv", "--validation", "test.csv", "--model", encoder, "--json", *FAST).json
    assert report["validation"]["rows"] == 40
    assert report["accounting"]["training"]["rows"] == 96


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--patience", "2", "--validation-fraction", "0"), "there are no validation data: name some, or leave out patience"),
        (("--decay", "0.4"), "decay is part of the schedule warmup_stable_decay, not of linear: choose that, or leave out decay"),
    ],
)
def test_settings_that_would_decide_nothing_are_refused(bertworks: Bertworks, encoder: Path, options: tuple[str, ...], told: str) -> None:
    refused = bertworks("train", "train.csv", "--model", encoder, "-o", "run", *FAST, *options)
    assert (refused.code, told in refused.err.splitlines()[-1], Path("run").exists()) == (2, True, False)


def test_none_held_out(bertworks: Bertworks, encoder: Path) -> None:
    done = bertworks("train", "train.csv", "--validation-fraction", "0", "--model", encoder, *FAST)
    assert "no validation data" in done.err
    assert "accuracy" not in done.out


def test_the_splits_of_a_folder(bertworks: Bertworks, encoder: Path) -> None:
    Path("set").mkdir()
    for name, count in (("train", 64), ("dev", 20), ("test", 12)):
        pandas.DataFrame(review_rows(count, seed=count), columns=["text", "label"]).to_csv(f"set/{name}.csv", index=False)
    report = bertworks("train", "set", "--model", encoder, "-o", "run", "--json", *FAST).json
    assert (report["accounting"]["training"]["rows"], report["validation"]["rows"]) == (64, 20)
    assert bertworks("evaluate", "run", "set", "--json").json["metrics"]["rows"] == 12


def test_rows_that_cannot_be_used_are_counted(bertworks: Bertworks, encoder: Path) -> None:
    with Path("train.csv").open("a", encoding="utf-8") as file:
        file.write('96," ",positive\n97,"good soup",\n')
    refused = bertworks("train", "train.csv", "--model", encoder, *FAST)
    assert refused.code == 3
    assert "1 of 98 rows have no label" in refused.error
    done = bertworks("train", "train.csv", "--model", encoder, "--on-bad-rows", "drop", *FAST)
    assert "1 rows dropped: empty text" in done.err
    accounting = json.loads(Path("runs/train-1/accounting.json").read_text())
    assert accounting["training"]["dropped"] == {"empty text": 1, "missing label": 1}


def test_class_weights_by_name(bertworks: Bertworks, encoder: Path) -> None:
    done = bertworks("train", "train.csv", "--model", encoder, "--class-weights", "positive=2,negative=0.5", *FAST)
    assert done.code == 0, done.err
    assert tomllib.loads(Path("runs/train-1/config.toml").read_text())["classifier"]["class_weights"] == {"positive": 2.0, "negative": 0.5}
    wrong = bertworks("train", "train.csv", "--model", encoder, "--class-weights", "positve=2", *FAST)
    assert wrong.code == 2


def test_data_in_memory_are_resumed_in_python(bertworks: Bertworks, encoder: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in review_rows(64)]
    settings = {"model": encoder, "epochs": 2, "batch_size": 16, "precision": "float32", "threads": 1, "log_steps": 1}
    whole = package.train(rows, output="whole", **settings)
    with pytest.raises(Interrupted):
        package.train(rows, output="cut", progress=StopAt(5), **settings)
    refused = bertworks("train", "--resume", "cut")
    assert (refused.code, "data in memory" in refused.error) == (2, True)
    assert package.train(rows, resume="cut").metrics == whole.metrics
    assert weights(Path("cut")) == weights(Path("whole"))


def test_arguments_that_do_not_exist() -> None:
    with pytest.raises(SettingsError, match=r"no option 'learning_rte' for the task 'classification'\. Did you mean 'learning_rate'\?"):
        package.train("train.csv", learning_rte=1)
    with pytest.raises(SettingsError, match="nothing to train on"):
        package.train()


def test_slices_of_a_shuffled_file_are_disjoint(bertworks: Bertworks, encoder: Path) -> None:
    slices = ("--shuffle-seed", "1", "--split", "[:80%]", "--validation-split", "[80%:]")
    Path("numbered.csv").write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(50)))
    done = bertworks("train", "numbered.csv", *slices, "--model", encoder, *FAST)
    assert done.code == 0, done.err
    assert "numbered.csv ([80%:]), 10 rows" in done.err
    assert "also stand in the training data" not in done.err


def test_seeds_that_cannot_begin_leave_nothing(bertworks: Bertworks, encoder: Path) -> None:
    for wrong in (["--device", "gpu"], ["--validation-fraction", "0"], ["--max-tokens", "100000"]):
        assert bertworks("train", "train.csv", "--seeds", "2", "-o", "run", "--model", encoder, *wrong, *FAST).code == 2
        assert not Path("run").exists()


def test_it_looks_first_and_stops_on_what_cannot_be_right(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    rows = "".join(f"{word},{word}\n" for word in ("good", "bad") * 30)
    (work / "leak.csv").write_text("review,sentiment\n" + rows)
    told = bertworks("train", "leak.csv", "--model", encoder, "-o", "run", *FAST)
    assert told.code == 3
    assert "label" in told.err.splitlines()[-1]
    assert not (work / "run").exists()


def test_a_run_says_what_its_model_is_worth(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    report = bertworks("train", "train.csv", "--model", encoder, "-o", "run", "--validation-fraction", "0.3", "--json", *FAST).json
    assert set(report["baselines"]) == {"majority class", "TF-IDF + logistic regression"}
    low, high = report["validation"]["intervals"]["accuracy"]
    assert low <= report["validation"]["accuracy"] <= high
    assert report["calibration"]["temperature"] > 0
    found = json.loads((work / "run/inspection.json").read_text())
    assert found["rows"] == 67
    assert found["lengths"]["unit"] == "tokens"
    for name in ("report.html", "report.md", "predictions.parquet", "model/README.md"):
        assert (work / "run" / name).stat().st_size > 500
    assert str(work) not in (work / "run/model/README.md").read_text()


def test_a_run_counts_as_finished_when_its_report_is_written(
    bertworks: Bertworks, encoder: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(train_report, "write_report", lambda *arguments: signal.raise_signal(signal.SIGINT))
        assert bertworks("train", "train.csv", "--model", encoder, "-o", "run", *FAST).code == 130
    done = bertworks("train", "--resume", "run")
    assert (done.code, "finished already" in done.out) == (0, False)
    pages = {name: (work / "run" / name).read_bytes() for name in ("report.html", "report.md", "model/README.md")}
    assert bertworks("report", "run", "--card").code == 0
    assert {name: (work / "run" / name).read_bytes() for name in pages} == pages


def test_a_run_goes_on_with_its_own_validation_data(bertworks: Bertworks, encoder: Path) -> None:
    assert bertworks("train", "train.csv", "--validation", "test.csv", "--model", encoder, "-o", "run", *FAST).code == 0
    refused = bertworks("train", "--resume", "run", "--validation", "train.csv")
    assert (refused.code, refused.error) == (
        2,
        "error: a run is resumed with its own validation data: leave out validation (--validation)",
    )
    assert bertworks("train", "--resume", "run", "--validation", "test.csv").code == 0
