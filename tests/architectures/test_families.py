"""config.json of BERT's relatives to a description and back, their heads, and what is refused."""

from typing import Any

import pytest
import torch

from bertworks.architectures import ARCHITECTURES, architecture_of
from bertworks.architectures.registry import REFUSED
from bertworks.errors import CheckpointError
from bertworks.nn.model import Model
from tests.architectures.published import PUBLISHED

FAMILIES = ["roberta", "xlm-roberta", "camembert", "distilbert", "albert", "electra"]
SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 60,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 70,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-3,
    "initializer_range": 0.03,
}
BASES: dict[str, dict[str, Any]] = {
    "roberta": {**SMALL, "pad_token_id": 1},
    "xlm-roberta": {**SMALL, "pad_token_id": 4},
    "camembert": {**SMALL, "pad_token_id": 0, "type_vocab_size": 1},
    "distilbert": {
        "vocab_size": 97,
        "dim": 60,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 70,
        "activation": "gelu_new",
        "dropout": 0.1,
        "attention_dropout": 0.2,
        "max_position_embeddings": 40,
        "initializer_range": 0.03,
    },
    "albert": {**SMALL, "embedding_size": 24, "num_hidden_groups": 2, "inner_group_num": 2},
    "electra": {**SMALL, "embedding_size": 24},
}
for family, base in BASES.items():
    base["model_type"] = family


@pytest.mark.parametrize("family", FAMILIES)
def test_config_and_description_are_inverses(family: str) -> None:
    architecture = ARCHITECTURES[family]
    spec = architecture.encoder(BASES[family])
    assert spec.architecture == family
    assert architecture.config(spec) == BASES[family]
    assert architecture.encoder(architecture.config(spec)) == spec


@pytest.mark.parametrize(
    ("name", "parameters", "max_tokens", "segments"),
    [  # parameters of the encoder with its pooler, as `transformers` counts them in the published weights
        ("roberta-base", 124_645_632, 512, 1),
        ("roberta-large", 355_359_744, 512, 1),
        ("xlm-roberta-base", 278_043_648, 512, 1),
        ("camembert-base", 110_621_952, 512, 1),
        ("distilbert-base-uncased", 66_362_880, 512, 0),
        ("albert-base-v2", 11_683_584, 512, 2),
        ("electra-small-discriminator", 13_483_008, 512, 2),
        ("electra-base-discriminator", 108_891_648, 512, 2),
    ],
)
def test_published_models_have_their_size(name: str, parameters: int, max_tokens: int, segments: int) -> None:
    spec = architecture_of(PUBLISHED[name], name).encoder(PUBLISHED[name])
    with torch.device("meta"):
        model = Model(spec)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert (spec.max_tokens, spec.embedding.segments) == (max_tokens, segments)


def test_what_is_a_familys_own() -> None:
    roberta = ARCHITECTURES["roberta"].encoder(BASES["roberta"])
    assert (roberta.embedding.position_offset, roberta.max_tokens) == (2, 38)
    assert ARCHITECTURES["roberta"].encoder({**SMALL}).embedding.position_offset == 2
    assert ARCHITECTURES["camembert"].encoder(BASES["camembert"]).embedding.position_offset == 1
    distilbert = ARCHITECTURES["distilbert"].encoder(BASES["distilbert"])
    assert (distilbert.embedding.segments, distilbert.pooler) == (0, None)
    assert distilbert.embedding.norm is not None
    assert distilbert.embedding.norm.epsilon == 1e-12
    albert = ARCHITECTURES["albert"].encoder(BASES["albert"])
    assert [layer.weights for layer in albert.layers] == [0, 1, 0, 1, 2, 3]
    assert (albert.embedding.width, albert.hidden, albert.projection) == (24, 60, True)
    assert ARCHITECTURES["albert"].encoder({**BASES["albert"], "embedding_size": 60}).projection
    assert ARCHITECTURES["electra"].encoder(BASES["electra"]).projection
    assert not ARCHITECTURES["electra"].encoder({**BASES["electra"], "embedding_size": 60}).projection


def test_names_of_other_families_are_read_in_distilbert_too() -> None:
    others = {"hidden_size": 60, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 70, "hidden_act": "gelu_new"}
    others |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.2}
    shared = {name: BASES["distilbert"][name] for name in ("vocab_size", "max_position_embeddings", "initializer_range")}
    encoder = ARCHITECTURES["distilbert"].encoder
    assert encoder({**shared, **others}) == encoder(BASES["distilbert"])
    assert encoder({**BASES["distilbert"], "hidden_size": 44}) == encoder(BASES["distilbert"])


@pytest.mark.parametrize(("layers", "groups"), [(12, 1), (12, 5), (3, 3), (7, 4), (24, 11)])
def test_layers_of_albert_are_divided_evenly(layers: int, groups: int) -> None:
    spec = ARCHITECTURES["albert"].encoder({**SMALL, "num_hidden_layers": layers, "num_hidden_groups": groups})
    used = [layer.weights for layer in spec.layers]
    assert used == sorted(used)
    counts = [used.count(group) for group in range(groups)]
    assert sum(counts) == layers
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("roberta", {"pad_token_id": -1}, "'pad_token_id' must be a whole number, 0 or more, not -1"),
        ("roberta", {"pad_token_id": None}, "'pad_token_id'"),
        ("roberta", {"pad_token_id": 39}, "max_position_embeddings 40 leaves no position behind that of pad_token_id 39"),
        ("roberta", {"is_decoder": True}, "is_decoder"),
        ("camembert", {"position_embedding_type": "relative_key"}, "'relative_key'.*relative positions"),
        ("electra", {"position_embedding_type": "relative_key_query"}, "relative positions"),
        ("electra", {"embedding_size": 0}, "'embedding_size' must be a whole number above 0"),
        ("electra", {"hidden_act": "gleu"}, "unknown activation 'gleu'"),
        ("albert", {"embedding_size": "128"}, "'embedding_size'"),
        ("albert", {"num_hidden_groups": 4}, "num_hidden_groups 4 is more than num_hidden_layers 3"),
        ("albert", {"inner_group_num": 0}, "'inner_group_num'"),
        ("albert", {"inner_group_num": 400}, "num_hidden_layers × inner_group_num must be 1,000 at most"),
        ("distilbert", {"dim": 62}, "dim 62 is not a multiple of n_heads 4"),
        ("distilbert", {"n_layers": True}, "'n_layers'"),
        ("distilbert", {"activation": None}, "unknown activation None"),
        ("distilbert", {"dropout": 1}, "'dropout'"),
    ],
)
def test_what_cannot_be_run_is_refused(family: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        ARCHITECTURES[family].encoder({**BASES[family], **changes})


@pytest.mark.parametrize("name", REFUSED)
def test_refused_families_are_told_the_reason(name: str) -> None:
    assert name not in ARCHITECTURES
    with pytest.raises(CheckpointError, match=f"^folder: the architecture '{name}' is not supported: it"):
        architecture_of({"model_type": name}, "folder")


def test_an_unknown_family_is_told_which_are_known() -> None:
    with pytest.raises(CheckpointError, match=r"'robreta'; known: .*distilbert.* Did you mean 'roberta'"):
        architecture_of({"model_type": "robreta"}, "folder")


@pytest.mark.parametrize(("family", "kind"), [(family, kind) for family in FAMILIES for kind in ARCHITECTURES[family].heads])
def test_every_parameter_stands_once_in_the_table(family: str, kind: Any) -> None:
    architecture = ARCHITECTURES[family]
    spec, definition = architecture.encoder(BASES[family]), architecture.heads[kind]
    model = Model(spec, {"head": definition.spec(BASES[family], spec, 3)})
    whole = architecture.table(spec) + definition.table("heads.head.")
    theirs = [name for entry in whole.entries for name in entry.theirs]
    assert sorted(name for entry in whole.entries for name in entry.ours) == sorted(dict(model.named_parameters()))
    assert len(set(theirs)) == len(theirs)
    assert all(architecture.is_body(name) for entry in architecture.table(spec).entries for name in entry.theirs)
    head_names = [name for entry in definition.table("heads.head.").entries for name in entry.theirs]
    assert not any(architecture.is_body(name) for name in head_names)
    others = architecture.table(spec)  # a model without this head knows what its tensors are
    assert kind == "token_vectors" or all(others.ignored(name) == "the head of another task" for name in head_names)


@pytest.mark.parametrize(
    ("family", "kind", "changes", "dropouts"),
    [  # before the dense layer (or where there is none), and behind it
        ("roberta", "sequence_classification", {}, (0.1, 0.1)),
        ("roberta", "sequence_classification", {"classifier_dropout": 0.3}, (0.3, 0.3)),
        ("roberta", "token_classification", {"classifier_dropout": 0.3}, (0, 0.3)),
        ("roberta", "token_classification", {"classifier_dropout": None}, (0, 0.1)),
        ("roberta", "multiple_choice", {"classifier_dropout": 0.3}, (0, 0.1)),
        ("roberta", "question_answering", {"classifier_dropout": 0.3}, (0, 0)),
        ("distilbert", "sequence_classification", {}, (0, 0.2)),
        ("distilbert", "sequence_classification", {"seq_classif_dropout": 0.3}, (0, 0.3)),
        ("distilbert", "multiple_choice", {"seq_classif_dropout": 0.3}, (0, 0.3)),
        ("distilbert", "token_classification", {"seq_classif_dropout": 0.3}, (0, 0.1)),
        ("distilbert", "question_answering", {}, (0, 0.1)),
        ("distilbert", "question_answering", {"qa_dropout": 0.4}, (0, 0.4)),
        ("albert", "sequence_classification", {"hidden_dropout_prob": 0.5}, (0, 0.1)),
        ("albert", "multiple_choice", {"classifier_dropout_prob": 0.3}, (0, 0.3)),
        ("albert", "token_classification", {"classifier_dropout_prob": 0.3}, (0, 0.3)),
        ("albert", "next_sentence", {"classifier_dropout_prob": 0.3}, (0, 0.3)),
        ("albert", "question_answering", {"classifier_dropout_prob": 0.3}, (0, 0)),
        ("electra", "sequence_classification", {}, (0.1, 0.1)),
        ("electra", "sequence_classification", {"classifier_dropout": 0.3}, (0.3, 0.3)),
        ("electra", "token_classification", {"classifier_dropout": 0.3}, (0, 0.3)),
        ("electra", "multiple_choice", {"classifier_dropout": 0.3}, (0, 0.1)),
        ("electra", "multiple_choice", {"summary_last_dropout": 0.4, "summary_first_dropout": 0.2}, (0.2, 0.4)),
        ("electra", "replaced_token_detection", {}, (0, 0)),
    ],
)
def test_heads_have_the_dropout_of_their_family(family: str, kind: Any, changes: dict[str, Any], dropouts: tuple[float, float]) -> None:
    config = {**BASES[family], **changes}
    architecture = ARCHITECTURES[family]
    head = architecture.heads[kind].spec(config, architecture.encoder(config), 2)
    assert (head.input_dropout, head.dropout) == dropouts


@pytest.mark.parametrize("family", FAMILIES)
def test_one_setting_stands_for_every_dropout(family: str) -> None:
    architecture = ARCHITECTURES[family]
    config = BASES[family] | dict.fromkeys(architecture.dropout_keys, 0.35)
    spec = architecture.encoder(config)
    assert {spec.embedding.dropout} | {v for layer in spec.layers for v in (layer.dropout, layer.attention.dropout)} == {0.35}
    heads = [definition.spec(config, spec, 2) for definition in architecture.heads.values() if definition.class_name]
    assert {dropout for head in heads for dropout in (head.input_dropout, head.dropout)} <= {0, 0.35}


def test_the_summary_of_electra() -> None:
    electra = ARCHITECTURES["electra"]
    spec, head = electra.encoder(BASES["electra"]), electra.heads["multiple_choice"].spec
    assert (head({}, spec, 1).reads, head({}, spec, 1).activation) == ("first", "gelu")
    assert head({"summary_activation": None}, spec, 1).activation is None
    assert head({"summary_type": "mean", "summary_activation": "tanh"}, spec, 1).activation == "tanh"
    assert head({"summary_type": "last"}, spec, 1).reads == "last"
    with pytest.raises(CheckpointError, match="summary_type 'attn' is not supported; first, last and mean are"):
        head({"summary_type": "attn"}, spec, 1)
    with pytest.raises(CheckpointError, match="summary_use_proj"):
        head({"summary_use_proj": False}, spec, 1)


def test_what_config_json_calls_several_heads() -> None:
    assert ARCHITECTURES["albert"].class_name(["next_sentence", "masked_lm"]) == "AlbertForPreTraining"
    assert ARCHITECTURES["xlm-roberta"].class_name(["masked_lm"]) == "XLMRobertaForMaskedLM"
    assert ARCHITECTURES["electra"].class_name(["replaced_token_detection"]) == "ElectraForPreTraining"
    assert ARCHITECTURES["distilbert"].class_name([]) == "DistilBertModel"
