"""GPT-2 equals `transformers`: with its own activation, with every fault noticed, and token by token in generation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bertworks.architectures import gpt2
from bertworks.checkpoints import open_tensors, write_tensors
from bertworks.checkpoints.table import renames
from bertworks.errors import CheckpointError
from bertworks.inference import LoadedModel, load_model
from bertworks.inference.generation import RunningBatch, streams_of
from bertworks.inference.sampling import GenerationSettings
from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.encoder import Encoder, EncoderOutput
from bertworks.nn.heads import Head
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.layer import Layer
from bertworks.nn.pattern import AttentionPattern
from tests.reference.comparison import CPU, DifferentError, Reference, compare
from tests.reference.gpt2 import GPT2_CASES

Make = Callable[[str, str], Reference]
Fault = Callable[[LoadedModel, pytest.MonkeyPatch], None]


@pytest.mark.parametrize("case", GPT2_CASES)
def test_outputs_and_gradients_are_the_references(reference: Make, case: str) -> None:
    made = reference(case, "gelu_new")
    assert compare(made, made.load())


# ---- planted faults


def layers(loaded: LoadedModel) -> Iterator[Layer]:
    return (layer for layer in loaded.model.encoder.layers if isinstance(layer, Layer))


def with_pattern(**changes: Any) -> Fault:
    def fault(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
        for layer in layers(loaded):
            layer.attention.pattern = replace(layer.attention.pattern, **changes)

    return fault


def with_hidden(change: Callable[[Tensor], Tensor]) -> Fault:
    """Attention by the slow way, with a changed mask (True is hidden)."""

    def attend(q: Tensor, k: Tensor, v: Tensor, q_layout: Any, k_layout: Any, pattern: AttentionPattern, dropout: Any) -> Tensor:
        out = []
        for start, stop in zip(k_layout.offsets, k_layout.offsets[1:], strict=False):
            scores = torch.einsum("qhd,khd->hqk", q[start:stop], k[start:stop]) * pattern.scale
            hidden = change(torch.ones(stop - start, stop - start).triu(1).bool())
            hidden[0, 0] = False
            out.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(hidden, float("-inf")).softmax(-1), v[start:stop]))
        return torch.cat(out)

    return lambda loaded, patch: patch.setattr("bertworks.nn.layer.attention", attend)


def transposed(part: str) -> Fault:
    """A square matrix as the file holds it."""

    def fault(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
        for name, parameter in loaded.model.named_parameters():
            if name.endswith(part):
                parameter.data = parameter.data.T.contiguous()

    return fault


def shifted(by: int) -> Fault:
    def fault(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
        real = Encoder.forward

        def forward(self: Encoder, inputs: ModelInputs, **options: Any) -> EncoderOutput:
            return real(self, replace(inputs, position_ids=inputs.position_ids + by), **options)

        patch.setattr(Encoder, "forward", forward)

    return fault


def with_layers(**changes: Any) -> Fault:
    def fault(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
        encoder = loaded.model.encoder
        encoder.spec = replace(encoder.spec, layers=tuple(replace(layer, **changes) for layer in encoder.spec.layers))

    return fault


def with_activation(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
    for layer in layers(loaded):
        layer.feed_forward.activation = ACTIVATIONS["gelu"]


def without_final_norm(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loaded.model.encoder.final_norm, "forward", lambda x: x)


def other_epsilon(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
    for module in loaded.model.modules():
        if hasattr(module, "epsilon"):
            module.epsilon = 1e-5


def parts_exchanged(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
    for layer in layers(loaded):
        q, k, v = layer.attention.qkv.weight.data.chunk(3)
        layer.attention.qkv.weight.data = torch.cat([k, q, v])


def scaled(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
    for layer in layers(loaded):
        layer.attention.pattern = replace(layer.attention.pattern, scale=layer.attention.pattern.scale * 1.01)


def first_hidden(hidden: Tensor) -> Tensor:
    """Also hides the first token from all others."""
    hidden[1:, 0] = True
    return hidden


def reading(reads: Any) -> Fault:
    def fault(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
        for _, head in loaded.model.head_items():
            head.spec = replace(head.spec, reads=reads)

    return fault


def untied(loaded: LoadedModel, patch: pytest.MonkeyPatch) -> None:
    """The output matrix is the embedding of the next id."""
    real = Head.score
    patch.setattr(Head, "score", lambda self, x, keys, weight, site: real(self, x, keys, weight.roll(1, 0), site))


FAULTS: dict[str, tuple[str, Fault]] = {
    "the mask shows one token ahead": ("causal_lm", with_hidden(lambda hidden: hidden & hidden.roll(1, 1))),
    "the mask hides the token itself": ("causal_lm", with_hidden(lambda hidden: hidden | torch.eye(len(hidden)).bool())),
    "the mask hides the first token": ("causal_lm", with_hidden(first_hidden)),
    "no mask": ("causal_lm", with_pattern(causal=False)),
    "a window": ("causal_lm", with_pattern(window=(19, 0))),
    "output of attention not transposed": ("causal_lm", transposed("attention.output.weight")),
    "exact GELU for its tanh approximation": ("causal_lm", with_activation),
    "norm after instead of before": ("causal_lm", with_layers(norm_position="after")),
    "final norm missing": ("causal_lm", without_final_norm),
    "epsilon": ("causal_lm", other_epsilon),
    "positions shifted": ("causal_lm", shifted(1)),
    "products scaled by 1 % too much": ("causal_lm", scaled),
    "products not scaled": ("causal_lm", with_pattern(scale=1.0)),
    "query and key exchanged": ("causal_lm", parts_exchanged),
    "output matrix off by one": ("causal_lm", untied),
    "class read from the first token": ("sequence_classification", reading("first")),
    "class read from the mean": ("sequence_classification", reading("mean")),
    "scale not divided by the layer": ("unusual", with_pattern(scale=1.0)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_noticed(reference: Make, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    case, fault = FAULTS[name]
    made = reference(f"gpt2 {case}", "gelu_new")
    loaded = made.load()
    fault(loaded, monkeypatch)
    with pytest.raises(DifferentError):
        compare(made, loaded)


def test_the_slow_way_with_the_right_mask_is_no_fault(reference: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reference("gpt2 causal_lm", "gelu_new")
    loaded = made.load()
    with_hidden(lambda hidden: hidden)(loaded, monkeypatch)
    assert compare(made, loaded)


def test_matrices_that_are_not_transposed_do_not_load(reference: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reference("gpt2 causal_lm", "gelu_new")
    monkeypatch.setattr(gpt2, "_transposed", renames)
    with pytest.raises(CheckpointError, match="wrong shape"):
        made.load()


# ---- folders


def test_folders_of_old_versions(reference: Make, tmp_path: Path) -> None:
    """Without the prefix, with the stored masks, and with the tied matrix under both names."""
    made = reference("gpt2 causal_lm", "gelu_new")
    with open_tensors(made.folder) as files:
        tensors = {name.removeprefix("transformer."): files[name].copy() for name in files}
    tensors["lm_head.weight"] = tensors["wte.weight"].copy()
    for layer in range(3):
        tensors[f"h.{layer}.attn.bias"] = np.tril(np.ones((1, 1, 40, 40), dtype=np.float32))
        tensors[f"h.{layer}.attn.masked_bias"] = np.float32([-1e4])
    (tmp_path / "config.json").write_bytes((made.folder / "config.json").read_bytes())
    write_tensors(tmp_path / "model.safetensors", tensors)
    loaded = load_model(tmp_path, made.case.heads)
    assert compare(made, loaded)
    (ignored,) = loaded.report.ignored.values()
    assert set(ignored) == {f"h.{layer}.attn.{name}" for layer in range(3) for name in ("bias", "masked_bias")}
    tensors["lm_head.weight"] += np.float32(0.1)
    write_tensors(tmp_path / "model.safetensors", tensors)
    with pytest.raises(CheckpointError, match=r"not tied +lm_head\.weight"):
        load_model(tmp_path, made.case.heads)


# ---- generation


@pytest.fixture(scope="module")
def generating(reference: Make) -> tuple[Any, LoadedModel]:
    """The same language model in both implementations, theirs in float64."""
    import transformers

    made = reference("gpt2 causal_lm", "gelu_new")
    theirs: nn.Module = transformers.GPT2LMHeadModel.from_pretrained(made.folder).eval().double()
    return theirs, made.load()


PROMPTS = [np.random.default_rng(i).integers(2, 97, length) for i, length in enumerate((3, 11, 1, 20, 11, 7))]


def greedy(loaded: LoadedModel, prompts: Sequence[Any], steps: int) -> list[list[int]]:
    settings = GenerationSettings(temperature=0)
    batch = RunningBatch(loaded.model, "words", prompts, settings, streams_of(prompts), device=CPU, vocabulary=97)
    return np.array([batch.step() for _ in range(steps)]).T.tolist()


def test_greedy_continuations_are_the_references(generating: tuple[Any, LoadedModel]) -> None:
    """For a batch of unequal prompts, which the reference pads on the left."""
    theirs, ours = generating
    longest = max(map(len, PROMPTS))
    padded = np.array([np.concatenate([np.zeros(longest - len(prompt), dtype=np.int64), prompt]) for prompt in PROMPTS])
    mask = np.array([np.arange(longest) >= longest - len(prompt) for prompt in PROMPTS]).astype(np.int64)
    made = theirs.generate(
        torch.from_numpy(padded),
        attention_mask=torch.from_numpy(mask),
        max_new_tokens=20,
        min_new_tokens=20,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
        output_scores=True,
        return_dict_in_generate=True,
    )
    best_two = torch.stack(made.scores).topk(2).values
    assert float((best_two[..., 0] - best_two[..., 1]).min()) > 1e-3  # no tie that rounding decides
    continued = made.sequences[:, longest:].tolist()
    assert len({tuple(ids) for ids in continued}) == len(PROMPTS)
    assert greedy(ours, PROMPTS, 20) == continued


def test_a_cache_changes_nothing(generating: tuple[Any, LoadedModel]) -> None:
    _, ours = generating
    for prompt, continued in zip(PROMPTS, greedy(ours, PROMPTS, 12), strict=True):
        assert greedy(ours, [prompt], 12) == [continued]
        again = list(prompt)
        for token in continued:
            assert greedy(ours, [np.array(again)], 1) == [[token]]
            again.append(token)
