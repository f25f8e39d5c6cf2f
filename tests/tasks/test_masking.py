"""Masking: how many tokens, which, and what stands in their place."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bertworks.batch import Array, PackedBatch
from bertworks.errors import SettingsError
from bertworks.tasks.masking import IGNORED, Masker, Masking, choose, masking_from

VOCABULARY, SPECIAL, MASK = 1000, (0, 1, 2, 3, 4), 4


def texts(lengths: list[int], seed: int = 0, first_key: int = 0) -> tuple[PackedBatch, Array]:
    """[CLS] ordinary tokens [SEP] in each sequence; about two tokens a word."""
    generator = np.random.default_rng(seed)
    rows = [np.concatenate([[2], generator.integers(5, VOCABULARY, size=n), [3]]) for n in lengths]
    batch = PackedBatch.from_sequences(rows, keys=np.arange(first_key, first_key + len(rows)))
    words = (generator.random(batch.tokens) < 0.5) & (batch.input_ids >= 5)
    return batch, words


def masker(**values: Any) -> Masker:
    return Masker(Masking(**values), special_ids=SPECIAL, mask_id=MASK, vocabulary=VOCABULARY)


def chosen(batch: PackedBatch, words: Array, **values: Any) -> Array:
    return choose(batch, words, batch.input_ids >= 5, Masking(**values))


@pytest.mark.parametrize("rate", [0.15, 0.2, 0.4])
def test_single_tokens_are_as_many_as_the_rate_says(rate: float) -> None:
    batch, words = texts([1, 2, 7, 40, 126, 126])
    of_sequence = np.add.reduceat(chosen(batch, words, rate=rate), batch.offsets[:-1])
    assert of_sequence.tolist() == [max(1, round(n * rate)) for n in (1, 2, 7, 40, 126, 126)]


@pytest.mark.parametrize("unit", ["token", "word", "span"])
def test_special_tokens_are_never_chosen_and_the_rate_holds(unit: Any) -> None:
    batch, words = texts([126] * 300)
    taken = chosen(batch, words, unit=unit)
    assert not taken[batch.input_ids < 5].any()
    assert abs(taken.sum() / (126 * 300) - 0.15) < 0.005


def test_words_are_chosen_whole() -> None:
    batch, words = texts([60] * 50)
    taken = chosen(batch, words, unit="word")
    inside = (batch.input_ids >= 5) & ~words & (batch.position_ids > 1)  # goes on with the word of the token before
    assert (taken[inside] == taken[np.flatnonzero(inside) - 1]).all()


def test_spans_have_geometric_lengths() -> None:
    batch, _ = texts([500] * 400)
    words = batch.input_ids >= 5  # each token a word, so that spans are counted in tokens
    taken = chosen(batch, words, unit="span", rate=0.02)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], taken, [0]])))
    lengths = edges[1::2] - edges[::2]
    assert lengths.max() <= 20  # two neighbours may touch
    assert abs(lengths.mean() - 3.8) < 0.35  # Joshi et al. 2020, section 3.1: a mean of 3.8


def test_what_stands_in_place_of_a_chosen_token() -> None:
    batch, words = texts([126] * 800)
    seen, targets = masker()(batch, words)
    hidden = targets != IGNORED
    assert (targets[hidden] == batch.input_ids[hidden]).all()
    assert (seen[~hidden] == batch.input_ids[~hidden]).all()
    masked = (seen[hidden] == MASK).mean()
    kept = (seen[hidden] == targets[hidden]).mean()
    assert abs(masked - 0.8) < 0.01
    assert abs(kept - 0.1) < 0.01
    drawn = seen[hidden & (seen != MASK) & (seen != batch.input_ids)]
    assert drawn.min() >= 5, "a random token is never a special one"
    assert len(set(drawn.tolist())) > 700, "random tokens come from the whole vocabulary"


@pytest.mark.parametrize("unit", ["token", "word", "span"])
def test_masks_do_not_depend_on_the_batch(unit: Any) -> None:
    batch, words = texts([30, 50, 20, 44])
    order = [2, 0, 3, 1]
    tokens = np.concatenate([np.arange(batch.offsets[i], batch.offsets[i + 1]) for i in order])
    mask = masker(unit=unit)
    seen, targets = mask(batch, words)
    seen_again, targets_again = mask(batch.take(order), words[tokens])
    assert (seen[tokens] == seen_again).all()
    assert (targets[tokens] == targets_again).all()


def test_another_key_or_seed_masks_anew() -> None:
    batch, words = texts([126] * 20)
    seen, _ = masker()(batch, words)
    other_key, _ = masker()(replace(batch, keys=batch.keys + 20), words)
    other_seed, _ = masker(seed=1)(batch, words)
    assert (seen != other_key).mean() > 0.15
    assert (seen != other_seed).mean() > 0.15


def test_a_rate_of_zero_hides_nothing() -> None:
    batch, words = texts([20, 30])
    assert not chosen(batch, words, rate=0.0).any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 1.5}, "rate must lie"),
        ({"rate": "a lot"}, "rate must lie"),
        ({"mask_share": 0.9, "random_share": 0.2}, "add up to 1.1"),
        ({"unit": "words"}, "Did you mean 'word'"),
        ({"mask_rate": 0.2}, "no setting 'mask_rate'"),
    ],
)
def test_wrong_settings(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        masking_from(values)
