"""The comparison with `transformers` that a fault must not pass.

A random model is made by `transformers`, with weights of standard deviation 0.5, random biases and random norm gains:
nothing in it is zero, one or small, so nothing can be left out unseen. Both sides compute outputs, and the gradients
of a random linear functional of all of them, on pairs of unequal length in one batch. Ours computes in float32; the
reference computes in float64, because such a model multiplies float32's rounding by a thousand, and both sides'
rounding together would need a wider tolerance.
"""

from collections.abc import Callable, Mapping
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


def at_tokens(padded: Tensor, batch: PackedBatch) -> Tensor:
    """The rows of the tokens of a padded output."""
    return torch.cat([row[:length] for row, length in zip(padded, batch.lengths.tolist(), strict=True)])


def _bare(out: Any, batch: PackedBatch) -> Outputs:
    outputs = {"hidden": at_tokens(out.last_hidden_state, batch), "pooled": out.pooler_output}
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


def make_batch() -> PackedBatch:
    """Pairs of unequal length; no id 0, whose gradient the reference leaves out as that of padding."""
    generator = np.random.default_rng(5)
    ids = [generator.integers(1, SIZES["vocab_size"], n) for n in LENGTHS]
    segments = [(np.arange(n) >= max(1, n // 3)).astype(np.int64) for n in LENGTHS]
    words = np.where(generator.random(sum(LENGTHS)) < 0.4, generator.integers(1, SIZES["vocab_size"], sum(LENGTHS)), IGNORED)
    return PackedBatch.from_sequences(ids, segments, token_targets={"words": words})


def randomize(model: torch.nn.Module, seed: int = 3) -> None:
    """Weights and biases of standard deviation 0.5; gains around 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = "LayerNorm" in name and name.endswith("weight")
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5 + (1.0 if gain else 0.0))


def functional(outputs: Outputs) -> Tensor:
    """A random linear functional of all outputs but the attentions; the same for equal names and shapes."""
    total = torch.zeros(())
    for number, (name, values) in enumerate(sorted(outputs.items())):
        if not name.startswith("attention"):
            weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(100 + number))
            total = total + (values * weights).sum() / values.numel() ** 0.5
    return total


@dataclass(frozen=True)
class Reference:
    """A saved model of `transformers`, with its outputs and gradients on the batch."""

    case: Case
    folder: Path
    outputs: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]

    @classmethod
    def make(cls, case: Case, activation: str, folder: Path) -> "Reference":
        import transformers

        config = transformers.BertConfig(**SIZES, hidden_act=activation, num_labels=case.labels, attn_implementation="eager")
        model = getattr(transformers, case.class_name)(config).eval()
        randomize(model)
        model.save_pretrained(folder)
        batch = make_batch()
        outputs = case.theirs(reference_forward(model.double(), batch, case.choices), batch)
        functional(outputs).backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        return cls(case, folder, {name: values.detach() for name, values in outputs.items()}, gradients)

    def load(self) -> LoadedModel:
        return load_model(self.folder, self.case.heads)


def reference_forward(model: Any, batch: PackedBatch, choices: int = 1) -> Any:
    """What a model of `transformers` computes on the padded batch."""
    padded = {
        "input_ids": batch.to_padded(),
        "token_type_ids": batch.to_padded(batch.segment_ids),
        "attention_mask": batch.to_padded(np.ones(batch.tokens, dtype=np.int64)),
    }
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
    assert out.pooled is not None
    outputs = {"hidden": out.hidden, "pooled": out.pooled}
    outputs |= {f"hidden state {i}": state for i, state in enumerate(out.hidden_states)}
    return outputs | {f"attention {n}.{i}": out.attentions[n][i] for n in layers for i in range(batch.sequences)}


def compare(
    reference: Reference, loaded: LoadedModel, prepare: Callable[[PackedBatch], ModelInputs] = lambda batch: model_inputs(batch, CPU)
) -> dict[str, float]:
    """Raises `DifferentError` with every difference; returns the largest difference of each tensor otherwise."""
    batch = make_batch()
    outputs = forward(loaded, prepare(batch), batch)
    loaded.model.zero_grad()
    functional(outputs).backward()
    if outputs.keys() != reference.outputs.keys():
        raise DifferentError(f"outputs {sorted(outputs)} instead of {sorted(reference.outputs)}")
    pairs = [(name, values.detach(), reference.outputs[name]) for name, values in outputs.items()]
    pairs += [(f"gradient of {name}", *both) for name, both in _gradients(reference, loaded).items()]
    differences, problems = {}, []
    for name, ours, theirs in pairs:
        if ours.shape != theirs.shape:
            problems.append(f"{name}: shape {list(ours.shape)} instead of {list(theirs.shape)}")
            continue
        # outputs are of order one; a gradient is measured by its largest number (that of a key's bias is zero)
        size = max(SMALLEST_GRADIENT, float(theirs.abs().max())) if name.startswith("gradient") else 1.0
        error = (ours - theirs).abs() / size
        differences[name] = float(error.max())
        if not bool((error <= TOLERANCE * (1 + theirs.abs() / size)).all()):
            problems.append(f"{name}: differs by {differences[name]:.2g}")
    if problems:
        raise DifferentError("\n".join(problems))
    return differences


def _gradients(reference: Reference, loaded: LoadedModel) -> dict[str, tuple[Tensor, Tensor]]:
    """Our gradients under the reference's names, beside the reference's."""
    own = {
        name: (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).numpy()
        for name, parameter in loaded.model.named_parameters()
    }
    named = loaded.table.save(own)
    prefix = loaded.architecture.prefix
    theirs = {name.removeprefix(prefix): values for name, values in reference.gradients.items()}
    if named.keys() != theirs.keys():
        raise DifferentError(f"gradients of {sorted(named)} instead of {sorted(theirs)}")
    return {name: (torch.from_numpy(values), theirs[name]) for name, values in named.items()}
