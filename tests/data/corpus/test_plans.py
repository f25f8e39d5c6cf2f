"""Sequences of pretraining: nothing is lost, nothing crosses a border that it must not, halves are halves."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertworks.data.corpus.plans import COPY, NoPairsError, Plan, SequenceSettings, plan, sequences_in
from bertworks.data.corpus.sequences import Sequences
from bertworks.data.corpus.shards import Shard, write_shard
from bertworks.errors import DataError, SettingsError

START, END = 2, 3
Documents = list[list[int]]
"""The lengths of the sentences of each document."""


def shard_of(folder: Path, documents: Documents, name: str = "shard", first_id: int = 10) -> Shard:
    """A shard whose tokens count up from `first_id`, so that each token says where it stands."""
    sentences = np.cumsum([0, *(length for document in documents for length in document)])
    tokens = np.arange(first_id, first_id + sentences[-1])
    path = folder / f"{name}.safetensors"
    write_shard(path, tokens, tokens % 3 != 1, sentences, np.cumsum([0, *map(len, documents)]), vocabulary=1_000_000)
    return Shard(path)


def random_documents(count: int, seed: int = 0, longest: int = 30) -> Documents:
    generator = np.random.default_rng(seed)
    return [generator.integers(1, longest, size=generator.integers(1, 12)).tolist() for _ in range(count)]


def parts_of(made: Plan) -> list[list[tuple[int, int, int]]]:
    return [[tuple(part) for part in made.parts[a:b].tolist()] for a, b in pairwise(made.offsets.tolist())]


def document_of(shard: Shard, token: int) -> int:
    return int(np.searchsorted(shard.document_tokens, token, side="right")) - 1


documents_strategy = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=8), min_size=2, max_size=8)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(documents=documents_strategy, room=st.integers(4, 60), cross=st.booleans(), epoch=st.integers(0, 3))
def test_runs_hold_every_token_once_and_in_order(documents: Documents, room: int, cross: bool, epoch: int, tmp_path: Path) -> None:
    shard = shard_of(tmp_path, documents)
    chosen = SequenceSettings(room + 2, "none", short_share=0.3, cross_documents=cross)
    made = plan([(5, shard)], chosen, epoch)
    spans = [part for parts in parts_of(made) for part in parts]
    assert [number for number, *_ in spans] == [5] * len(spans)
    assert [token for _, a, b in spans for token in range(a, b)] == list(range(len(shard.tokens)))
    for parts in parts_of(made):
        assert sum(b - a for _, a, b in parts) + len(parts) - 1 <= room
        homes = [{document_of(shard, token) for token in range(a, b)} for _, a, b in parts]
        assert all(len(home) == 1 for home in homes)
        assert cross or len(parts) == 1
    assert len(made) >= sequences_in(len(shard.tokens), chosen)


@relaxed
@given(documents=documents_strategy, room=st.integers(4, 60), epoch=st.integers(0, 3))
def test_pairs_lose_no_token(documents: Documents, room: int, epoch: int, tmp_path: Path) -> None:
    shard = shard_of(tmp_path, documents)
    chosen = SequenceSettings(room + 3, "next_sentence", short_share=0.2)
    made = plan([(0, shard)], chosen, epoch)
    own: set[int] = set()
    for parts, label in zip(parts_of(made), made.labels.tolist(), strict=True):
        (_, a, b), (_, c, d) = parts
        assert b > a
        assert d > c
        assert b - a + d - c <= room
        homes = {document_of(shard, a), document_of(shard, b - 1)}
        other = {document_of(shard, c), document_of(shard, d - 1)}
        assert len(homes) == len(other) == 1
        assert (homes == other and c == b) if label == 0 else homes != other
        assert label == 0 or c in shard.sentences, "a random text begins with a sentence"
        own |= set(range(a, b)) | (set(range(c, d)) if label == 0 else set())
    assert own == set(range(len(shard.tokens)))
    assert len(made) >= sequences_in(len(shard.tokens), chosen)


@relaxed
@given(documents=documents_strategy, room=st.integers(4, 60), epoch=st.integers(0, 3))
def test_pairs_with_copies_lose_no_token(documents: Documents, room: int, epoch: int, tmp_path: Path) -> None:
    shard = shard_of(tmp_path, documents)
    made = plan([(0, shard)], SequenceSettings(room + 3, short_share=0.2, copies=0.5), epoch)
    own: set[int] = set()
    for parts, label in zip(parts_of(made), made.labels.tolist(), strict=True):
        for _, a, b in parts[:1] if label == 1 else parts:
            own |= set(range(a, b))
        if label == COPY:
            ((_, a, b),) = parts
            assert 2 * (b - a) <= max(2, room), "a text and its copy have room"
            assert document_of(shard, a) == document_of(shard, b - 1)
    assert own == set(range(len(shard.tokens)))


def test_the_share_of_copies_and_the_halves_beside_them(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, random_documents(1500))
    made = plan([(0, shard)], SequenceSettings(64, "next_sentence", copies=0.4), 0)
    copies = made.labels == COPY
    assert abs(copies.mean() - 0.4) < 0.02
    assert abs(made.labels[~copies].mean() - 0.5) < 0.03
    without = plan([(0, shard)], SequenceSettings(64, "next_sentence"), 0)
    assert set(without.labels.tolist()) == {0, 1}


def test_an_epoch_counts_what_copies_take_of_the_text(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, random_documents(1500))
    counts = {copies: sequences_in(len(shard.tokens), SequenceSettings(64, copies=copies)) for copies in (0.0, 0.5, 1.0)}
    assert counts[1.0] == pytest.approx(2 * counts[0.0], abs=2)
    assert counts[0.5] == pytest.approx(4 / 3 * counts[0.0], abs=2)
    for copies, count in counts.items():
        assert len(plan([(0, shard)], SequenceSettings(64, copies=copies), 0)) >= count


def test_copies_alone_teach_no_order_of_sentences(tmp_path: Path) -> None:
    shards = [shard_of(tmp_path, [[9]] * 40)]
    for copies in (0.0, 0.3):
        settings = SequenceSettings(40, "sentence_order", copies=copies)
        with pytest.raises(NoPairsError, match="no document has two sentences"):
            Sequences(shards, settings, start_id=START, end_id=END).take(np.arange(3))


def test_half_of_the_pairs_are_true_neighbours(tmp_path: Path) -> None:
    # one document in three has a single sentence, for which there is no true neighbour
    documents = [d if i % 3 else d[:1] for i, d in enumerate(random_documents(1500))]
    shard = shard_of(tmp_path, documents)
    made = plan([(0, shard)], SequenceSettings(64, "next_sentence"), 0)
    assert abs(made.labels.mean() - 0.5) < 0.02


def test_pairs_are_as_long_as_allowed_but_for_one_in_ten(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, [[12] * 400 for _ in range(20)])
    made = plan([(0, shard)], SequenceSettings(67, "next_sentence", short_share=0.1), 0)
    lengths = np.array([sum(b - a for _, a, b in parts) for parts in parts_of(made)])
    assert lengths.max() == 64
    assert 0.05 < (lengths < 52).mean() < 0.15  # a full pair may miss up to a sentence, at the end of a document


def test_order_swaps_half_of_the_neighbours(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, random_documents(600))
    made = plan([(0, shard)], SequenceSettings(64, "sentence_order"), 0)
    for parts, label in zip(parts_of(made), made.labels.tolist(), strict=True):
        (_, a, b), (_, c, d) = parts
        assert d == a if label else b == c
    assert abs(made.labels.mean() - 0.5) < 0.03


def test_a_plan_is_a_function_of_seed_and_epoch(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, random_documents(50))
    chosen = SequenceSettings(40)
    first, again, later = (plan([(0, shard)], chosen, epoch) for epoch in (0, 0, 1))
    assert (first.parts == again.parts).all()
    assert (first.labels == again.labels).all()
    assert first.parts.shape != later.parts.shape or (first.parts != later.parts).any()


def test_random_texts_come_from_all_shards(tmp_path: Path) -> None:
    shards = [(i, shard_of(tmp_path, random_documents(40, seed=i), name=str(i))) for i in range(3)]
    made = plan(shards, SequenceSettings(40), 0)
    sources = {(parts[0][0], parts[1][0]) for parts, label in zip(parts_of(made), made.labels, strict=True) if label}
    assert sources == {(i, j) for i in range(3) for j in range(3)}


def test_one_document_has_no_random_neighbour(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least two documents"):
        plan([(0, shard_of(tmp_path, [[5, 5]]))], SequenceSettings(20), 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pairing": "next_sentance"}, "Did you mean 'next_sentence'"),
        ({"max_tokens": 6}, "too short"),
        ({"short_share": 2.0}, "short_share"),
        ({"cross_documents": True}, "pairing = 'none'"),
        ({"copies": -0.1}, "copies must lie"),
        ({"pairing": "none", "copies": 0.1}, "no objective asks for pairs"),
    ],
)
def test_wrong_settings(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SequenceSettings(**values)  # type: ignore[arg-type]


# ---- sequences by number


def sequences(folder: Path, pairing: str = "next_sentence", shards: int = 2, **more: object) -> Sequences:
    made = [shard_of(folder, random_documents(30, seed=i), name=str(i), first_id=10 + 20_000 * i) for i in range(shards)]
    return Sequences(made, SequenceSettings(40, pairing, **more), start_id=START, end_id=END)  # type: ignore[arg-type]


@pytest.mark.parametrize("pairing", ["none", "next_sentence", "sentence_order"])
def test_a_sequence_has_its_special_tokens_segments_and_words(tmp_path: Path, pairing: str) -> None:
    source = sequences(tmp_path, pairing)
    batch, words = source.take(np.arange(50))
    texts = 1 if pairing == "none" else 2
    for i, (a, b) in enumerate(pairwise(batch.offsets.tolist())):
        ids, segments = batch.input_ids[a:b], batch.segment_ids[a:b]
        assert ids[0] == START
        assert ids[-1] == END
        assert (ids == END).sum() == texts
        assert len(ids) <= 40
        border = int(np.flatnonzero(ids == END)[0])
        assert segments.tolist() == [0] * (border + 1) + [1] * (len(ids) - border - 1)
        if texts == 2:
            follows = ids[border + 1] == ids[border - 1] + 1
            assert bool(follows) == (batch.targets["pairing"][i] == 0)
    special = np.isin(batch.input_ids, [START, END])
    assert (words == (~special & (batch.input_ids % 3 != 1))).all()


def test_copies_stand_behind_their_texts(tmp_path: Path) -> None:
    source = sequences(tmp_path, copies=0.6)
    batch, words = source.take(np.arange(200))
    copies = np.flatnonzero(batch.targets["pairing"] == COPY)
    assert 80 < len(copies) < 160
    kept = []
    for i in copies:
        a, b = batch.offsets[i : i + 2]
        ids, begins = batch.input_ids[a:b], words[a:b]
        border = int(np.flatnonzero(ids == END)[0])
        text, copied = ids[1:border], ids[border + 1 : -1]
        assert ids[0] == START
        assert (ids == END).sum() == 2
        assert ids[-1] == END
        assert len(ids) <= 40
        assert batch.segment_ids[a:b].tolist() == [0] * (border + 1) + [1] * (len(copied) + 1)
        assert text.tolist() == list(range(text[0], text[-1] + 1))
        assert not begins[[0, border, -1]].any()
        assert begins[border + 1]
        kept.append(np.isin(copied, text).sum() / len(text))
    assert 0.75 < np.mean(kept) < 0.9
    assert max(kept) == 1


def test_sequences_do_not_depend_on_how_they_are_taken(tmp_path: Path) -> None:
    source = sequences(tmp_path, copies=0.3)
    numbers = np.array([3, source.per_epoch + 1, 0, 7])
    together, words = source.take(numbers)
    alone = [source.take(numbers[i : i + 1]) for i in range(4)]
    assert (together.input_ids == np.concatenate([batch.input_ids for batch, _ in alone])).all()
    assert (words == np.concatenate([some for _, some in alone])).all()
    assert together.keys.tolist() == numbers.tolist()


def test_an_epoch_takes_no_sequence_twice_and_shuffles(tmp_path: Path) -> None:
    source = sequences(tmp_path, "none", short_share=0.0)
    starts = [source.take(np.array([i]))[0].input_ids[1] for i in range(source.per_epoch)]
    assert len(set(starts)) == len(starts)
    assert starts != sorted(starts)


def test_more_shards_than_a_pool(tmp_path: Path) -> None:
    source = sequences(tmp_path, "none", shards=19, short_share=0.0)
    batch, _ = source.take(np.arange(2 * source.per_epoch))
    first = batch.input_ids[batch.offsets[:-1] + 1][: source.per_epoch]
    assert len(set(first.tolist())) > 0.99 * source.per_epoch


@pytest.mark.parametrize(("pairing", "copies"), [("none", 0.0), ("next_sentence", 0.0), ("sentence_order", 0.0), ("next_sentence", 0.5)])
def test_the_mean_length_is_that_of_the_sequences_taken(tmp_path: Path, pairing: str, copies: float) -> None:
    source = sequences(tmp_path, pairing, shards=19, copies=copies)
    batch, _ = source.take(np.arange(3 * source.per_epoch))
    assert source.mean_tokens() == pytest.approx(batch.lengths.mean(), rel=0.02)
