"""Wrong command lines: one line on standard error, an exit code that says what sort of thing is wrong."""

from pathlib import Path

import pytest

from .conftest import FAST, Bertworks


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["trian", "train.csv"], 2, "no such command: trian. Did you mean train?"),
        (["train", "train.csv", "--learing-rate", "1"], 2, "no such option: --learing-rate. Did you mean --learning-rate?"),
        (["train", "train.csv", "--epochs", "many"], 2, "invalid value for '--epochs'"),
        (["train"], 2, "there is nothing to train on"),
        (["train", "tran.csv"], 3, "'tran.csv' does not exist. Did you mean 'train.csv'?"),
        (
            ["train", "train.csv", "--text", "revew"],
            3,
            "no column 'revew' (text=\"revew\"); it has id, review, sentiment. Did you mean 'review'?",
        ),
        (
            ["train", "train.csv", "--epochs", "-1", "--warmup", "2"],
            2,
            "epochs must be above 0, not -1.0; warmup must lie in [0, 1), not 2.0",
        ),
        (["train", "train.csv", "--schedule", "liner"], 2, "Did you mean 'linear'?"),
        (["train", "train.csv", "--kind", "sngle"], 2, "kind is"),
        (["train", "train.csv", "--validation-fraction", "1.5"], 2, "validation_fraction must lie in [0, 1), not 1.5"),
        (["train", "train.csv", "--seeds", "0"], 2, "seeds is a number of trainings"),
        (["train", "train.csv", "--device", "gpu"], 2, "device 'gpu' cannot be used here"),
        (["train", "train.csv", "--class-weights", "positive=x"], 2, "label=weight"),
        (["train", "--resume", "nowhere"], 4, "the run 'nowhere' does not exist"),
        (["train", "train.csv", "--resume", "nowhere"], 2, "leave out the data"),
        (["train", "--resume", "nowhere", "--epochs", "3"], 2, "leave out epochs"),
        (["evaluate", "nowhere"], 2, "missing argument 'data'"),
        (["predict", "./nowhere", "a text"], 4, "./nowhere"),
        (["predict", "./nowhere", "a text", "--file", "test.csv"], 2, "either texts or --file"),
        (["predict", "./nowhere", "a text", "--output", "out.csv"], 2, "--output writes the table of --file"),
    ],
)
def test_one_line(bertworks: Bertworks, arguments: list[str], code: int, told: str, encoder: Path) -> None:
    if arguments[0] == "train" and "train.csv" in arguments and "--resume" not in arguments:
        arguments = [*arguments, "--model", str(encoder)]
    done = bertworks(*arguments)
    assert done.code == code, done.err
    assert done.error.startswith("error: ") if not done.err.startswith("data ") else True
    assert told in done.err.splitlines()[-1]
    assert not Path("runs").exists()


def test_one_class(bertworks: Bertworks, encoder: Path) -> None:
    Path("one.csv").write_text("text,label\ngood,a\nfine,a\nbad,a\n")
    done = bertworks("train", "one.csv", "--model", encoder)
    assert done.code == 3
    assert "at least two labels" in done.err.splitlines()[-1]
    Path("sorted.csv").write_text("text,label\n" + "good,a\n" * 9 + "bad,b\n" * 9)
    done = bertworks("train", "sorted.csv", "--split", "[:5]", "--model", encoder)
    assert (done.code, "--shuffle-seed 0" in done.error) == (3, True)


def test_folders_that_are_no_models(bertworks: Bertworks, encoder: Path) -> None:
    Path("empty").mkdir()
    assert bertworks("predict", "empty", "a text").code == 4
    unfinished = bertworks("predict", encoder, "a text")
    assert unfinished.code == 4
    assert "is no finished model" in unfinished.error


def test_a_run_is_not_overwritten(bertworks: Bertworks, encoder: Path) -> None:
    arguments = ("train", "train.csv", "--model", encoder, "-o", "run", *FAST)
    assert bertworks(*arguments).code == 0
    again = bertworks(*arguments)
    assert (again.code, "already holds a run" in again.error) == (2, True)


def test_a_run_begun_in_python(bertworks: Bertworks, encoder: Path) -> None:
    from bertworks import TextClassifier

    TextClassifier(encoder, output="run", epochs=1, progress=False).fit(["good", "bad"], ["a", "b"])
    Path("run/metrics.json").unlink(missing_ok=True)
    refused = bertworks("train", "--resume", "run")
    assert (refused.code, "begun in Python" in refused.error) == (2, True)


def test_a_table_that_cannot_be_written(bertworks: Bertworks, trained: Path) -> None:
    done = bertworks("predict", trained, "--file", "test.csv", "--text", "review", "--output", "out.docx")
    assert (done.code, "no table can be written" in done.error) == (3, True)


def test_a_table_of_pairs_for_a_model_of_single_texts(bertworks: Bertworks, trained: Path) -> None:
    Path("pairs.csv").write_text("premise,hypothesis\na,b\nc,d\n")
    done = bertworks("predict", trained, "--file", "pairs.csv", "--output", "out.csv")
    assert (done.code, "name the column with text (--text)" in done.error) == (3, True)


def test_help_and_version(bertworks: Bertworks) -> None:
    import bertworks as package

    assert bertworks("--version").out == f"bertworks {package.__version__}\n"
    assert "predict" in bertworks("--help").out
    assert bertworks().code == 2
    helped = bertworks("train", "--help").out
    for option in ("--learning-rate", "--token-budget", "--on-bad-rows", "--resume"):
        assert option in helped
    assert max(map(len, helped.splitlines())) <= 80


def test_every_setting_is_an_option_with_its_own_words() -> None:
    from dataclasses import fields

    import typer

    from bertworks.cli.main import app
    from bertworks.cli.options import field_texts
    from bertworks.training.config import TrainingConfig

    command: object = typer.main.get_command(app)
    parameters = {p.name: p for p in command.commands["train"].params}  # type: ignore[attr-defined]
    texts = field_texts(TrainingConfig)
    for field in fields(TrainingConfig):
        assert texts[field.name] in parameters[field.name].help
        assert parameters[field.name].default == field.default
