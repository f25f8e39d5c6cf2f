"""The families that bertworks knows, and those that it refuses by name."""

from bertworks.architectures.architecture import Architecture, Config
from bertworks.architectures.bert import BERT
from bertworks.errors import CheckpointError, nearest

ARCHITECTURES: dict[str, Architecture] = {"bert": BERT}

REFUSED = {
    "deberta": "its attention adds relative-position products",
    "deberta-v2": "its attention adds relative-position products",
    "mpnet": "its attention adds a relative-position bias",
    "t5": "it is an encoder-decoder with a relative-position bias",
}


def architecture_of(config: Config, source: str) -> Architecture:
    """The family that a config.json names. Raises `CheckpointError` with those that are known."""
    name = config.get("model_type")
    if name is None:
        raise CheckpointError(f"{source}: config.json names no 'model_type'; known: {', '.join(ARCHITECTURES)}")
    if name in REFUSED:
        raise CheckpointError(f"{source}: the architecture '{name}' is not supported: {REFUSED[name]}")
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"{source}: unknown architecture '{name}'; known: {', '.join(ARCHITECTURES)}.{nearest(str(name), ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]
