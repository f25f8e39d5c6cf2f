"""The other families of BERT's kind, with every head that `transformers` gives them, as cases of the comparison."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from tests.reference.comparison import CASES, SIZES, Case, Reference, _at_targets, at_tokens
from tests.reference.gpt2 import GPT2_CASES
from tests.reference.modernbert import MODERNBERT_CASES

_SIZES = {**SIZES, "hidden_size": 36, "intermediate_size": 45}
HEADS = ("bare", "masked_lm", "sequence_classification", "token_classification", "question_answering", "multiple_choice")


@dataclass(frozen=True)
class Family:
    """What the names of its classes begin with, and a shape that shows what is its own."""

    classes: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Case] = field(default_factory=dict)
    """Heads that BERT does not have, or has otherwise."""
    segments: bool = True
    activation_key: str = "hidden_act"
    heads: tuple[str, ...] = HEADS
    """Those that it has as BERT has them."""

    def cases(self) -> dict[str, Case]:
        of_bert = {head: replace(CASES[head], class_name=self.classes + CASES[head].class_name.removeprefix("Bert")) for head in self.heads}
        shared = {"config_class": f"{self.classes}Config", "segments": self.segments, "activation_key": self.activation_key}
        sizes = {name: value for name, value in {**_SIZES, **self.changes}.items() if value is not None}
        return {head: replace(case, sizes=sizes, **shared) for head, case in {**of_bert, **self.own}.items()}


_SENTENCE_ORDER = Case(
    "AlbertForPreTraining",
    {"words": ("masked_lm", 97), "next": ("next_sentence", 2)},
    lambda out, b: {"words": _at_targets(out.prediction_logits, b), "next": out.sop_logits},
)
_REPLACED = Case(
    "ElectraForPreTraining",
    {"replaced": ("replaced_token_detection", 1)},
    lambda out, b: {"replaced": at_tokens(torch.unsqueeze(out.logits, -1), b)},
)
_DISTILBERT = dict.fromkeys(_SIZES) | {
    "vocab_size": 97,
    "dim": 36,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 45,
    "max_position_embeddings": 40,
}

FAMILIES = {
    "roberta": Family("Roberta", {"pad_token_id": 1}),
    "xlm-roberta": Family("XLMRoberta", {"pad_token_id": 1, "type_vocab_size": 1}, segments=False),
    "camembert": Family("Camembert", {"pad_token_id": 0, "type_vocab_size": 1}, segments=False),
    "distilbert": Family("DistilBert", _DISTILBERT, segments=False, activation_key="activation"),
    "albert": Family(
        "Albert",
        {"embedding_size": 17, "num_hidden_groups": 2},
        {"pretraining": _SENTENCE_ORDER},
    ),
    "albert-inner": Family(
        "Albert",
        {"embedding_size": 13, "num_hidden_layers": 2, "inner_group_num": 2},
        {"pretraining": _SENTENCE_ORDER},
        heads=HEADS[1:],  # the attention of four shared layers chooses too little to be looked at by itself
    ),
    "electra-generator": Family("Electra", {"embedding_size": 17}, {"replaced_token_detection": _REPLACED}),
    "electra-discriminator": Family("Electra", {"embedding_size": 36}, {"replaced_token_detection": _REPLACED}),
}
"""Where a family has no segments, or one, ours is told those of pairs all the same."""

FAMILY_CASES = (
    {f"{name} {head}": case for name, family in FAMILIES.items() for head, case in family.cases().items()} | GPT2_CASES | MODERNBERT_CASES
)
ALL_CASES = {**CASES, **FAMILY_CASES}


class References:
    """The reference of a case with an activation (its saved model, and what it computes), each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, str], Reference] = {}

    def __call__(self, case: str, activation: str = "gelu") -> Reference:
        if (case, activation) not in self._made:
            self._made[case, activation] = Reference.make(ALL_CASES[case], activation, self._folder / f"{case} {activation}")
        return self._made[case, activation]
