"""Dropout's numbers: uniform, independent, and functions of what they are keyed by and of nothing else."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from bertworks.nn.attention import AttentionDropout
from bertworks.nn.dropout import DropoutKeys, dropout, keep_mask, keep_scale
from bertworks.nn.pattern import Part

CPU = torch.device("cpu")
UNLIKELY = 1e-4
"""Least probability of a result: the numbers are fixed, so a test that passes once passes always."""


def make(seed: int = 1, step: int = 0, keys: list[int] | None = None, lengths: list[int] | None = None) -> DropoutKeys:
    lengths = [100] * 20 if lengths is None else lengths
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.concatenate([np.arange(n) for n in lengths])
    return DropoutKeys.make(seed, step, np.array(range(len(lengths)) if keys is None else keys, dtype=np.int64), offsets, positions, CPU)


def kept(keys: Tensor, columns: int, probability: float) -> Tensor:
    """True where a value is kept."""
    return keep_mask(keys, columns, probability) != 0


def share_kept(probability: float) -> float:
    """The share that draws of so many bits really keep."""
    return 1 / keep_scale(probability)


def correlation_in_sigmas(a: Tensor, b: Tensor) -> float:
    """Correlation of two masks in standard deviations of that of independent ones."""
    x, y = a.double().flatten(), b.double().flatten()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).mean() / (x.square().mean() * y.square().mean()).sqrt()) * len(x) ** 0.5


def independence(a: Tensor, b: Tensor) -> float:
    """p-value of the chi-square test that two masks are independent."""
    table = np.histogram2d(a.flatten().int().numpy(), b.flatten().int().numpy(), bins=2)[0]
    return float(stats.chi2_contingency(table, correction=False).pvalue)


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.3, 0.5, 0.9])
def test_share_kept_and_scale(probability: float) -> None:
    keep = kept(make().site(0), 101, probability)
    assert keep.shape == (2000, 101)
    assert stats.binomtest(int(keep.sum()), keep.numel(), 1 - probability).pvalue > UNLIKELY
    # the scale is for the share that is really kept, so the expected value is the undropped one
    assert share_kept(probability) == pytest.approx(1 - probability, abs=1 / 32768)
    assert stats.binomtest(int(keep.sum()), keep.numel(), share_kept(probability)).pvalue > UNLIKELY


def test_draws_are_uniform() -> None:
    """A draw is never seen, but whether it lies below each of 256 thresholds is."""
    keys = make().site(3)
    for columns in (slice(None), slice(0, None, 4), slice(1, None, 4), slice(2, None, 4), slice(3, None, 4)):  # a hash gives four draws
        above = [int(kept(keys, 96, i / 256)[:, columns].sum()) for i in range(256)]
        counts = -np.diff([*above, 0])
        assert stats.chisquare(counts).pvalue > UNLIKELY


def test_the_threshold_is_exact() -> None:
    half = kept(make().site(0), 64, 0.5)
    less = kept(make().site(0), 64, 0.25)
    assert (less | ~half).all()  # what is kept at a higher probability of dropping is kept at a lower one
    assert kept(make().site(0), 64, 0.0).all()


def test_sites_steps_seeds_and_sequences_draw_independently() -> None:
    base = make(lengths=[50] * 100)
    masks = {
        "base": kept(base.site(0), 40, 0.3),
        "next site": kept(base.site(1), 40, 0.3),
        "far site": kept(base.site(40), 40, 0.3),
        "next step": kept(make(step=1, lengths=[50] * 100).site(0), 40, 0.3),
        "next seed": kept(make(seed=2, lengths=[50] * 100).site(0), 40, 0.3),
        "next sequences": kept(make(keys=list(range(100, 200)), lengths=[50] * 100).site(0), 40, 0.3),
    }
    for (one, a), (other, b) in itertools.combinations(masks.items(), 2):
        assert abs(correlation_in_sigmas(a, b)) < 4.5, (one, other)
        assert independence(a, b) > UNLIKELY, (one, other)


def test_positions_and_features_draw_independently() -> None:
    keep = kept(make(lengths=[50] * 200).site(2), 48, 0.4)
    for lag in (1, 2, 3, 4, 5, 8, 16):
        assert independence(keep[:, lag:], keep[:, :-lag]) > UNLIKELY, f"features {lag} apart"
        assert independence(keep[lag:], keep[:-lag]) > UNLIKELY, f"tokens {lag} apart"
    of_sequences = keep.view(200, 50, 48)
    assert independence(of_sequences[1:], of_sequences[:-1]) > UNLIKELY
    share = share_kept(0.4)
    for axis in (0, 1):
        draws = keep.shape[axis]
        sigmas = (keep.sum(axis).double() - draws * share) / (draws * share * (1 - share)) ** 0.5
        assert stats.chi2.sf(float(sigmas.square().sum()), len(sigmas)) > UNLIKELY  # no feature, no token is favoured


def test_attention_heads_queries_and_keys_draw_independently() -> None:
    drop = AttentionDropout(0.4, make(lengths=[30] * 20).site(1))
    keep = (drop.mask(drop.lots(Part(0, 20, 30, 0, 30), 5), Part(0, 20, 29, 0, 29)) != 0).view(20, 5, 30, 29)
    assert stats.binomtest(int(keep.sum()), keep.numel(), share_kept(0.4)).pvalue > UNLIKELY
    for axis in range(4):
        for lag in (1, 2, 4):
            size = keep.shape[axis] - lag
            assert independence(keep.narrow(axis, 0, size), keep.narrow(axis, lag, size)) > UNLIKELY, (axis, lag)


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    seed=st.integers(-(2**70), 2**70),
    step=st.integers(0, 2**40),
    data=st.data(),
)
def test_a_mask_depends_on_its_own_sequence_only(lengths: list[int], seed: int, step: int, data: st.DataObject) -> None:
    number = st.integers(-(2**63), 2**63 - 1)
    names = data.draw(st.lists(number, min_size=len(lengths), max_size=len(lengths), unique=True))
    order = data.draw(st.permutations(range(len(lengths))))
    cut = data.draw(st.integers(0, len(order)))
    whole = make(seed, step, names, lengths).site(5)
    rows = dict(zip(names, whole.split(lengths), strict=True))
    for part in (order[:cut], order[cut:]):
        if part:
            sites = make(seed, step, [names[i] for i in part], [lengths[i] for i in part]).site(5)
            for i, keys in zip(part, sites.split([lengths[i] for i in part]), strict=True):
                assert torch.equal(keys, rows[names[i]])
                assert torch.equal(kept(keys, 7, 0.3), kept(rows[names[i]], 7, 0.3))


def test_keys_differ() -> None:
    """No two tokens, sites or steps share a key where there are a hundred thousand of them."""
    keys = torch.cat([make(step=step).site(site) for step in range(5) for site in range(10)])
    assert len(keys.unique()) == len(keys) == 100_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_forward_and_backward_use_one_mask(dtype: torch.dtype) -> None:
    keys = make(lengths=[9, 4])
    x = (torch.randn(13, 6, generator=torch.Generator().manual_seed(0)) + 3).to(dtype).requires_grad_()
    out = dropout(x, 0.3, keys, 4)
    keep = kept(keys.site(4), 6, 0.3)
    torch.testing.assert_close(out, torch.where(keep, x * keep_scale(0.3), 0.0).to(dtype))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, (keep * keep_scale(0.3)).to(dtype))


def test_no_keys_no_dropout() -> None:
    x = torch.randn(4, 3)
    assert dropout(x, 0.5, None, 0) is x
    assert dropout(x, 0.0, make(lengths=[4]), 0) is x


def test_the_numbers_stay() -> None:
    """A run that is resumed elsewhere, or by a later version, must draw what it drew here."""
    keys = make(seed=7, step=3, keys=[11, 12], lengths=[2, 1])
    assert keys.site(0).tolist() == [773409696412376714, -5901943769074091260, 486117159932494326]
    assert kept(keys.site(2), 6, 0.5).int().tolist() == [[0, 0, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0]]
