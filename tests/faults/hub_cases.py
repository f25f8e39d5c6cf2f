"""Names of models that lead nowhere, on this machine and on the hub (a stub of which answers here)."""

import sys
from pathlib import Path
from unittest.mock import patch

from bertworks.errors import CheckpointError, MissingExtraError
from tests.checkpoints.stub_of_hub import stub_of_hub
from tests.faults.case import Case, file


def _hub() -> object:
    return stub_of_hub(Path(".cache").absolute())


HUB = [
    Case("a folder with a slip in its name", "bertworks predict ./modle text", CheckpointError, "modle", "Did you mean 'model'?"),
    Case(
        "a run with a slip in its name",
        "bertworks predict runs/reviws-1 text",
        CheckpointError,
        "runs/reviws-1",
        "Did you mean 'runs/reviews-1'?",
        (file("runs/reviews-1/config.toml", ""),),
    ),
    Case(
        "a name of a model too long for the system",
        f"bertworks predict {'a' * 300} text",
        CheckpointError,
        "File name too long",
        "name a model folder",
    ),
    Case(
        "a home that nobody has",
        "bertworks predict ~nobody-here/model text",
        CheckpointError,
        "'~nobody-here/model'",
        "name a model folder",
    ),
    Case("an empty name", "bertworks predict '' text", CheckpointError, "no model folder", "This folder has encoder"),
    Case("a file instead of a folder", "bertworks predict reviews.csv text", CheckpointError, "reviews.csv is a file", "name its folder"),
    Case(
        "a hub name without a network",
        "bertworks train reviews.csv --text review --model org/absent",
        CheckpointError,
        "'org/absent'",
        "unset it",
    ),
    Case(
        "a hub name that the hub does not know",
        "resolve('org/absent')",
        CheckpointError,
        "no model 'org/absent'",
        "'hf auth login'",
        (_hub,),
    ),
    Case("a gated model", "resolve('org/gated')", CheckpointError, "'org/gated' is gated", "accept its terms", (_hub,)),
    Case("a revision that does not exist", "resolve('org/safe', revision='v9')", CheckpointError, "no revision 'v9'", "tree/main", (_hub,)),
    Case(
        "a revision of a local folder",
        "resolve('model', revision='main')",
        CheckpointError,
        "model is a local folder",
        "leave out revision",
    ),
    Case(
        "a hub that fails",
        "resolve('org/broken')",
        CheckpointError,
        "does not give 'org/broken'",
        "try again later",
        (_hub,),
        vague=r"(?<=\().*(?=\))",
    ),
    Case(
        "a data set of the hub without the package that reads it",
        "read_table('user/reviews', split='train')",
        MissingExtraError,
        "'datasets'",
        "pip install datasets, or pip install 'bertworks[hub]'",
        (lambda: patch.dict(sys.modules, {"datasets": None}),),
    ),
    Case("a repository without a model", "resolve('org/words')", CheckpointError, "'org/words'", "BERT family", (_hub,)),
]
