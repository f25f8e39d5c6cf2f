"""The generator of replaced-token detection: a small model of masked words beside the one that is pretrained."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from bertworks.architectures import read_description
from bertworks.checkpoints.hub import resolve
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.pretraining.config import ReplacedTokenSettings
from bertworks.inference import LoadedModel, load_model
from bertworks.inference.models import new_model
from bertworks.nn.replaced_tokens import ReplacedTokens
from bertworks.tasks.masked_lm import MASKED_LM
from bertworks.tasks.replaced_tokens import REPLACED_TOKEN_DETECTION
from bertworks.tokenization import Tokenizer

_SECTION = f"[objectives.{REPLACED_TOKEN_DETECTION}]"
_NAMES = {"vocabulary": "vocab_size", "width": "embedding_size", "max_tokens": "max_position_embeddings", "segments": "type_vocab_size"}
"""What embeddings must agree in, and the keys of config.json that say so."""


def make_generator(discriminator: LoadedModel, settings: ReplacedTokenSettings, tokenizer: Tokenizer, dropout: float) -> LoadedModel:
    """A new generator, narrower than the discriminator and as deep, or the one that the settings name.

    Raises `DataError` where that has another tokenizer, `SettingsError` where its embeddings have another shape or it predicts no
    masked words.
    """
    heads: Any = {MASKED_LM: ("masked_lm", discriminator.model.spec.embedding.vocabulary)}
    if settings.generator is None:
        return new_model(narrowed(discriminator, settings.generator_size), heads)
    folder = resolve(settings.generator)
    if Tokenizer.load(folder).fingerprint() != tokenizer.fingerprint():
        raise DataError(f"{_SECTION} the generator '{settings.generator}' has another tokenizer than the corpus, which must be the same")
    _, architecture, spec = read_description(folder)
    wanted, there = asdict(discriminator.model.spec.embedding), asdict(spec.embedding)
    different = [f"{key} {there[name]}, not {wanted[name]}" for name, key in _NAMES.items() if there[name] != wanted[name]]
    if architecture.name != discriminator.architecture.name:
        different = [f"architecture {architecture.name}, not {discriminator.architecture.name}"]
    if different:
        raise SettingsError(
            f"{_SECTION} the generator '{settings.generator}' shares its embeddings with the model, but it has {'; '.join(different)}. "
            "Leave generator out to begin a new one, or give [model] the same shape"
        )
    loaded = load_model(folder, heads, new_heads=True, dropout=dropout)
    if loaded.report.new:
        raise SettingsError(f"{_SECTION} '{settings.generator}' is no generator: it has no head for masked words")
    return loaded


def narrowed(discriminator: LoadedModel, size: float) -> dict[str, Any]:
    """The config.json of a generator: heads, hidden states and feed-forward network are `size` times as wide, in whole numbers."""
    spec = discriminator.model.spec
    layer = spec.layers[0]
    heads = max(1, round(layer.attention.heads * size))
    return {
        **discriminator.config,
        **discriminator.architecture.config(spec),
        "num_attention_heads": heads,
        "hidden_size": heads * max(1, round(spec.hidden * size / heads)),
        "intermediate_size": max(1, round(layer.feed_forward.width * size)),
    }


def joined(
    discriminator: LoadedModel, generator: LoadedModel, settings: ReplacedTokenSettings, tokenizer: Tokenizer, *, seed: int, is_new: bool
) -> tuple[LoadedModel, list[str]]:
    """The discriminator with the generator in its model, and what is to be told of the two.

    The embeddings of both are the discriminator's; where that `is_new`, and the generator is not, the generator's. A new
    generator is drawn from `seed`.
    """
    own, others = discriminator.model.encoder.embeddings, generator.model.encoder.embeddings
    told = []
    if settings.generator is not None and is_new:
        own.load_state_dict(others.state_dict())
        told.append("the embeddings of both are the generator's")
    elif settings.generator is not None and any(bool((a != b).any()) for a, b in zip(own.parameters(), others.parameters(), strict=True)):
        told.append("its embeddings differ from the model's, whose are those of both from here on")
    ordinary = np.setdiff1d(np.arange(tokenizer.vocabulary_size), list(tokenizer.special_ids))
    model = ReplacedTokens(discriminator.model, generator.model, REPLACED_TOKEN_DETECTION, ordinary)
    names = {name for name, _ in model.named_parameters() if name.startswith("generator.")}
    if settings.generator is None:
        model.initialize(seed, only=names)
    own_parameters = dict(model.named_parameters())
    count = sum(own_parameters[name].numel() for name in names)
    spec = generator.model.spec
    told.insert(0, f"{len(spec.layers)} layers of {spec.hidden}, {count / 1e6:.1f} M parameters beside the embeddings")
    return replace(discriminator, model=model), told
