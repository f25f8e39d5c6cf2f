"""Draws by a counter: their frequencies, what is never drawn, what they do not depend on; and a model of generator and discriminator."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bertworks.batch import PackedBatch
from bertworks.data.counter import mixed
from bertworks.nn.dropout import DropoutKeys
from bertworks.nn.heads import IGNORED
from bertworks.nn.inputs import ModelInputs, model_inputs
from bertworks.nn.layer import Layer
from bertworks.nn.replaced_tokens import ReplacedTokens, _gumbel, draw
from bertworks.spec import HeadSpec
from bertworks.training.optimizer import blocks_of
from tests.nn import small

ROWS = 60_000


def keys_of(rows: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(mixed(seed, np.arange(rows)).view(np.int64))


def drawn_often(scores: Tensor, penalty: Tensor, rows: int = ROWS) -> Tensor:
    """How often each id is drawn by so many keys."""
    return torch.bincount(draw(scores.expand(rows, -1), keys_of(rows), penalty), minlength=len(scores))


@pytest.mark.parametrize("vocabulary", [1, 2, 7, 16, 37])
def test_frequencies_follow_the_softmax(vocabulary: int) -> None:
    scores = torch.randn(vocabulary, generator=torch.Generator().manual_seed(vocabulary)) * 2
    counts, expected = drawn_often(scores, torch.zeros(vocabulary)), ROWS * scores.softmax(0)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    free = vocabulary - 1
    assert statistic < free + 4 * (2 * free) ** 0.5 + 1e-3, "Pearson's chi-square: its mean and four standard deviations"


def test_a_wrong_distribution_is_noticed() -> None:
    scores = torch.randn(37, generator=torch.Generator().manual_seed(37)) * 2
    expected = ROWS * (scores * 1.03).softmax(0)
    assert float(((drawn_often(scores, torch.zeros(37)) - expected) ** 2 / expected).sum()) > 36 + 4 * 72**0.5


def test_what_must_not_be_drawn_is_not_however_probable() -> None:
    scores, penalty = torch.zeros(29), torch.zeros(29)
    forbidden = [0, 1, 2, 3, 4, 5, 11, 28]  # the whole first block, for one
    scores[forbidden], penalty[forbidden] = 50.0, -torch.inf
    counts = drawn_often(scores, penalty)
    assert not counts[forbidden].any()
    allowed = counts[counts > 0]
    assert len(allowed) == 21
    assert float(((allowed - ROWS / 21) ** 2 / (ROWS / 21)).sum()) < 20 + 4 * 40**0.5
    penalty[:] = -torch.inf
    penalty[17] = 0.0
    assert drawn_often(scores, penalty)[17] == ROWS, "one id that may be drawn, among blocks of others"


def test_a_draw_depends_on_its_own_row_and_key_alone() -> None:
    scores = torch.randn(4000, 301, generator=torch.Generator().manual_seed(1))
    keys, penalty = keys_of(4000), torch.zeros(301)
    together = draw(scores, keys, penalty)
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(2))
    assert torch.equal(draw(scores[order], keys[order], penalty), together[order])
    assert torch.equal(torch.cat([draw(scores[i : i + 1], keys[i : i + 1], penalty) for i in range(20)]), together[:20])
    assert (draw(scores, keys_of(4000, seed=1), penalty) != together).float().mean() > 0.9
    assert draw(scores[:0], keys[:0], penalty).shape == (0,)


def test_rounding_rarely_changes_a_draw() -> None:
    """Where a batch is cut in another way, scores differ so."""
    scores = torch.randn(20_000, 1009, generator=torch.Generator().manual_seed(3))
    noise = torch.randn(scores.shape, generator=torch.Generator().manual_seed(4)) * 1e-6
    keys, penalty = keys_of(20_000), torch.zeros(1009)
    assert int((draw(scores, keys, penalty) != draw(scores + noise, keys, penalty)).sum()) <= 1


def test_noise_is_finite_and_fine() -> None:
    noise = _gumbel(keys_of(1000), 1000)
    assert noise.isfinite().all()
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.005), "Euler's constant"
    assert float(noise.var()) == pytest.approx(np.pi**2 / 6, rel=0.01)
    highest = noise.flatten().sort(descending=True).values[:1000]
    assert len(highest.unique()) == 1000, "where the numbers count, they are not those of a coarse grid"


# ---- the model


def make_model(dropout: float = 0.0) -> ReplacedTokens:
    wide = small.encoder(dropout=dropout, pooler=None)
    narrow = replace(wide, hidden=6, projection=True, layers=(small.layer(dropout),))
    discriminator = small.model(wide, {"detector": HeadSpec("tokens", 1, dense=14, activation="gelu")})
    predictor = HeadSpec("targets", small.VOCABULARY, dense=14, activation="gelu", norm=wide.embedding.norm, tied=True)
    return ReplacedTokens(discriminator, small.model(narrow, {"words": predictor}, seed=2), "detector", np.arange(5, 29))


def make_inputs(dropout: tuple[int, int] | None = None) -> tuple[PackedBatch, ModelInputs]:
    plain = small.batch((6, 6, 9, 1))
    hidden = np.arange(plain.tokens) % 3 == 1
    keys = mixed(0, np.repeat(plain.keys, plain.lengths), plain.position_ids).view(np.int64)
    targets = {"words": np.where(hidden, plain.input_ids, IGNORED), "detector": keys}
    batch = replace(plain, input_ids=np.where(hidden, 3, plain.input_ids), token_targets=targets)
    return batch, model_inputs(batch, small.CPU, dropout)


def test_what_was_drawn_and_equals_the_true_token_counts_as_original() -> None:
    model = make_model()
    _, inputs = make_inputs()
    with torch.no_grad():
        first = model(inputs)["detector"]
    words = inputs.targets["words"].clone()
    read: list[Tensor] = []
    real = model.encoder.forward
    model.encoder.forward = lambda inputs, **options: read.append(inputs.input_ids) or real(inputs, **options)  # type: ignore[method-assign,func-returns-value]
    rows = (words != IGNORED).nonzero()[:, 0]
    with torch.no_grad():
        model(inputs)
        drawn = read[0][rows]
        words[rows] = drawn
        same = model(replace(inputs, targets={**inputs.targets, "words": words}))["detector"]
    assert set(drawn.tolist()) <= set(range(5, 29))
    assert torch.equal(first[rows, 1].bool(), drawn != inputs.targets["words"][rows])
    assert not first[inputs.targets["words"] == IGNORED, 1].any()
    assert not same[:, 1].any(), "the same draws, where they are what stood there"
    assert torch.equal(same[:, 0], first[:, 0])


def test_dropout_of_the_two_has_no_number_in_common() -> None:
    model = make_model(dropout=0.3)
    batch, inputs = make_inputs(dropout=(1, 2))
    own = inputs.dropout
    other = model._keys_of_generator(own)
    assert isinstance(own, DropoutKeys)
    assert isinstance(other, DropoutKeys)
    sites = range(model.encoder.next_dropout_site + 2 * len(model.heads))
    numbers = [keys.site(site) for keys in (own, other) for site in sites]
    assert len(torch.cat([*numbers, own.tokens, other.tokens]).unique()) == batch.tokens * (2 * len(sites) + 2)
    with torch.no_grad():
        assert not torch.equal(model(inputs)["words"], model(replace(inputs, dropout=None))["words"]), "the generator has dropout, too"


def test_parameters_have_one_name_each_and_both_compute_in_the_dtype() -> None:
    model = make_model()
    arrays = model.arrays()
    assert len([name for name in arrays if ".embeddings." in name]) == 5
    model.set_arrays({name: values + 1 for name, values in arrays.items()})
    for name, values in model.arrays().items():
        np.testing.assert_array_equal(values, arrays[name] + 1)
    assert model.generator.encoder.embeddings.token.weight is model.encoder.embeddings.token.weight
    matrices = blocks_of(model)
    layers = [name for name, module in model.named_modules() if isinstance(module, Layer)]
    assert layers == ["encoder.layers.0", "encoder.layers.1", "generator.encoder.layers.0"]
    assert len(matrices) == 4 * len(layers)
    assert matrices["generator.encoder.layers.0.attention.qkv.weight"] == 3
    _, inputs = make_inputs()
    with torch.no_grad():
        half = model.compute_in(torch.bfloat16)(inputs)
    assert half["words"].dtype == torch.bfloat16
    assert half["detector"].dtype == torch.float32
