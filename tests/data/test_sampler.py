"""Steps of an epoch: every row once, groups whole, budgets kept, and each step addressable by its number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.sampler import Array, Sampler, cut_by_tokens, permutation

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


BUDGET = 50


@st.composite
def samplers(draw: st.DrawFn) -> Sampler:
    lengths = np.array(draw(LENGTHS))
    groups = np.array(draw(st.lists(st.integers(0, 15), min_size=len(lengths), max_size=len(lengths))))
    if draw(st.booleans()):
        groups = np.sort(groups)
    return Sampler(groups, lengths, batch_size=draw(st.integers(1, 9)), seed=draw(st.integers(-(2**70), 2**70)))


def numbers(step: list[Array]) -> list[list[int]]:
    return [batch.tolist() for batch in step]


@given(samplers(), st.integers(0, 3))
def test_every_row_comes_once_in_an_epoch(sampler: Sampler, epoch: int) -> None:
    first = epoch * sampler.steps_per_epoch
    steps = [sampler.step(first + within, BUDGET) for within in range(sampler.steps_per_epoch)]
    seen = [i for step in steps for batch in step for i in batch.tolist()]
    assert sorted(seen) == list(range(len(sampler.lengths)))


@given(LENGTHS, st.integers(1, 7), st.integers(0, 1000), st.data())
def test_groups_are_whole_in_a_step(lengths: list[int], batch_size: int, seed: int, data: st.DataObject) -> None:
    groups = np.array(data.draw(st.lists(st.integers(-3, 12), min_size=len(lengths), max_size=len(lengths))))
    sampler = Sampler(groups, np.array(lengths), batch_size=batch_size, seed=seed)
    assert sampler.groups == len(set(groups.tolist()))
    sizes = []
    for number in range(sampler.steps_per_epoch):
        sequences = np.concatenate(sampler.step(number, BUDGET))
        of_step = set(groups[sequences].tolist())
        assert set(np.flatnonzero(np.isin(groups, list(of_step))).tolist()) == set(sequences.tolist())
        sizes.append(len(of_step))
    assert all(size == batch_size for size in sizes[:-1])
    assert 1 <= sizes[-1] <= batch_size


@given(LENGTHS, st.integers(1, 200))
def test_budgets_are_kept_save_by_one_long_sequence(lengths: list[int], budget: int) -> None:
    batches = cut_by_tokens(np.array(lengths), budget)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[i] for i in batch) <= budget
    in_order = [lengths[i] for batch in batches for i in batch.tolist()]
    assert in_order == sorted(in_order)


@given(LENGTHS, st.integers(60, 300))
def test_there_are_few_batches(lengths: list[int], budget: int) -> None:
    filled = [sum(lengths[i] for i in batch) for batch in cut_by_tokens(np.array(lengths), budget)]
    assert len(filled) <= 2 * -(-sum(lengths) // budget)


def test_batches_are_filled_evenly() -> None:
    """Twelve sequences of ten tokens do not become batches of 50, 50 and 20."""
    assert [len(batch) for batch in cut_by_tokens(np.full(12, 10), 50)] == [4, 4, 4]


def test_no_sequences_are_no_batches() -> None:
    assert cut_by_tokens(np.zeros(0, dtype=np.int64), 10) == []


@given(samplers(), st.randoms(use_true_random=False))
def test_steps_may_be_asked_for_in_any_order(sampler: Sampler, random: object) -> None:
    total = 3 * sampler.steps_per_epoch
    in_order = [numbers(sampler.step(number, BUDGET)) for number in range(total)]
    order = list(range(total))
    random.shuffle(order)  # type: ignore[attr-defined]
    anew = Sampler(sampler_groups(sampler), sampler.lengths, batch_size=sampler.batch_size, seed=sampler.seed)
    for number in order:
        assert numbers(anew.step(number, BUDGET)) == in_order[number]


def sampler_groups(sampler: Sampler) -> Array:
    """The groups that a sampler was made of, numbered from 0."""
    groups = np.zeros(len(sampler.lengths), dtype=np.int64)
    for number in range(sampler.groups):
        groups[sampler._sequences[sampler._starts[number] : sampler._starts[number + 1]]] = number
    return groups


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(permutation(seed, epoch, 50).tolist()) for seed in (0, 1, -1, 2**64 - 2) for epoch in range(3)}
    assert len(orders) == 12
    assert permutation(5, 2, 50).tolist() == permutation(5, 2, 50).tolist()


def test_the_order_is_written_down() -> None:
    """A run that was begun with another version is resumed only where this holds."""
    assert permutation(0, 0, 8).tolist() == [5, 0, 6, 1, 7, 2, 4, 3]
    assert permutation(3, 1, 8).tolist() == [0, 7, 6, 1, 5, 3, 2, 4]


def test_all_places_are_equally_likely() -> None:
    first = np.bincount([permutation(0, epoch, 10)[0] for epoch in range(5000)], minlength=10)
    assert first.min() > 400
    assert first.max() < 600
