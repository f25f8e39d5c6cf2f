"""What a family has to say about itself."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from sys import float_info
from typing import Any, Literal

from bertworks.checkpoints.table import Ignore, Rename, Table, renames
from bertworks.errors import CheckpointError, nearest
from bertworks.spec import Activation, EncoderSpec, HeadSpec, RelationSpec

Config = Mapping[str, Any]

HeadKind = Literal[
    "masked_lm",
    "causal_lm",
    "next_sentence",
    "replaced_token_detection",
    "sequence_classification",
    "token_classification",
    "tag_sequence",
    "question_answering",
    "multiple_choice",
    "token_vectors",
    "attention_relations",
]

LARGEST_SIZE = 10**8
"""No size in a config.json is larger; the product of three such still counts bytes without overflow of 64 bits."""
MOST_LAYERS = 1000

ACTIVATION_NAMES: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
"""Activations by the names that config.json files use. The tanh approximations differ by rounding only."""


@dataclass(frozen=True)
class HeadDefinition:
    """A task's head as a family defines it."""

    spec: Callable[[Config, EncoderSpec, int], HeadSpec | RelationSpec]
    """From config.json, the encoder and the number of outputs to a description."""
    table: Callable[[str], Table]
    """The weight table, given the prefix of our names ("heads.labels.")."""
    class_name: str
    """What `architectures` in config.json says for a model with this head alone."""
    needs_pooler: bool = False


def _relations(encoder: EncoderSpec) -> RelationSpec:
    attention = encoder.layers[-1].attention
    return RelationSpec(3 * attention.heads * attention.head_dim)


GENERIC_HEADS: Mapping[HeadKind, HeadDefinition] = {
    "token_vectors": HeadDefinition(
        lambda config, encoder, outputs: HeadSpec(reads="tokens", outputs=outputs),
        lambda ours: Table(renames(f"{ours}output", "token_vectors")),
        "",
    ),
    "attention_relations": HeadDefinition(lambda config, encoder, outputs: _relations(encoder), lambda ours: Table(()), ""),
}
"""Heads that every encoder can have and no family names: a vector for each token, by which another model's is learnt, and the
attention of the last layer."""

TRANSITIONS = "crf.transitions"
"""The tensor by which a folder is seen to have scores of labels that follow each other."""
_TRANSITIONS = {"bias": TRANSITIONS, "first_bias": "crf.start_transitions", "last_bias": "crf.end_transitions"}
_OTHER_TASK = Table(ignores=(Ignore(r"crf\..*", "the head of another task"),))


def _with_transitions(tokens: HeadDefinition) -> HeadDefinition:
    """A head for labels of tokens, with scores of labels that follow each other beside it: under the names of the `pytorch-crf`
    package, whose layout is the same. Other tools read the rest of the model, which is that of the head without them."""

    def spec(config: Config, encoder: EncoderSpec, outputs: int) -> HeadSpec:
        plain = tokens.spec(config, encoder, outputs)
        assert isinstance(plain, HeadSpec)
        return replace(plain, transitions=True)

    def table(ours: str) -> Table:
        return tokens.table(ours) + Table(tuple(Rename(f"{ours}transitions.{own}", name) for own, name in _TRANSITIONS.items()))

    return HeadDefinition(spec, table, tokens.class_name, tokens.needs_pooler)


@dataclass(frozen=True)
class Architecture:
    """A family: how its config.json reads, and how its weights are named."""

    name: str
    """`model_type` in config.json."""
    prefix: str
    """What a model with a head puts before the names of the body ("bert.")."""
    encoder: Callable[[Config], EncoderSpec]
    config: Callable[[EncoderSpec], dict[str, Any]]
    """The inverse: config.json of an encoder that was described rather than loaded."""
    table: Callable[[EncoderSpec], Table]
    """The body's weights; their names without the prefix."""
    heads: Mapping[HeadKind, HeadDefinition]
    body_class: str
    body_names: tuple[str, ...]
    """First parts of the names of the body's weights, without the prefix."""

    classes_of_several: Mapping[frozenset[HeadKind], str] = field(default_factory=dict)
    """What `architectures` in config.json says for several heads on one body."""
    dropout_keys: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    """Keys of config.json that hold dropout probabilities: those that one setting for all of them stands for."""

    def __post_init__(self) -> None:
        body, tokens = self.table, self.heads.get("token_classification")
        of_sequences = {} if tokens is None else {"tag_sequence": _with_transitions(tokens)}
        object.__setattr__(self, "heads", {**GENERIC_HEADS, **self.heads, **of_sequences})

        @wraps(body)
        def table(spec: EncoderSpec) -> Table:
            return body(spec) + _OTHER_TASK

        object.__setattr__(self, "table", table)

    def class_name(self, kinds: Collection[HeadKind]) -> str:
        """What `architectures` in config.json says for a model with such heads."""
        single = {frozenset([kind]): head.class_name for kind, head in self.heads.items()}
        return {**single, **self.classes_of_several}.get(frozenset(kinds), self.body_class)

    def head(self, kind: HeadKind) -> HeadDefinition:
        """Raises `CheckpointError` that names the heads of this family where it has no such head."""
        if kind not in self.heads:
            has = ", ".join(kind for kind, head in self.heads.items() if head.class_name)
            raise CheckpointError(f"the architecture '{self.name}' has no head for {kind}; it has heads for: {has}")
        return self.heads[kind]

    def is_body(self, name: str) -> bool:
        return name.split(".", 1)[0] in self.body_names


def activation_named(name: object) -> Activation:
    """Raises `CheckpointError` for an activation that is not known."""
    if not isinstance(name, str) or name not in ACTIVATION_NAMES:
        known = ", ".join(ACTIVATION_NAMES)
        raise CheckpointError(f"config.json: unknown activation {name!r:.100}; known: {known}.{nearest(str(name), ACTIVATION_NAMES)}")
    return ACTIVATION_NAMES[name]


def activation_name(activation: Activation) -> str:
    """The usual name of an activation in config.json: the inverse of `activation_named`."""
    return "gelu_new" if activation == "gelu_tanh" else activation


def required(config: Config, key: str, most: int = LARGEST_SIZE, *, least: int = 1) -> int:
    """A whole number, from `least` to `most`, that config.json must hold."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _wrong(key, f"a whole number above {least - 1}" if least else "a whole number, 0 or more", value)
    if value > most:
        raise _wrong(key, f"{most:,} at most", value)
    return value


def whole(config: Config, key: str, default: int, most: int = LARGEST_SIZE, *, least: int = 1) -> int:
    """The same of a number that may be absent, which means `default`."""
    return required(config, key, most, least=least) if key in config else default


def positive(config: Config, key: str, default: float) -> float:
    """A number above 0; absent means `default`."""
    value = config.get(key, default)
    if not _is_number(value) or not 0 < value <= float_info.max:
        raise _wrong(key, "a number above 0", value)
    return float(value)


def probability(config: Config, key: str, default: float) -> float:
    """A dropout probability; absent or null means `default`."""
    value = config.get(key)
    value = default if value is None else value
    if not _is_number(value) or not 0 <= value < 1:
        raise _wrong(key, "at least 0 and below 1", value)
    return float(value)


def flag(config: Config, key: str, default: bool) -> bool:
    """A yes or a no; absent means `default`."""
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise _wrong(key, "true or false", value)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(key: str, wanted: str, value: object) -> CheckpointError:
    shown = "a number too long to show" if isinstance(value, int) and abs(value) > 10**30 else f"{value!r:.100}"
    return CheckpointError(f"config.json: '{key}' must be {wanted}, not {shown}: correct it, or copy the model again")
