"""The comparison with `transformers` that a fault must not pass.

A random model is made by `transformers`, with weights of standard deviation 0.5, random biases and random norm gains:
nothing in it is zero, one or small, so nothing can be left out unseen. Both sides compute outputs, and the gradients
of a random linear functional of all of them, on pairs of unequal length in one batch. Ours computes in float32; the
reference computes in float64, because such a model multiplies float32's rounding by a thousand, and both sides'
rounding together would need a wider tolerance. The first seed is taken whose model the reference itself, in float32,
computes within a quarter of the tolerance, and in which no part is silent: in others rounding would show, or faults would not.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bertworks.architectures import HeadKind
from bertworks.batch import PackedBatch
from bertworks.inference import LoadedModel, load_model
from bertworks.nn.encoder import EncoderOutput
from bertworks.nn.heads import IGNORED
from bertworks.nn.inputs import ModelInputs, model_inputs

CPU = torch.device("cpu")
TOLERANCE = 1e-4
SMALLEST_GRADIENT = 0.05
LENGTHS = (11, 11, 23, 1, 17, 9)
"""Unequal, with a run of equal ones and a sequence of one token."""
SIZES = {
    "vocab_size": 97,
    "hidden_size": 60,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 70,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 0.01,  # large enough to be seen in the outputs
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
}

Outputs = dict[str, Tensor]
Pairs = list[tuple[str, Tensor, Tensor]]
"""Names, what is compared, and what it is compared with."""


class DifferentError(AssertionError):
    """Ours is not the reference's."""


@dataclass(frozen=True)
class Case:
    """A model class of `transformers`, its heads here, and how the outputs of one side read like the other's."""

    class_name: str
    heads: Mapping[str, tuple[HeadKind, int]] = field(default_factory=dict)
    theirs: Callable[[Any, PackedBatch], Outputs] = lambda out, batch: {}
    labels: int = 2
    choices: int = 1
    config_class: str = "BertConfig"
    sizes: Mapping[str, Any] = field(default_factory=lambda: SIZES)
    activation_key: str = "hidden_act"
    segments: bool = True
    """Whether the reference is told the segments of tokens."""
    lengths: tuple[int, ...] = LENGTHS
    """Tokens of the sequences in the batch."""
    attention: str = "eager"
    """The reference's attention: its own, or `exact_attention` where its own computes in float32 whatever it is given."""

    def computed_by(self, model: Any, batch: PackedBatch) -> Outputs:
        """What a model of `transformers` computes on the padded batch."""
        return self.theirs(reference_forward(model, batch, self.choices, self.segments), batch)


def at_tokens(padded: Tensor, batch: PackedBatch) -> Tensor:
    """The rows of the tokens of a padded output."""
    return torch.cat([row[:length] for row, length in zip(padded, batch.lengths.tolist(), strict=True)])


def _bare(out: Any, batch: PackedBatch) -> Outputs:
    outputs = {"hidden": at_tokens(out.last_hidden_state, batch)}
    outputs |= {"pooled": out.pooler_output} if getattr(out, "pooler_output", None) is not None else {}
    outputs |= {f"hidden state {i}": at_tokens(state, batch) for i, state in enumerate(out.hidden_states)}
    for number, layer in enumerate(out.attentions):
        for i, length in enumerate(batch.lengths.tolist()):
            outputs[f"attention {number}.{i}"] = layer[i, :, :length, :length]
    return outputs


def _at_targets(scores: Tensor, batch: PackedBatch) -> Tensor:
    return at_tokens(scores, batch)[torch.from_numpy(batch.token_targets["words"] != IGNORED)]


CASES: dict[str, Case] = {
    "bare": Case("BertModel", {}, _bare),
    "masked_lm": Case("BertForMaskedLM", {"words": ("masked_lm", 97)}, lambda out, b: {"words": _at_targets(out.logits, b)}),
    "next_sentence": Case("BertForNextSentencePrediction", {"next": ("next_sentence", 2)}, lambda out, b: {"next": out.logits}),
    "pretraining": Case(
        "BertForPreTraining",
        {"words": ("masked_lm", 97), "next": ("next_sentence", 2)},
        lambda out, b: {"words": _at_targets(out.prediction_logits, b), "next": out.seq_relationship_logits},
    ),
    "sequence_classification": Case(
        "BertForSequenceClassification", {"label": ("sequence_classification", 5)}, lambda out, b: {"label": out.logits}, labels=5
    ),
    "token_classification": Case(
        "BertForTokenClassification", {"tags": ("token_classification", 7)}, lambda out, b: {"tags": at_tokens(out.logits, b)}, labels=7
    ),
    "question_answering": Case(
        "BertForQuestionAnswering",
        {"span": ("question_answering", 2)},
        lambda out, b: {"span": at_tokens(torch.stack([out.start_logits, out.end_logits], -1), b)},
    ),
    "multiple_choice": Case(
        "BertForMultipleChoice", {"choice": ("multiple_choice", 1)}, lambda out, b: {"choice": out.logits.reshape(-1, 1)}, choices=3
    ),
}


def make_batch(lengths: tuple[int, ...] = LENGTHS) -> PackedBatch:
    """Pairs of unequal length; neither id 0 nor 1, whose gradient the reference leaves out as that of padding."""
    generator = np.random.default_rng(5)
    ids = [generator.integers(2, SIZES["vocab_size"], n) for n in lengths]
    segments = [(np.arange(n) >= max(1, n // 3)).astype(np.int64) for n in lengths]
    words = np.where(generator.random(sum(lengths)) < 0.4, generator.integers(1, SIZES["vocab_size"], sum(lengths)), IGNORED)
    return PackedBatch.from_sequences(ids, segments, token_targets={"words": words})


def randomize(model: torch.nn.Module, seed: int = 3) -> None:
    """Weights and biases of standard deviation 0.5; gains around 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = re.search(r"(norm|ln_\w)\.weight$", name, re.IGNORECASE) is not None
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5 + (1.0 if gain else 0.0))


def functional(outputs: Outputs) -> Tensor:
    """A random linear functional of all outputs but the attentions; the same for equal names and shapes."""
    total = torch.zeros(())
    for number, (name, values) in enumerate(sorted(outputs.items())):
        if not name.startswith("attention"):
            weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(100 + number))
            total = total + (values * weights).sum() / values.numel() ** 0.5
    return total


def _computed(case: Case, model: torch.nn.Module) -> tuple[Outputs, Outputs]:
    """A model's outputs and gradients on the batch."""
    model.zero_grad()
    outputs = case.computed_by(model, make_batch(case.lengths))
    functional(outputs).backward()
    named = model.named_parameters(remove_duplicate=False)  # a tied weight under all its names
    gradients = {name: parameter.grad for name, parameter in named if parameter.grad is not None}
    return {name: values.detach() for name, values in outputs.items()}, gradients


def allowed(name: str, theirs: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """How far each number of ours may be from the reference's."""
    # outputs are of order one, but for states that no norm has followed yet; a gradient is measured by its largest
    # number (that of a key's bias is zero)
    size = max(SMALLEST_GRADIENT, float(theirs.abs().max())) if name.startswith("gradient") else 1.0
    size = max(size, float(theirs.square().mean().sqrt())) if name.startswith("hidden state") else size
    return tolerance * (size + theirs.abs())


def differences(pairs: Iterable[tuple[str, Tensor, Tensor]], tolerance: float = TOLERANCE) -> tuple[dict[str, float], list[str]]:
    """The largest difference of each tensor of ours to the reference's as a share of what is allowed, and a line for each above 1."""
    found, problems = {}, []
    for name, ours, theirs in pairs:
        if ours.shape != theirs.shape:
            problems.append(f"{name}: shape {list(ours.shape)} instead of {list(theirs.shape)}")
            continue
        error = (ours - theirs).abs()
        found[name] = float((error / allowed(name, theirs, tolerance)).max())
        if not found[name] <= 1:  # neither is what is not a number
            problems.append(f"{name}: differs by {float(error.max()):.2g}, {found[name]:.2g} times what is allowed")
    return found, problems


def silent(outputs: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> list[str]:
    """Parts of a model in which a fault might not be seen: attention that chooses nothing, small numbers, idle parameters."""
    found = []
    for name, values in outputs.items():
        chooses, size = values.max() > 0.9, values.square().mean().sqrt() > 0.5
        found += [] if (chooses if name.startswith("attention") else size) else [name]
    for name, gradient in gradients.items():
        of_key = name.endswith(("key.bias", "k_lin.bias"))  # a constant on all products of a query changes nothing
        found += [] if of_key or gradient.abs().max() > SMALLEST_GRADIENT / 2 else [name]
    return found


@dataclass(frozen=True)
class Reference:
    """A saved model of `transformers`, with its outputs and gradients on the batch."""

    case: Case
    folder: Path
    outputs: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]
    rounded: Pairs
    """What the model of `transformers` itself computes in float32, beside that."""

    @classmethod
    def make(cls, case: Case, activation: str, folder: Path) -> "Reference":
        import transformers
        from transformers.masking_utils import eager_mask

        transformers.AttentionInterface.register("exact", exact_attention)
        transformers.AttentionMaskInterface.register("exact", eager_mask)
        settings = {**case.sizes, case.activation_key: activation, "num_labels": case.labels, "attn_implementation": case.attention}
        config = getattr(transformers, case.config_class)(**settings)
        model = getattr(transformers, case.class_name)(config).eval()
        for seed in range(3, 100):
            randomize(model, seed)
            outputs, gradients = _computed(case, model)
            exact_outputs, exact_gradients = _computed(case, deepcopy(model).double())
            pairs = [(name, values, exact_outputs[name]) for name, values in outputs.items()]
            pairs += [(f"gradient of {name}", values, exact_gradients[name]) for name, values in gradients.items()]
            if not differences(pairs, TOLERANCE / 4)[1] and not silent(exact_outputs, exact_gradients):
                break
        model.save_pretrained(folder)
        return cls(case, folder, exact_outputs, exact_gradients, pairs)

    def load(self) -> LoadedModel:
        return load_model(self.folder, self.case.heads)


def exact_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float, **options: Any
) -> tuple[Tensor, Tensor]:
    """The eager attention of `transformers` with a softmax in the dtype of the states."""
    scores = query @ key.transpose(2, 3) * scaling
    weights = (scores if attention_mask is None else scores + attention_mask).softmax(-1)
    return (weights @ value).transpose(1, 2), weights


def reference_forward(model: Any, batch: PackedBatch, choices: int = 1, segments: bool = True) -> Any:
    """What a model of `transformers` computes on the padded batch."""
    padded = {
        "input_ids": batch.to_padded() + (1 - batch.to_padded(np.ones(batch.tokens, dtype=np.int64))) * (model.config.pad_token_id or 0),
        "attention_mask": batch.to_padded(np.ones(batch.tokens, dtype=np.int64)),
    }
    if segments:
        padded["token_type_ids"] = batch.to_padded(batch.segment_ids)
    shape = (batch.sequences, -1) if choices == 1 else (batch.sequences // choices, choices, batch.lengths.max())
    tensors = {name: torch.from_numpy(values).reshape(shape) for name, values in padded.items()}
    return model(**tensors, output_hidden_states=True, output_attentions=True)


def forward(loaded: LoadedModel, inputs: ModelInputs, batch: PackedBatch) -> Outputs:
    """Ours, by the names that a case gives to the reference's."""
    model = loaded.model
    if loaded.heads:
        return model(inputs)
    layers = range(len(model.spec.layers))
    out: EncoderOutput = model.encoder(inputs, hidden_states=True, attentions=layers)
    outputs = {"hidden": out.hidden} | ({} if out.pooled is None else {"pooled": out.pooled})
    outputs |= {f"hidden state {i}": state for i, state in enumerate(out.hidden_states)}
    return outputs | {f"attention {n}.{i}": out.attentions[n][i] for n in layers for i in range(batch.sequences)}


def _inputs(batch: PackedBatch) -> ModelInputs:
    return model_inputs(batch, CPU)


def compared(reference: Reference, loaded: LoadedModel, prepare: Callable[[PackedBatch], ModelInputs] = _inputs) -> Pairs:
    """Our outputs and gradients beside the reference's; the outputs alone where no gradients are computed."""
    batch = make_batch(reference.case.lengths)
    outputs = forward(loaded, prepare(batch), batch)
    if outputs.keys() != reference.outputs.keys():
        raise DifferentError(f"outputs {sorted(outputs)} instead of {sorted(reference.outputs)}")
    pairs = [(name, values.detach(), reference.outputs[name]) for name, values in outputs.items()]
    if torch.is_grad_enabled():
        loaded.model.zero_grad()
        functional(outputs).backward()
        pairs += [(f"gradient of {name}", *both) for name, both in _gradients(reference, loaded).items()]
    return pairs


def compare(reference: Reference, loaded: LoadedModel, prepare: Callable[[PackedBatch], ModelInputs] = _inputs) -> dict[str, float]:
    """Raises `DifferentError` with every difference that is too large; returns those of `differences` otherwise."""
    found, problems = differences(compared(reference, loaded, prepare))
    if problems:
        raise DifferentError("\n".join(problems))
    return found


def untied(loaded: LoadedModel, named: Mapping[str, Any]) -> dict[str, Any]:
    """What the reference has under the names of our table, tied weights under one name."""
    again = {tie.theirs for tie in loaded.table.ties}
    short = {name.removeprefix(loaded.architecture.prefix): values for name, values in named.items()}
    return {name: values for name, values in short.items() if name not in again}


def _gradients(reference: Reference, loaded: LoadedModel) -> dict[str, tuple[Tensor, Tensor]]:
    """Our gradients under the reference's names, beside the reference's."""
    own = {
        name: (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).numpy()
        for name, parameter in loaded.model.named_parameters()
    }
    named = loaded.table.save(own)
    theirs = untied(loaded, reference.gradients)
    if named.keys() != theirs.keys():
        raise DifferentError(f"gradients of {sorted(named)} instead of {sorted(theirs)}")
    return {name: (torch.from_numpy(values), theirs[name]) for name, values in named.items()}
