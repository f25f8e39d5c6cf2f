"""Run folders as the verbs see them: names for new ones, settings to resume from, results, what to do next."""

import os
import shlex
import shutil
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bertworks.checkpoints.atomic import atomic_file, atomic_folder, atomic_write
from bertworks.checkpoints.files import read_json
from bertworks.checkpoints.toml_files import read_toml, toml_text
from bertworks.data.files import split_suffixes
from bertworks.errors import CheckpointError, SettingsError, nearest_beside
from bertworks.training import run

SETTINGS, METRICS, ACCOUNTING, INSPECTION = "config.toml", "metrics.json", "accounting.json", "inspection.json"

ESTIMATORS = ("classifier", "entities", "answerer", "embeddings", "multiple_choice", "few_shot")
"""The tables of config.toml that hold an estimator's own parameters, one a task."""
_TABLES = ("data", *ESTIMATORS, "training", "seeds", "study", "pretraining")


def free_name(folder: Path, *, numbered: bool = True) -> Path:
    """The first of folder-1, folder-2 … (or, not numbered, folder, folder-2 …) that does not exist.

    >>> free_name(Path("no such folder")).name
    'no such folder-1'
    """
    number, path = 1, folder.with_name(f"{folder.name}-1") if numbered else folder
    while path.exists():
        number += 1
        path = folder.with_name(f"{folder.name}-{number}")
    return path


def source_name(source: Any) -> str:
    """A short name for a run on `source`: reviews.csv.gz → reviews.

    >>> source_name("data/reviews.csv.gz"), source_name("user/name:small"), source_name([{"text": "a"}])
    ('reviews', 'name-small', 'run')
    """
    if not isinstance(source, str | Path):
        return "run"
    return split_suffixes(Path(source))[0].replace(":", "-") or "run"


def model_name(folder: str | Path) -> str:
    """What a model in a folder is called: the folder's name, or its run's where the folder is a run's `model`.

    >>> model_name("runs/reviews-1/model"), model_name("models/reviews")
    ('reviews-1', 'reviews')
    """
    path = Path(os.path.abspath(folder))
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes config.toml; a setting that is None is left out, since TOML has no null."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / SETTINGS, toml_text(settings).encode())


def forget_unbegun(folder: Path) -> None:
    """Takes the settings of several trainings away again where not one of them has begun: there is nothing to resume."""
    if not any(folder.glob("seed-*")):
        (folder / SETTINGS).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def read_settings(folder: Path, *, table: str = "data") -> dict[str, Any]:
    """The settings of a run. Raises `CheckpointError` where the folder is none, `SettingsError` where they lack the
    `table` that going on needs: `data` for a training, `pretraining` for a pretraining."""
    path = folder / SETTINGS
    if not path.exists():
        names = [entry.name for entry in folder.parent.glob("*") if (entry / SETTINGS).exists()] if folder.parent.is_dir() else []
        what = "has no config.toml: it is no run folder" if folder.is_dir() else "does not exist"
        hint = nearest_beside(folder, names) or " Name the folder of a run, such as runs/reviews-1"
        raise CheckpointError(f"the run '{folder}' {what}.{hint}")
    settings = read_toml(path)
    wrong = next((name for name in _TABLES if not isinstance(settings.get(name, {}), dict)), None)
    if wrong is not None:
        raise CheckpointError(f"'{path}': '{wrong}' is no table, [{wrong}]: mend the file, or begin another run")
    if not settings.get(table) and table not in settings and {"data", "pretraining"} & settings.keys():
        verb = "pretrain" if "pretraining" in settings else "train"
        raise SettingsError(f"'{folder}' is a run of another kind: go on with it by bertworks {verb} --resume {quoted(folder)}")
    if not settings.get(table):
        raise SettingsError(
            f"'{path}' does not say where the run's data are: it was begun in Python. Resume it there, with "
            f"TextClassifier(…, output='{folder}').fit(texts, labels, resume=True)"
        )
    return settings


def way_on(folder: Path) -> str:
    """What goes on with a run, as its settings say."""
    settings = read_toml(folder / SETTINGS)
    return run.way_on(folder, "pretrain" if "pretraining" in settings else "train" if settings.get("data") else run.FIT)


def is_finished(folder: Path) -> bool:
    """Whether the training in a folder has ended: its metrics are what is written last."""
    return (folder / METRICS).exists()


def read_results(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json and accounting.json."""
    return read_json(folder / METRICS), read_json(folder / ACCOUNTING)


def copy_model(source: Path, target: Path) -> None:
    """Copies a model folder, whole or not at all. Raises `CheckpointError` where that fails."""
    needed = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
    with atomic_folder(target, replace=True, needed=needed) as writing:
        try:
            shutil.copytree(source, writing, dirs_exist_ok=True)
        except shutil.Error as error:  # of every file that could not be copied: from where, to where, why
            file, _, why = error.args[0][0]
            raise CheckpointError(
                f"cannot save {target}: {file} cannot be copied ({why}); free some space or choose another folder"
            ) from error


def copy_file(source: Path, target: Path) -> None:
    """Copies a file, whole or not at all. Raises `CheckpointError` where the disk refuses it."""
    with open(source, "rb") as reading, atomic_file(target, needed=source.stat().st_size) as writing:
        shutil.copyfileobj(reading, writing)


def next_steps(folder: Path, pairs: bool) -> list[str]:
    """Commands to go on with."""
    name = quoted(folder)
    texts = '"a first text" "a second text"' if pairs else '"a new text"'
    return [
        f"bertworks predict {name} {texts}",
        f"bertworks predict {name} --file new.csv --output answers.csv",
        f"bertworks evaluate {name} test.csv",
    ]


def vector_steps(folder: Path) -> list[str]:
    """Commands to go on with a model that gives vectors."""
    name = quoted(folder)
    return [
        f'bertworks embed {name} "a new text"',
        f"bertworks embed {name} --file new.csv --output vectors.parquet",
        f'bertworks search {name} "what is looked for" --file texts.csv',
        f"bertworks evaluate {name} pairs.csv",
    ]


def answer_steps(folder: Path) -> list[str]:
    """Commands to go on with a model that answers questions."""
    name = quoted(folder)
    return [
        f'bertworks answer {name} "a question" --context "a text that may answer it"',
        f"bertworks predict {name} --file questions.json --output answers.json",
        f"bertworks evaluate {name} test.json",
    ]


def choice_steps(folder: Path) -> list[str]:
    """Commands to go on with a model that chooses."""
    name = quoted(folder)
    return [
        f'bertworks predict {name} "a question" "a first choice" "a second choice"',
        f"bertworks predict {name} --file questions.jsonl --output answers.jsonl",
        f"bertworks evaluate {name} test.jsonl",
    ]


def quoted(path: Path) -> str:
    """A path as a shell wants it; one below the working folder relative to it."""
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return shlex.quote(str(path))


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from config.toml."""
    return tomllib.loads(toml_text(settings))
