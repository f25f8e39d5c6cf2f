"""What several families share: parts of weight tables with other names in them, and heads of one kind."""

from collections.abc import Callable, Sequence

from bertworks.architectures.architecture import Config, HeadDefinition
from bertworks.checkpoints.table import Entry, Fuse, Ignore, Rename, Table, Tie, renames
from bertworks.errors import CheckpointError
from bertworks.spec import Activation, EncoderSpec, HeadSpec

TOKEN_EMBEDDING = "embeddings.word_embeddings.weight"
OPTIMIZER_STATE, CONSTANTS = "the state of the optimizer", "constants that old versions stored"
GENERATOR = "the generator, which is another model"
"""Why tensors are not used that no model has a use for."""


def refuse_decoders(config: Config) -> None:
    """Raises `CheckpointError` for what a family's config.json can ask for besides an encoder with absolute positions."""
    positions = config.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise CheckpointError(
            f"config.json: position_embedding_type '{positions!s:.100}' (relative positions) is not supported; only 'absolute' is"
        )
    if config.get("is_decoder") or config.get("add_cross_attention"):
        raise CheckpointError("config.json: a decoder (is_decoder, add_cross_attention) is not supported; bertworks runs encoders")


# ---- weight tables


def embedding_entries(spec: EncoderSpec) -> tuple[Entry, ...]:
    """Learnt positions, segments where there are any, and a norm."""
    segments = renames("encoder.embeddings.segment", "embeddings.token_type_embeddings", ["weight"]) if spec.embedding.segments else ()
    return (
        Rename("encoder.embeddings.token.weight", TOKEN_EMBEDDING),
        Rename("encoder.embeddings.position.weight", "embeddings.position_embeddings.weight"),
        *segments,
        *renames("encoder.embeddings.norm", "embeddings.LayerNorm"),
    )


def layer_entries(
    ours: str, theirs: str, *, qkv: Sequence[str], output: str, attention_norm: str, up: str, down: str, feed_forward_norm: str
) -> tuple[Entry, ...]:
    """A layer whose query, key and value are three modules; the names are those of a family's modules in its layer `theirs`."""
    return (
        *(Fuse(f"{ours}.attention.qkv.{part}", [f"{theirs}.{name}.{part}" for name in qkv]) for part in ("weight", "bias")),
        *renames(f"{ours}.attention.output", f"{theirs}.{output}"),
        *renames(f"{ours}.attention_norm", f"{theirs}.{attention_norm}"),
        *renames(f"{ours}.feed_forward.up", f"{theirs}.{up}"),
        *renames(f"{ours}.feed_forward.down", f"{theirs}.{down}"),
        *renames(f"{ours}.feed_forward_norm", f"{theirs}.{feed_forward_norm}"),
    )


def unused(heads: str) -> tuple[Ignore, ...]:
    """Tensors that a folder may hold beside the body; `heads` are the first parts of their names, as "cls|classifier"."""
    return (
        Ignore(r".*\.adam_[mv]|global_step", OPTIMIZER_STATE),
        Ignore(r"embeddings\.(position_ids|token_type_ids)", CONSTANTS),
        Ignore(r"pooler\..*", "the pooler, which this model does not use"),
        Ignore(rf"({heads})\..*", "the head of another task"),
    )


def head_table(output: str, dense: str | None = None) -> Callable[[str], Table]:
    """A head that is a projection, perhaps behind a dense layer."""
    return lambda ours: Table((*(renames(f"{ours}dense", dense) if dense else ()), *renames(f"{ours}output", output)))


def masked_lm_table(dense: str, norm: str, decoder: str, bias: str | None = None) -> Callable[[str], Table]:
    """A masked-LM head whose decoder is the token embedding. Where the bias of the decoder has a name of its own, `bias`,
    the decoder's may stand beside it and must equal it."""
    own = bias or f"{decoder}.bias"
    ties = (Tie(f"{decoder}.weight", TOKEN_EMBEDDING), *((Tie(f"{decoder}.bias", bias),) if bias else ()))
    return lambda ours: Table((*renames(f"{ours}dense", dense), *renames(f"{ours}norm", norm), Rename(f"{ours}bias", own)), ties=ties)


# ---- heads


def masked_lm(spec: EncoderSpec, activation: Activation) -> HeadSpec:
    """Dense layer to the embedding's width, activation, norm, and the token embedding as decoder."""
    embedding = spec.embedding
    return HeadSpec("targets", embedding.vocabulary, dense=embedding.width, activation=activation, norm=embedding.norm, tied=True)


def question_answering(class_name: str) -> HeadDefinition:
    """The scores of each token to be an answer's first and last."""
    return HeadDefinition(lambda config, spec, outputs: HeadSpec("tokens", 2), head_table("qa_outputs"), class_name)
