"""ModernBERT: every planted fault makes the comparison with `transformers` fail; both generations of config.json are read."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertworks.inference import LoadedModel, load_model
from bertworks.nn import rotary
from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.encoder import Encoder
from bertworks.nn.heads import Head
from bertworks.nn.inputs import ModelInputs, model_inputs
from bertworks.nn.layer import FeedForward
from bertworks.nn.norm import Norm
from bertworks.nn.pattern import Part
from bertworks.nn.rotary import Rotation
from tests.reference.comparison import CPU, DifferentError, Reference, compare, forward, make_batch
from tests.reference.test_faults import Fault, Patch, exchange_rows, layer_specs, layers, zero

Make = Callable[[str], Reference]
FAULTS: dict[str, tuple[str, Fault]] = {}


def planted(name: str, case: str = "bare") -> Callable[[Fault], Fault]:
    """Registers a fault under a name, with the case that must notice it."""

    def register(fault: Fault) -> Fault:
        FAULTS[name] = (case, fault)
        return fault

    return register


def windows(left: int, right: int) -> Fault:
    """Other windows, counted from the right ones."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        for layer in layers(loaded):
            own = layer.attention.pattern
            if own.window is not None:
                layer.attention.pattern = replace(own, window=(own.window[0] + left, own.window[1] + right))

    return fault


def bases(change: Callable[[float, bool], float]) -> Fault:
    """Other rotary bases; `change` is told the right one, and whether the layer is local."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        encoder = loaded.model.encoder
        attentions = [
            replace(s.attention, rotary_base=change(s.attention.rotary_base, bool(s.attention.window))) for s in encoder.spec.layers
        ]
        changed = tuple(replace(spec, attention=attention) for spec, attention in zip(encoder.spec.layers, attentions, strict=True))
        encoder.spec = replace(encoder.spec, layers=changed)

    return fault


def turned_by(change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Fault:
    return lambda loaded, patch: patch.setattr(Rotation, "turn", lambda self, x: change(x, self.cosines, self.sines))


def interleaved(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Neighbouring features as pairs (the order of the paper)."""
    first, second = x[..., ::2], x[..., 1::2]
    return torch.stack([first * cosines - second * sines, second * cosines + first * sines], -1).flatten(-2)


def at_positions(change: Callable[[Tensor], Tensor]) -> Fault:
    def fault(loaded: LoadedModel, patch: Patch) -> None:
        real = Encoder.forward
        changed = lambda self, inputs, **o: real(self, replace(inputs, position_ids=change(inputs.position_ids)), **o)  # noqa: E731
        patch.setattr(Encoder, "forward", changed)

    return fault


def reading(reads: Any) -> Fault:
    def fault(loaded: LoadedModel, patch: Patch) -> None:
        for _, head in loaded.model.head_items():
            head.spec = replace(head.spec, reads=reads)

    return fault


def of_head(change: Callable[[Head, Patch], object]) -> Fault:
    def fault(loaded: LoadedModel, patch: Patch) -> None:
        for _, head in loaded.model.head_items():
            change(head, patch)

    return fault


def without(norm: Callable[[LoadedModel], nn.Module]) -> Fault:
    return lambda loaded, patch: patch.setattr(norm(loaded), "forward", lambda x: x)


LAYER = "encoder.layers.1."
FAULTS |= {
    "rotary bases swapped": ("bare", bases(lambda base, local: 160_000.0 if local else 10_000.0)),
    "one rotary base for all layers": ("bare", bases(lambda base, local: 160_000.0)),
    "one rotary base for all layers, the local one": ("bare", bases(lambda base, local: 10_000.0)),
    "rotary base of 1 % more": ("wide", bases(lambda base, local: base * 1.01)),
    "window one longer to the left": ("bare", windows(1, 0)),
    "window one longer to the right": ("bare", windows(0, 1)),
    "window one shorter to the left": ("bare", windows(-1, 0)),
    "window one shorter to the right": ("bare", windows(0, -1)),
    "wide window one longer to the left": ("wide", windows(1, 0)),
    "wide window one longer to the right": ("wide", windows(0, 1)),
    "wide window one shorter to the left": ("wide", windows(-1, 0)),
    "wide window one shorter to the right": ("wide", windows(0, -1)),
    "window of 128 to each side": ("wide", windows(64, 64)),
    "rotation to the other side": ("bare", turned_by(lambda x, c, s: rotary._Turn.apply(x, c, -s))),
    "rotation of neighbouring features": ("bare", turned_by(interleaved)),
    "no rotation": ("bare", turned_by(lambda x, c, s: x)),
    "positions counted through the batch": ("bare", at_positions(lambda positions: torch.arange(len(positions)).flip(0))),
    "positions doubled": ("bare", at_positions(lambda positions: 2 * positions)),
    "gate and up swapped": ("bare", exchange_rows(f"{LAYER}feed_forward.up.weight", (1, 0))),
    "query and key swapped": ("bare", exchange_rows(f"{LAYER}attention.qkv.weight", (1, 0, 2))),
    "key and value swapped": ("bare", exchange_rows(f"{LAYER}attention.qkv.weight", (0, 2, 1))),
    "norm after instead of before": ("bare", layer_specs(norm_position="after")),
    "final norm missing": ("bare", without(lambda loaded: loaded.model.encoder.final_norm)),
    "embedding norm missing": ("bare", without(lambda loaded: loaded.model.encoder.embeddings.norm)),
    "norm of a layer's attention missing": ("bare", without(lambda loaded: layers(loaded)[1].attention_norm)),
    "norm of the head missing": ("masked_lm", of_head(lambda head, patch: patch.setattr(head.norm, "forward", lambda x: x))),
    "activation of the head missing": ("masked_lm", of_head(lambda h, p: setattr(h, "spec", replace(h.spec, activation=None)))),
    "the wrong activation of the head": ("biased masked_lm", of_head(lambda h, p: setattr(h, "spec", replace(h.spec, activation="gelu")))),
    "the mean instead of the first token": ("sequence_classification", reading("mean")),
    "the first token instead of the mean": ("mean", reading("first")),
    "the mean of choices instead of their first tokens": ("multiple_choice", reading("mean")),
    "the last token": ("sequence_classification", reading("last")),
    "start and end exchanged": ("question_answering", exchange_rows("heads.span.output.weight", (1, 0))),
    "the last layer sees all": ("local last", windows(1000, 1000)),
    "decoder bias dropped": ("masked_lm", zero("heads.words.bias")),
    **{
        f"{name} dropped": (case, zero(name))
        for case, names in {
            "biased": [
                "encoder.embeddings.norm.bias",
                "encoder.final_norm.bias",
                *(f"{LAYER}{part}.bias" for part in ("attention_norm", "attention.output", "feed_forward_norm", "feed_forward.up")),
                f"{LAYER}feed_forward.down.bias",
                f"{LAYER}attention.qkv.bias",
            ],
            "biased masked_lm": ["heads.words.dense.bias", "heads.words.norm.bias"],
            "mean": ["heads.label.dense.bias", "heads.label.norm.bias", "heads.label.output.bias"],
            "token_classification": ["heads.tags.output.bias"],
        }.items()
        for name in names
    },
}


@planted("products scaled by one per cent too much")
def _scale(loaded: LoadedModel, patch: Patch) -> None:
    for layer in layers(loaded):
        layer.attention.pattern = replace(layer.attention.pattern, scale=layer.attention.pattern.scale * 1.01)


@planted("global layers have windows and local ones none")
def _kinds_exchanged(loaded: LoadedModel, patch: Patch) -> None:
    for layer in layers(loaded):
        window = (4, 4) if layer.attention.pattern.window is None else None
        layer.attention.pattern = replace(layer.attention.pattern, window=window)


@planted("the first layer normalizes what attention sees")
def _first_norm(loaded: LoadedModel, patch: Patch) -> None:
    patch.setattr(layers(loaded)[0].attention_norm, "forward", lambda x: F.layer_norm(x, x.shape[-1:], eps=0.01))


@planted("keys are not turned")
def _keys_unturned(loaded: LoadedModel, patch: Patch) -> None:
    real, seen = Rotation.turn, []

    def turn(self: Rotation, x: Tensor) -> Tensor:
        seen.append(x)
        return real(self, x) if len(seen) % 2 else x

    patch.setattr(Rotation, "turn", turn)


@planted("tanh for exact GELU")
def _tanh(loaded: LoadedModel, patch: Patch) -> None:
    for layer in layers(loaded):
        layer.feed_forward.activation = ACTIVATIONS["gelu_tanh"]


@planted("the gate is activated too")
def _both_activated(loaded: LoadedModel, patch: Patch) -> None:
    def forward_(self: FeedForward, x: Tensor, *rest: Any) -> Tensor:
        first, second = self.up(x).chunk(2, -1)
        return self.down(self.activation(first) * self.activation(second))  # type: ignore[no-any-return]

    patch.setattr(FeedForward, "forward", forward_)


@planted("epsilon")
def _epsilon(loaded: LoadedModel, patch: Patch) -> None:
    for module in loaded.model.modules():
        if isinstance(module, Norm):
            module.epsilon = 1e-5


@planted("keys between two stretches get one stretch's gradient")
def _overwritten(loaded: LoadedModel, patch: Patch) -> None:
    patch.setattr(Part, "add", Part.put)


@planted("masked-LM decoder not tied: its part of the embedding's gradient is lost", "masked_lm")
def _not_tied(loaded: LoadedModel, patch: Patch) -> None:
    real = Head.forward
    patch.setattr(Head, "forward", lambda self, out, inputs, name, weight, site: real(self, out, inputs, name, weight.detach(), site))


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_noticed(reference: Make, monkeypatch: Patch, name: str) -> None:
    case, fault = FAULTS[name]
    made = reference(f"modernbert {case}")
    loaded = made.load()
    fault(loaded, monkeypatch)
    with pytest.raises(DifferentError):
        compare(made, loaded)


@pytest.mark.parametrize("site", ["embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"])
def test_every_dropout_acts(reference: Make, tmp_path: Path, site: str) -> None:
    made = reference("modernbert sequence_classification")
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    settings = json.loads((tmp_path / "config.json").read_text())
    sites = ("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout")
    for value in (0.2, 0.0):
        (tmp_path / "config.json").write_text(json.dumps({**settings, **dict.fromkeys(sites, 0.0), site: value}))
        loaded = load_model(tmp_path, made.case.heads)

        def dropped(batch: Any) -> ModelInputs:
            return model_inputs(batch, CPU, dropout=(0, 0))

        if value:
            with pytest.raises(DifferentError):
                compare(made, loaded, dropped)
        else:
            assert compare(made, loaded, dropped)


OLD = {
    "sequence_classification": {"global_attn_every_n_layers": 2, "global_rope_theta": 160_000.0, "local_rope_theta": 10_000.0},
    "wide": {"global_attn_every_n_layers": 2},
}


@pytest.mark.parametrize("case", OLD)
def test_folders_of_transformers_4(reference: Make, tmp_path: Path, case: str) -> None:
    made = reference(f"modernbert {case}")
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert {"layer_types", "rope_parameters"} <= settings.keys()
    old = {name: value for name, value in settings.items() if name not in ("layer_types", "rope_parameters")}
    (tmp_path / "config.json").write_text(json.dumps({**old, **OLD[case]}))
    assert compare(made, load_model(tmp_path, made.case.heads))


@pytest.mark.parametrize("case", ["wide", "mean"])
def test_half_precision_stays_near(reference: Make, case: str) -> None:
    """Weights of standard deviation 0.1: those of the comparison multiply rounding by a thousand."""
    made = reference(f"modernbert {case}")
    loaded, batch = made.load(), make_batch(made.case.lengths)
    arrays = loaded.model.arrays()
    loaded.model.set_arrays({name: values * (1.0 if values.ndim == 1 else 0.2) for name, values in arrays.items()})

    def computed(dtype: torch.dtype) -> list[Tensor]:
        loaded.model.compute_in(dtype).zero_grad()
        out = forward(loaded, model_inputs(batch, CPU), batch)
        values = out["hidden" if case == "wide" else "label"]
        (values.float() * torch.linspace(-1, 1, values.numel()).view_as(values)).sum().backward()
        return [values.detach().float(), *(p.grad.clone() for p in loaded.model.parameters() if p.grad is not None)]

    half, exact = (computed(dtype) for dtype in (torch.bfloat16, torch.float32))
    assert (half[0] - exact[0]).norm() < 0.05 * exact[0].norm()  # 2⁻⁹ a rounding, some dozens of roundings
    gradients, wanted = (torch.cat([g.flatten() for g in side[1:]]) for side in (half, exact))
    assert (gradients - wanted).norm() < 0.05 * wanted.norm()
    assert not torch.equal(half[0], exact[0])
