"""The families that bertworks knows, and those that it refuses by name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bertworks.architectures.albert import ALBERT
from bertworks.architectures.architecture import Architecture, Config
from bertworks.architectures.bert import BERT
from bertworks.architectures.distilbert import DISTILBERT
from bertworks.architectures.electra import ELECTRA
from bertworks.architectures.gpt2 import GPT2
from bertworks.architectures.modernbert import MODERNBERT
from bertworks.architectures.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from bertworks.checkpoints.files import read_json
from bertworks.errors import CheckpointError, nearest
from bertworks.spec import EncoderSpec

GOOGLE_CONFIG = "bert_config.json"
"""What describes the model in a folder of google-research/bert."""

ARCHITECTURES: dict[str, Architecture] = {
    family.name: family for family in (BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, DISTILBERT, ALBERT, ELECTRA, MODERNBERT, GPT2)
}

REFUSED = {
    "deberta": "its attention adds relative-position products",
    "deberta-v2": "its attention adds relative-position products",
    "mpnet": "its attention adds a relative-position bias",
    "t5": "it is an encoder-decoder with a relative-position bias",
    "mt5": "it is an encoder-decoder with a relative-position bias",
    "umt5": "it is an encoder-decoder with a relative-position bias",
    "bart": "it is an encoder-decoder",
    "mbart": "it is an encoder-decoder",
    "xlnet": "its attention adds relative-position products, and reads the tokens in another order",
    "funnel": "its attention adds relative-position products, and its layers pool the tokens",
    "convbert": "its attention mixes in a convolution",
    "mobilebert": "its layers have bottlenecks and stacked feed-forward networks",
    "squeezebert": "its layers are grouped convolutions",
    "longformer": "its attention has windows and tokens that see all others",
    "big_bird": "its attention has windows, random blocks and tokens that see all others",
}


def architecture_of(config: Config, source: str) -> Architecture:
    """The family that a config.json names. Raises `CheckpointError` with those that are known."""
    name = config.get("model_type")
    if not isinstance(name, str):
        raise CheckpointError(f"{source}: config.json names no 'model_type'; known: {', '.join(ARCHITECTURES)}")
    if name in REFUSED:
        raise CheckpointError(f"{source}: the architecture '{name}' is not supported: {REFUSED[name]}")
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"{source}: unknown architecture '{name:.100}'; known: {', '.join(ARCHITECTURES)}.{nearest(name, ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model folder; where there is none, the bert_config.json of google-research/bert, whose keys are the same.

    That one names no family and no heads: a BERT with those of its pretraining. `gelu` is the exact one, as in what `transformers`
    made of such folders (google-research/bert itself came to compute its approximation by tanh).

    Raises `CheckpointError` where the file is missing or damaged.
    """
    if os.path.lexists(folder / "config.json") or not os.path.lexists(folder / GOOGLE_CONFIG):
        return read_json(folder / "config.json")
    return {"model_type": "bert", "architectures": ["BertForPreTraining"], **read_json(folder / GOOGLE_CONFIG)}


def read_description(folder: Path, dropout: float | None = None) -> tuple[dict[str, Any], Architecture, EncoderSpec]:
    """The `read_config` of a model folder, the family that it names, and the encoder that it describes. `dropout` is put over
    every dropout probability of the file.

    Raises `CheckpointError` where the file is missing or damaged, or describes nothing that bertworks can run.
    """
    config = read_config(folder)
    architecture = architecture_of(config, str(folder))
    if dropout is not None:
        config |= dict.fromkeys(architecture.dropout_keys, dropout)
    with naming(folder):
        return config, architecture, architecture.encoder(config)


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Puts a model's folder before what an error about it says."""
    try:
        yield
    except CheckpointError as error:
        google = str(error).startswith("config.json") and not os.path.lexists(folder / "config.json")
        raise CheckpointError(f"{folder}: {'bert_' if google else ''}{error}") from None
