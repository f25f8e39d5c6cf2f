"""The encoder and its heads: invariances, initialization, precision, dropout."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertworks.errors import SettingsError
from bertworks.nn.heads import IGNORED
from bertworks.nn.model import Model
from bertworks.nn.norm import Norm
from bertworks.spec import HeadSpec
from tests.nn.small import VOCABULARY, batch, encoder, inputs, model

HEADS = {
    "label": HeadSpec(reads="pooled", outputs=3, dropout=0.2),
    "tags": HeadSpec(reads="tokens", outputs=4, dropout=0.2),
    "score": HeadSpec(reads="mean", outputs=1, dense=9, activation="relu", input_dropout=0.1),
}
lengths_of = st.lists(st.integers(1, 20), min_size=1, max_size=6)


def words(lengths: Sequence[int], seed: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    tokens = sum(lengths)
    targets = np.where(generator.random(tokens) < 0.5, generator.integers(0, VOCABULARY, tokens), IGNORED)
    targets[0] = 5
    return {"words": targets}


@settings(max_examples=30, deadline=None)
@given(lengths=lengths_of, dropped=st.booleans(), data=st.data())
def test_the_other_sequences_do_not_matter(lengths: list[int], dropped: bool, data: st.DataObject) -> None:
    made = model(encoder(dropout=0.2), HEADS, spread=0.1)
    packed = batch(lengths)
    order = data.draw(st.permutations(range(len(lengths))))
    cut = data.draw(st.integers(1, len(lengths)))
    chosen = order[:cut]
    key = (3, 8) if dropped else None
    together, apart = made(inputs(packed, key)), made(inputs(packed.take(chosen), key))
    rows = np.concatenate([np.arange(packed.offsets[i], packed.offsets[i + 1]) for i in chosen])
    for name, scores in apart.items():
        torch.testing.assert_close(scores, together[name][rows if name == "tags" else chosen], atol=2e-6, rtol=2e-6)


@settings(max_examples=20, deadline=None)
@given(lengths=lengths_of, cuts=st.sets(st.integers(1, 5)))
def test_any_split_gives_the_same_gradient(lengths: list[int], cuts: set[int]) -> None:
    """With dropout on: its numbers belong to the sequences, not to the batches."""
    packed = batch(lengths)
    gradients: list[dict[str, Tensor]] = []
    edges = [0, *sorted(c for c in cuts if c < len(lengths)), len(lengths)]
    parts = [range(a, b) for a, b in itertools.pairwise(edges)]
    for split in ([range(len(lengths))], parts):
        made = model(encoder(dropout=0.2), HEADS, spread=0.1)
        for part in split:
            scores = made(inputs(packed.take(part), (3, 8)))
            torch.stack([values.square().sum() for values in scores.values()]).sum().backward()
        gradients.append({name: p.grad for name, p in made.named_parameters() if p.grad is not None})
    whole, split_up = gradients
    for name, gradient in whole.items():
        largest = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(split_up[name] / largest, gradient / largest, atol=1e-6, rtol=1e-6)


def test_dropout_happens_where_there_are_keys_and_nowhere_else() -> None:
    made, packed = model(encoder(dropout=0.2), HEADS), batch()
    plain, again, dropped, same, later = (made(inputs(packed, key)) for key in (None, None, (1, 1), (1, 1), (1, 2)))
    made.eval()
    evaluated = made(inputs(packed, (1, 1)))
    for name, scores in plain.items():
        assert torch.equal(scores, again[name])
        assert torch.equal(dropped[name], same[name])
        assert torch.equal(dropped[name], evaluated[name])  # there is no mode
        assert not torch.equal(scores, dropped[name])
        assert not torch.equal(dropped[name], later[name])


def test_what_heads_read() -> None:
    spec = encoder()
    reads = {kind: HeadSpec(reads=kind, outputs=2) for kind in ("tokens", "first", "last", "mean", "pooled", "targets")}
    lengths = (4, 4, 7, 1)
    packed = replace(batch(lengths), token_targets={"targets": words(lengths)["words"]})
    made = model(spec, reads)
    given_ = inputs(packed)
    encoded = made.encoder(given_)
    scores = made(given_)
    assert encoded.pooled is not None
    parts = encoded.hidden.split(lengths)
    wanted = {
        "tokens": encoded.hidden,
        "first": torch.stack([part[0] for part in parts]),
        "last": torch.stack([part[-1] for part in parts]),
        "mean": torch.stack([part.mean(0) for part in parts]),
        "pooled": encoded.pooled,
        "targets": encoded.hidden[torch.from_numpy(packed.token_targets["targets"] != IGNORED)],
    }
    for name, head in made.head_items():
        assert head.output is not None
        torch.testing.assert_close(scores[name], wanted[name] @ head.output.weight.T + head.output.bias)


def test_targets_of_a_head_are_those_of_its_rows() -> None:
    lengths = (4, 4, 7, 1)
    tied = HeadSpec(reads="targets", outputs=VOCABULARY, dense=14, activation="gelu", tied=True)
    made = model(encoder(), {"words": tied})
    weights = np.linspace(0, 1, 16, dtype=np.float32)
    given_ = inputs(replace(batch(lengths), token_targets={**words(lengths), "words_weights": weights}))
    (_, head), *_ = made.head_items()
    labels, row_weights = head.targets(given_, "words")
    seen = words(lengths)["words"] != IGNORED
    assert labels.tolist() == words(lengths)["words"][seen].tolist()
    assert row_weights is not None
    assert np.array_equal(row_weights.numpy(), weights[seen])
    assert made(given_)["words"].shape == (seen.sum(), VOCABULARY)


def test_initialization_depends_on_seed_and_name_alone() -> None:
    small, large = Model(encoder(1)), Model(encoder(2), HEADS)
    small.initialize(7)
    large.initialize(7)
    arrays = large.arrays()
    for name, values in small.arrays().items():
        assert np.array_equal(values, arrays[name])
    norms = {name for name, module in large.named_modules() if isinstance(module, Norm)}
    for name, values in arrays.items():
        owner, part = name.rsplit(".", 1)
        if owner in norms or part == "bias":
            assert (values == (1.0 if owner in norms and part == "weight" else 0.0)).all(), name
        elif values.size > 100:
            assert values.std() == pytest.approx(0.02, rel=0.25), name
            assert abs(values.mean()) < 0.005
    large.initialize(8)
    assert not np.array_equal(large.arrays()["encoder.layers.0.attention.qkv.weight"], arrays["encoder.layers.0.attention.qkv.weight"])
    one = {"heads.tags.output.weight"}
    before = large.arrays()
    large.initialize(7, only=one)
    changed = {name for name, values in large.arrays().items() if not np.array_equal(values, before[name])}
    assert changed == one


def test_reinitializing_the_top() -> None:
    made = model(encoder(3), HEADS)
    before = made.arrays()
    made.reinitialize_top(0, seed=1)
    assert all(np.array_equal(values, before[name]) for name, values in made.arrays().items())
    made.reinitialize_top(2, seed=1)
    changed = {name for name, values in made.arrays().items() if not np.array_equal(values, before[name])}
    wanted = {name for name in before if name.startswith(("encoder.layers.1.", "encoder.layers.2.", "encoder.pooler."))}
    assert changed == wanted
    with pytest.raises(SettingsError, match="has 3 layers"):
        made.reinitialize_top(4, seed=1)


def test_arrays_are_copies_both_ways() -> None:
    made = model(encoder(), HEADS)
    arrays = made.arrays()
    name = "encoder.embeddings.token.weight"
    arrays[name] += 1
    assert not np.array_equal(arrays[name], made.arrays()[name])
    made.set_arrays({name: arrays[name]})
    assert np.array_equal(arrays[name], made.arrays()[name])
    arrays[name] += 1
    assert not np.array_equal(arrays[name], made.arrays()[name])


@pytest.mark.parametrize("dropped", [False, True])
def test_half_precision_computes_near_float32(dropped: bool) -> None:
    packed, key = batch((5, 5, 12, 3)), (1, 1) if dropped else None
    exact, half = model(encoder(dropout=0.1), HEADS), model(encoder(dropout=0.1), HEADS).compute_in(torch.bfloat16)
    results = []
    for made in (exact, half):
        scores = made(inputs(packed, key))
        torch.stack([values.sum() for values in scores.values()]).sum().backward()
        results.append(scores)
    for name in HEADS:
        assert results[1][name].dtype == torch.float32
        assert not torch.equal(*(r[name] for r in results))
        torch.testing.assert_close(results[1][name], results[0][name], atol=0.1, rtol=0.05)
    for (name, a), b in zip(exact.named_parameters(), half.parameters(), strict=True):
        assert b.dtype == torch.float32
        assert a.grad is not None
        assert b.grad is not None
        assert b.grad.dtype == torch.float32
        if a.grad.norm() > 1e-3:  # a key's bias has none
            assert torch.cosine_similarity(a.grad.flatten(), b.grad.flatten(), 0) > 0.98, name
    assert half.encoder(inputs(packed), hidden_states=True).hidden.dtype == torch.bfloat16


def test_half_precision_copies_follow_their_parameters() -> None:
    made, packed = model(encoder(), HEADS).compute_in(torch.bfloat16), batch()

    def scores() -> Tensor:
        return made(inputs(packed))["tags"].detach()

    with torch.inference_mode():
        first = scores().clone()
    made(inputs(packed))["tags"].sum().backward()  # a copy made while predicting serves training
    weight = made.encoder.layers[0].feed_forward.up.weight
    changes = [
        lambda: torch.optim.SGD(made.parameters(), lr=0.1).step(),
        lambda: made.set_arrays({"encoder.layers.0.feed_forward.up.weight": np.full((22, 14), 0.5, dtype=np.float32)}),
        lambda: setattr(weight, "data", torch.full((22, 14), -0.25)),
        lambda: made.load_state_dict(model(encoder(), HEADS, seed=5).state_dict()),
    ]
    seen = [first]
    for change in changes:
        change()
        seen.append(scores())
        fresh = Model(encoder(), HEADS).compute_in(torch.bfloat16)
        fresh.set_arrays(made.arrays())
        assert torch.equal(fresh(inputs(packed))["tags"], seen[-1])
        assert not torch.equal(seen[-1], seen[-2])
