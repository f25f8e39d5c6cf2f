"""Encoders that come with bertworks, each a model folder with its card; `benchmarks/shipped_encoder.py` makes them."""

from pathlib import Path

DEFAULT = "bertworks-mini"
"""The one that is used where no model is named."""
_HERE = Path(__file__).parent


def shipped_names() -> list[str]:
    """Names that stand for an encoder of this package, wherever a model is named.

    >>> shipped_names()
    ['bertworks-mini']
    """
    return sorted(path.parent.name for path in _HERE.glob("*/config.json"))


def shipped(name: str = DEFAULT) -> Path:
    """The folder of such an encoder."""
    return _HERE / name
