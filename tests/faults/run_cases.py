"""Runs that are not there, not finished, or not to be gone on with."""

from bertworks.errors import CheckpointError, SettingsError
from tests.faults.case import Case, file

TRAIN = "bertworks train reviews.csv --text review --label sentiment --model encoder"

RUNS = [
    Case(
        "a run that does not exist", "bertworks train --resume runs/reviews-1", CheckpointError, "'runs/reviews-1' does not exist", "a run"
    ),
    Case(
        "a run with a slip in its name",
        "bertworks train --resume runs/reviws-1",
        CheckpointError,
        "'runs/reviws-1' does not exist",
        "Did you mean 'runs/reviews-1'?",
        (file("runs/reviews-1/config.toml", ""),),
    ),
    Case("a folder that is no run", "bertworks train --resume model", CheckpointError, "'model' has no config.toml", "it is no run folder"),
    Case(
        "a damaged config.toml",
        "bertworks train --resume run",
        CheckpointError,
        "'run/config.toml' cannot be read",
        "line 1",
        (file("run/config.toml", "epochs = = 3\n"),),
    ),
    Case(
        "a run begun in Python",
        "bertworks train --resume run",
        SettingsError,
        "'run/config.toml' does not say where the run's data are",
        "fit(texts, labels, resume=True)",
        (file("run/config.toml", "[classifier]\n"),),
    ),
    Case(
        "a setting that is not known in config.toml",
        "bertworks train --resume run",
        SettingsError,
        "config.toml: unknown setting 'spilt'",
        "Did you mean 'split'?",
        (file("run/config.toml", '[data]\nspilt = "train"\n'),),
    ),
    Case(
        "other data for a run that goes on",
        "bertworks train reviews.csv --resume run",
        SettingsError,
        "with its own data",
        "leave out the data",
    ),
    Case(
        "other settings for a run that goes on",
        "bertworks train --resume run --epochs 3",
        SettingsError,
        "with its own settings",
        "leave out epochs",
    ),
    Case(
        "a run in the folder of another",
        f"{TRAIN} --output run",
        SettingsError,
        "run already holds a run",
        "resume it (--resume)",
        (file("run/config.toml", "[data]\n"),),
    ),
    Case(
        "a prediction with an unfinished run",
        "bertworks predict run text",
        CheckpointError,
        "the run 'run' is not finished",
        "bertworks train --resume run",
        (file("run/config.toml", '[data]\nsource = "reviews.csv"\n'),),
    ),
    Case(
        "a prediction with an unfinished pretraining",
        "bertworks predict run text",
        CheckpointError,
        "the run 'run' is not finished",
        "bertworks pretrain --resume run",
        (file("run/config.toml", "[pretraining]\n"),),
    ),
    Case(
        "a setting of the wrong type in config.toml",
        "bertworks train --resume run",
        SettingsError,
        "config.toml, [data]: 'limit'",
        "must be a whole number or null, not 'many'",
        (file("run/config.toml", '[data]\nlimit = "many"\n'),),
    ),
    Case(
        "a config.toml nested without end",
        "bertworks train --resume run",
        CheckpointError,
        "'run/config.toml' cannot be read: it is nested too deeply",
        "mend it",
        (file("run/config.toml", "data = " + "[" * 10_000),),
    ),
    Case(
        "a config.toml without its tables",
        "bertworks train --resume run",
        CheckpointError,
        "'run/config.toml': 'data' is no table, [data]",
        "mend the file",
        (file("run/config.toml", "data = 3\n"),),
    ),
]
