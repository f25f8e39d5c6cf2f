"""GPT-2 (Radford et al. 2019), of any size: every token sees those before it only."""

from typing import Any

from bertworks.architectures.architecture import (
    MOST_LAYERS,
    Architecture,
    Config,
    HeadDefinition,
    activation_name,
    activation_named,
    positive,
    probability,
    required,
)
from bertworks.architectures.parts import head_table, question_answering
from bertworks.checkpoints.table import Entry, Ignore, Rename, Table, Tie, Transpose, renames
from bertworks.errors import CheckpointError
from bertworks.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, HeadSpec, LayerSpec, NormSpec


def encoder(config: Config) -> EncoderSpec:
    if config.get("add_cross_attention"):
        raise CheckpointError(
            "config.json: GPT-2 with cross attention (add_cross_attention) is not supported: there is no second model to look at"
        )
    hidden, heads, layers = required(config, "n_embd"), required(config, "n_head"), required(config, "n_layer", MOST_LAYERS)
    if hidden % heads:
        raise CheckpointError(f"config.json: n_embd {hidden} is not a multiple of n_head {heads}: correct them")
    inner = 4 * hidden if config.get("n_inner") is None else required(config, "n_inner")
    feed_forward = FeedForwardSpec(inner, activation_named(config.get("activation_function", "gelu_new")))
    norm = NormSpec(positive(config, "layer_norm_epsilon", 1e-5))
    dropout = probability(config, "attn_pdrop", 0.1)
    return EncoderSpec(
        architecture="gpt2",
        hidden=hidden,
        embedding=EmbeddingSpec(
            vocabulary=required(config, "vocab_size"),
            width=hidden,
            max_tokens=required(config, "n_positions"),
            segments=0,
            norm=None,
            dropout=probability(config, "embd_pdrop", 0.1),
        ),
        layers=tuple(
            LayerSpec(
                attention=AttentionSpec(heads, hidden // heads, scale=_scale(config, hidden // heads, i), causal=True, dropout=dropout),
                feed_forward=feed_forward,
                norm_position="before",
                attention_norm=norm,
                feed_forward_norm=norm,
                dropout=probability(config, "resid_pdrop", 0.1),
                weights=i,
            )
            for i in range(layers)
        ),
        final_norm=norm,
        initializer_range=positive(config, "initializer_range", 0.02),
    )


def _scale(config: Config, head_dim: int, layer: int) -> float:
    """The factor on the products of queries and keys, which two switches decide."""
    scale = head_dim**-0.5 if config.get("scale_attn_weights", True) else 1.0
    return scale / (layer + 1) if config.get("scale_attn_by_inverse_layer_idx") else scale


def config(spec: EncoderSpec) -> dict[str, Any]:
    layer, last = spec.layers[0], spec.layers[-1]
    assert spec.final_norm is not None
    return {
        "model_type": "gpt2",
        "vocab_size": spec.embedding.vocabulary,
        "n_positions": spec.max_tokens,
        "n_embd": spec.hidden,
        "n_layer": len(spec.layers),
        "n_head": layer.attention.heads,
        "n_inner": layer.feed_forward.width,
        "activation_function": activation_name(layer.feed_forward.activation),
        "resid_pdrop": layer.dropout,
        "embd_pdrop": spec.embedding.dropout,
        "attn_pdrop": layer.attention.dropout,
        "layer_norm_epsilon": spec.final_norm.epsilon,
        "initializer_range": spec.initializer_range,
        "scale_attn_weights": layer.attention.scale != 1.0,
        "scale_attn_by_inverse_layer_idx": last.attention.scale != layer.attention.scale,
    }


def table(spec: EncoderSpec) -> Table:
    entries: list[Entry] = [
        Rename("encoder.embeddings.token.weight", "wte.weight"),
        Rename("encoder.embeddings.position.weight", "wpe.weight"),
    ]
    for i in range(len(spec.layers)):
        ours, theirs = f"encoder.layers.{i}", f"h.{i}"
        entries += renames(f"{ours}.attention_norm", f"{theirs}.ln_1")
        entries += _transposed(f"{ours}.attention.qkv", f"{theirs}.attn.c_attn")
        entries += _transposed(f"{ours}.attention.output", f"{theirs}.attn.c_proj")
        entries += renames(f"{ours}.feed_forward_norm", f"{theirs}.ln_2")
        entries += _transposed(f"{ours}.feed_forward.up", f"{theirs}.mlp.c_fc")
        entries += _transposed(f"{ours}.feed_forward.down", f"{theirs}.mlp.c_proj")
    entries += renames("encoder.final_norm", "ln_f")
    ignores = (
        Ignore(r"h\.\d+\.attn\.(bias|masked_bias)", "constants that old versions stored"),
        Ignore(r"(lm_head|score|classifier|qa_outputs|multiple_choice_head)\..*", "the head of another task"),
    )
    return Table(tuple(entries), ignores=ignores)


def _transposed(ours: str, theirs: str) -> tuple[Rename, ...]:
    """Entries for a dense layer, whose weight GPT-2 stores as inputs × outputs ("Conv1D")."""
    return Transpose(f"{ours}.weight", f"{theirs}.weight"), Rename(f"{ours}.bias", f"{theirs}.bias")


def _causal_lm(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    if config.get("tie_word_embeddings") is False:
        raise CheckpointError("config.json: GPT-2 with an output matrix of its own (tie_word_embeddings false) is not supported")
    return HeadSpec(reads="targets", outputs=spec.embedding.vocabulary, bias=False, tied=True)


def _on_tokens(config: Config, spec: EncoderSpec, outputs: int) -> HeadSpec:
    dropout = next((key for key in ("classifier_dropout", "hidden_dropout") if config.get(key) is not None), "classifier_dropout")
    return HeadSpec(reads="tokens", outputs=outputs, dropout=probability(config, dropout, 0.1))


GPT2 = Architecture(
    name="gpt2",
    prefix="transformer.",
    encoder=encoder,
    config=config,
    table=table,
    body_class="GPT2Model",
    body_names=("wte", "wpe", "h", "ln_f"),
    dropout_keys=("resid_pdrop", "embd_pdrop", "attn_pdrop", "classifier_dropout"),
    heads={
        "causal_lm": HeadDefinition(_causal_lm, lambda ours: Table(ties=(Tie("lm_head.weight", "wte.weight"),)), "GPT2LMHeadModel"),
        "sequence_classification": HeadDefinition(
            lambda c, s, n: HeadSpec(reads="last", outputs=n, bias=False),
            lambda ours: Table((Rename(f"{ours}output.weight", "score.weight"),)),
            "GPT2ForSequenceClassification",
        ),
        "token_classification": HeadDefinition(_on_tokens, head_table("classifier"), "GPT2ForTokenClassification"),
        "question_answering": question_answering("GPT2ForQuestionAnswering"),
    },
)
