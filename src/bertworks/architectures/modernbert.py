"""ModernBERT (Warner et al. 2024), of any size: rotary positions, windows in most layers, gated feed-forward networks."""

from typing import Any

from bertworks.architectures.architecture import (
    MOST_LAYERS,
    Architecture,
    Config,
    HeadDefinition,
    activation_name,
    activation_named,
    flag,
    positive,
    probability,
    required,
    whole,
)
from bertworks.checkpoints.table import Entry, Ignore, Rename, Table, Tie, renames
from bertworks.errors import CheckpointError
from bertworks.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, HeadSpec, LayerSpec, NormSpec

GLOBAL, LOCAL = "full_attention", "sliding_attention"
BASES = {GLOBAL: ("global_rope_theta", 160_000.0), LOCAL: ("local_rope_theta", 10_000.0)}
"""The key of `transformers` 4 and the default of each kind of layer's rotary base."""
WINDOW, GLOBAL_EVERY = 128, 3


def encoder(config: Config) -> EncoderSpec:
    hidden, heads = required(config, "hidden_size"), required(config, "num_attention_heads")
    if hidden % heads or hidden // heads % 2:
        raise CheckpointError(f"config.json: hidden_size {hidden} over num_attention_heads {heads} must be an even number: correct them")
    norm = NormSpec(positive(config, "norm_eps", 1e-5), flag(config, "norm_bias", False))
    attention_bias, attention_dropout = flag(config, "attention_bias", False), probability(config, "attention_dropout", 0.0)
    feed_forward = FeedForwardSpec(
        required(config, "intermediate_size"),
        activation_named(config.get("hidden_activation", "gelu")),
        gated=True,
        bias=flag(config, "mlp_bias", False),
        dropout=probability(config, "mlp_dropout", 0.0),
    )
    side = whole(config, "local_attention", WINDOW, least=0) // 2
    bases = {kind: _base(config, kind) for kind in BASES}

    def layer(number: int, kind: str) -> LayerSpec:
        window = (side, side) if kind == LOCAL else None
        attention = AttentionSpec(
            heads, hidden // heads, attention_bias, attention_bias, rotary_base=bases[kind], window=window, dropout=attention_dropout
        )
        own_norm = norm if number else None  # the embedding's norm stands right before the first layer
        return LayerSpec(attention, feed_forward, "before", own_norm, norm, attention_dropout, feed_forward_dropout=0.0, weights=number)

    return EncoderSpec(
        architecture="modernbert",
        hidden=hidden,
        embedding=EmbeddingSpec(
            vocabulary=required(config, "vocab_size"),
            width=hidden,
            max_tokens=required(config, "max_position_embeddings"),
            positions="none",
            segments=0,
            norm=norm,
            dropout=probability(config, "embedding_dropout", 0.0),
        ),
        layers=tuple(layer(number, kind) for number, kind in enumerate(_kinds(config))),
        final_norm=norm,
        initializer_range=positive(config, "initializer_range", 0.02),
    )


def _kinds(config: Config) -> list[str]:
    """Which layers are global and which are local, as `transformers` 5 says it (`layer_types`) or 4."""
    layers = required(config, "num_hidden_layers", MOST_LAYERS)
    kinds = config.get("layer_types")
    if kinds is None:
        return _alternating(layers, whole(config, "global_attn_every_n_layers", GLOBAL_EVERY))
    if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in (GLOBAL, LOCAL) for kind in kinds):
        raise CheckpointError(f"config.json: 'layer_types' must name '{GLOBAL}' or '{LOCAL}' for each of the {layers} layers: correct it")
    return kinds


def _alternating(layers: int, every: int) -> list[str]:
    return [LOCAL if number % every else GLOBAL for number in range(layers)]


def _base(config: Config, kind: str) -> float:
    """The rotary base of a kind of layer, as `transformers` 5 says it (`rope_parameters`) or 4."""
    parameters = config.get("rope_parameters") or {}
    own = parameters.get(kind) or {} if isinstance(parameters, dict) else None
    scaling = config.get("rope_scaling") or {}
    if not isinstance(own, dict) or not isinstance(scaling, dict):
        raise CheckpointError("config.json: 'rope_parameters' and 'rope_scaling' must be tables of settings: correct them")
    variant = {**own, **scaling}.get("rope_type", {**own, **scaling}.get("type", "default"))
    if variant != "default":
        raise CheckpointError(f"config.json: rotary positions of the kind {variant!r:.100} are not supported; only 'default' is")
    key, default = BASES[kind]
    if kind == LOCAL and key in config and config[key] is None:  # said so in transformers 4: as in the global layers
        default, config = _base(config, GLOBAL), {}
    return positive(own, "rope_theta", positive(config, key, default))


def config(spec: EncoderSpec) -> dict[str, Any]:
    layer, norm = spec.layers[0], spec.final_norm
    assert norm is not None
    kinds = [GLOBAL if own.attention.window is None else LOCAL for own in spec.layers]
    bases = {kind: default for kind, (_, default) in BASES.items()} | {
        kind: own.attention.rotary_base for kind, own in zip(kinds, spec.layers, strict=True)
    }
    window = next((own.attention.window for own in spec.layers if own.attention.window), (WINDOW // 2, 0))
    every = next((n for n in range(1, len(kinds) + 1) if kinds == _alternating(len(kinds), n)), None)
    return {
        "model_type": "modernbert",
        "vocab_size": spec.embedding.vocabulary,
        "pad_token_id": None,  # the default of `transformers` lies beyond a small vocabulary
        "hidden_size": spec.hidden,
        "num_hidden_layers": len(spec.layers),
        "num_attention_heads": layer.attention.heads,
        "intermediate_size": layer.feed_forward.width,
        "hidden_activation": activation_name(layer.feed_forward.activation),
        "max_position_embeddings": spec.max_tokens,
        "local_attention": 2 * window[0],
        "layer_types": kinds,
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()},
        **({} if every is None else {"global_attn_every_n_layers": every}),
        **{BASES[kind][0]: base for kind, base in bases.items()},
        "norm_eps": norm.epsilon,
        "norm_bias": norm.bias,
        "attention_bias": layer.attention.bias,
        "mlp_bias": layer.feed_forward.bias,
        "attention_dropout": layer.attention.dropout,
        "embedding_dropout": spec.embedding.dropout,
        "mlp_dropout": layer.feed_forward.dropout,
        "initializer_range": spec.initializer_range,
    }


def table(spec: EncoderSpec) -> Table:
    def named(ours: str, theirs: str, bias: bool) -> tuple[Rename, ...]:
        return renames(f"encoder.{ours}", theirs, ("weight", "bias") if bias else ("weight",))

    norm_bias = spec.final_norm is not None and spec.final_norm.bias
    entries: list[Entry] = [Rename("encoder.embeddings.token.weight", "embeddings.tok_embeddings.weight")]
    entries += named("embeddings.norm", "embeddings.norm", norm_bias)
    for i, layer in enumerate(spec.layers):
        name = f"layers.{i}"
        if layer.attention_norm is not None:
            entries += named(f"{name}.attention_norm", f"{name}.attn_norm", norm_bias)
        entries += named(f"{name}.attention.qkv", f"{name}.attn.Wqkv", layer.attention.bias)
        entries += named(f"{name}.attention.output", f"{name}.attn.Wo", layer.attention.output_bias)
        entries += named(f"{name}.feed_forward_norm", f"{name}.mlp_norm", norm_bias)
        entries += named(f"{name}.feed_forward.up", f"{name}.mlp.Wi", layer.feed_forward.bias)
        entries += named(f"{name}.feed_forward.down", f"{name}.mlp.Wo", layer.feed_forward.bias)
    entries += named("final_norm", "final_norm", norm_bias)
    return Table(tuple(entries), ignores=(Ignore(r"(head|decoder|classifier)\..*", "the head of another task"),))


def _head(config: Config, spec: EncoderSpec, **settings: Any) -> HeadSpec:
    """What all heads begin with: a dense layer, an activation and a norm."""
    activation = activation_named(config.get("classifier_activation", "gelu"))
    bias = flag(config, "classifier_bias", False)
    return HeadSpec(dense=spec.hidden, dense_bias=bias, activation=activation, norm=spec.final_norm, **settings)


def _masked_lm(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    if not flag(config, "tie_word_embeddings", True):
        raise CheckpointError("config.json: ModernBERT with an output matrix of its own (tie_word_embeddings false) is not supported")
    return _head(config, spec, reads="targets", outputs=spec.embedding.vocabulary, bias=flag(config, "decoder_bias", True), tied=True)


def _on_sequence(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    pooling, reads = config.get("classifier_pooling", "cls"), {"cls": "first", "mean": "mean"}
    if not isinstance(pooling, str) or pooling not in reads:
        raise CheckpointError(f"config.json: 'classifier_pooling' must be 'cls' or 'mean', not {pooling!r:.100}: correct it")
    return _head(config, spec, reads=reads[pooling], outputs=outputs, dropout=probability(config, "classifier_dropout", 0.0))


def _on_tokens(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    return _head(config, spec, reads="tokens", outputs=outputs, dropout=probability(config, "classifier_dropout", 0.0))


def _head_table(ours: str, *last: Rename, ties: tuple[Tie, ...] = ()) -> Table:
    return Table((*renames(f"{ours}dense", "head.dense"), *renames(f"{ours}norm", "head.norm"), *last), ties=ties)


def _masked_lm_table(ours: str) -> Table:
    tie = Tie("decoder.weight", "embeddings.tok_embeddings.weight")
    return _head_table(ours, Rename(f"{ours}bias", "decoder.bias"), ties=(tie,))


def _classifier_table(ours: str) -> Table:
    return _head_table(ours, *renames(f"{ours}output", "classifier"))


MODERNBERT = Architecture(
    name="modernbert",
    prefix="model.",
    encoder=encoder,
    config=config,
    table=table,
    body_class="ModernBertModel",
    body_names=("embeddings", "layers", "final_norm"),
    dropout_keys=("attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout"),
    heads={
        "masked_lm": HeadDefinition(_masked_lm, _masked_lm_table, "ModernBertForMaskedLM"),
        "sequence_classification": HeadDefinition(_on_sequence, _classifier_table, "ModernBertForSequenceClassification"),
        "token_classification": HeadDefinition(_on_tokens, _classifier_table, "ModernBertForTokenClassification"),
        "question_answering": HeadDefinition(_on_tokens, _classifier_table, "ModernBertForQuestionAnswering"),
        "multiple_choice": HeadDefinition(_on_sequence, _classifier_table, "ModernBertForMultipleChoice"),
    },
)
