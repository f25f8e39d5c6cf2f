"""A prepared corpus holds what tokenizing each sentence alone gives, in the order of the text; what is left out is counted."""

import gzip
import json
import lzma
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from bertworks.data.corpus import encoder, segments, sentences
from bertworks.data.corpus.corpus import Corpus
from bertworks.data.corpus.encoder import content_hash
from bertworks.data.corpus.plans import SequenceSettings
from bertworks.data.corpus.sequences import Sequences
from bertworks.data.corpus.totals import Totals
from bertworks.errors import DataError, SettingsError
from bertworks.tokenization import Tokenizer
from tests.data.corpus.conftest import Documents, Prepare, Watcher, as_text, content, random_documents, slowly

DOCUMENTS = random_documents(60)

several_batches = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
sentence_strategy = st.lists(
    st.sampled_from(["Good", "bad", "zebra", "12", "x,y", "日本", "naïve", "[SEP]", "\u200b"]), min_size=1, max_size=9
)
documents_strategy = st.lists(st.lists(sentence_strategy.map(" ".join), min_size=1, max_size=6), min_size=1, max_size=9)


def byte_level() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he")]
    vocabulary = {token: number for number, token in enumerate([*alphabet, *map("".join, merges)])}
    backend = Backend(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return Tokenizer(backend)


def test_shards_hold_each_sentence_as_it_is_tokenized_alone(prepared: Prepare, tokenizer: Tokenizer) -> None:
    corpus = prepared(DOCUMENTS, shard_tokens=500)
    assert len(corpus.shards) > 3
    assert content(corpus.shards) == slowly(tokenizer, DOCUMENTS)
    assert all(len(shard.tokens) >= 500 for shard in corpus.shards[:-1])
    assert all(int(shard.document_tokens[-2]) < 500 for shard in corpus.shards), "a shard ends with the document that fills it"


def test_byte_level_tokenizers_see_the_space_between_sentences(prepared: Prepare) -> None:
    documents = [*DOCUMENTS, ["今日は雨です。", "家にいます。", "Rain."], ["one"]]
    corpus = prepared(documents, tokenizer=byte_level())
    spaced = [[sentence if i == 0 else f" {sentence}" for i, sentence in enumerate(document)] for document in documents]
    spaced[-2] = documents[-2]  # none behind wide characters
    assert content(corpus.shards) == slowly(byte_level(), spaced)
    assert corpus.decode(corpus.shards[0], 7) == "\n".join(DOCUMENTS[7])
    running = byte_level().encode(" ".join(DOCUMENTS[7])).ids.tolist()
    assert corpus.shards[0].tokens[slice(*corpus.shards[0].document_tokens[7:9])].tolist() == running


@several_batches
@given(documents=documents_strategy, shard_tokens=st.integers(1, 60), batch=st.integers(1, 80))
def test_random_documents(prepared: Prepare, tokenizer: Tokenizer, documents: Documents, shard_tokens: int, batch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_BATCH", batch)
        expected = slowly(tokenizer, documents)
        if not expected:
            with pytest.raises(DataError, match="no text is left"):
                prepared(documents, shard_tokens=shard_tokens)
            return
        corpus = prepared(documents, shard_tokens=shard_tokens)
    assert content(corpus.shards) == expected
    assert corpus.totals == Totals(
        documents=len(expected),
        sentences=sum(map(len, expected)),
        words=sum(start for document in expected for sentence in document for _, start in sentence),
        tokens=sum(len(sentence) for document in expected for sentence in document),
        unknown_tokens=sum(token == tokenizer.unknown_id for document in expected for sentence in document for token, _ in sentence),
        special_tokens=sum(token == tokenizer.sep_id for document in expected for sentence in document for token, _ in sentence),
        single_sentences=sum(len(document) == 1 for document in expected),
    )
    dropped = len(documents) - len(expected)
    assert corpus.accounting.dropped == ({segments.EMPTY: dropped} if dropped else {})
    assert corpus.accounting.documents == len(documents)
    normal = [[" ".join(tokenizer.decode([token for token, _ in s], skip_special_tokens=False).split()) for s in d] for d in expected]
    read = [corpus.decode(shard, i) for shard in corpus.shards for i in range(len(shard.documents) - 1)]
    assert [[" ".join(line.split()) for line in text.split("\n")] for text in read] == normal


def test_texts_come_back_as_they_were_but_for_their_case(prepared: Prepare) -> None:
    documents = [["Good people always read.", "The film is long."], ["Never again!"]]
    corpus = prepared(documents)
    assert [corpus.sentences(corpus.shards[0], i) for i in (0, 1)] == [[s.lower() for s in document] for document in documents]


@pytest.mark.parametrize("kind", ["txt", "txt.gz", "txt.xz", "jsonl", "parquet", "csv", "folder", "pattern"])
def test_every_kind_of_file_gives_the_same_documents(prepared: Prepare, tmp_path: Path, kind: str, tokenizer: Tokenizer) -> None:
    texts = ["\n".join(document) for document in DOCUMENTS]
    files = tmp_path / "files"
    files.mkdir()
    path = files / f"text.{kind}"
    if kind == "parquet":
        parquet.write_table(pa.table({"id": range(len(texts)), "body": texts}), path)
    elif kind == "csv":
        rows = ["id,body", *(f'{number},"{text}"' for number, text in enumerate(texts))]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"body": text}) + "\n" for text in texts), encoding="utf-8")
    elif kind in ("folder", "pattern"):
        for number in range(3):
            (files / f"{number}.txt").write_text(as_text(DOCUMENTS[20 * number : 20 * number + 20]), encoding="utf-8")
        path = files / "*.txt" if kind == "pattern" else files
    else:
        pack: dict[str, Callable[[bytes], bytes]] = {"txt": bytes, "txt.gz": gzip.compress, "txt.xz": lzma.compress}
        path.write_bytes(pack[kind](as_text(DOCUMENTS).encode()))
    corpus = prepared(path, text="body" if kind in ("parquet", "csv", "jsonl") else None, shard_tokens=300)
    assert content(corpus.shards) == slowly(tokenizer, DOCUMENTS)


def test_where_documents_come_from(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "in" / "b").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text(as_text(DOCUMENTS[:5]))
    (tmp_path / "in" / "b" / "c.txt").write_text(as_text(DOCUMENTS[5:12]))
    corpus = prepared(tmp_path / "in", shard_tokens=200)
    found = [corpus.origin(shard, i) for shard in corpus.shards for i in range(len(shard.documents) - 1)]
    assert found == [("a.txt", i) for i in range(5)] + [("b/c.txt", i) for i in range(7)]


def test_held_out_documents_are_drawn_by_their_text(prepared: Prepare, tmp_path: Path, tokenizer: Tokenizer) -> None:
    documents = random_documents(200, seed=3)
    corpus = prepared(documents, held_out=0.2, shard_tokens=800)
    threshold = 0.2 * 2**64
    held = [document for document in documents if content_hash("\n".join(document)) < threshold]
    kept = [document for document in documents if document not in held]
    assert 20 < len(held) < 60
    assert content(corpus.held_out) == slowly(tokenizer, held)
    assert content(corpus.shards) == slowly(tokenizer, kept)
    assert len(corpus.held_out) > 1, "held-out documents of many shards are put together to shards of the usual size"
    assert all(len(shard.tokens) >= 800 for shard in corpus.held_out[:-1])
    assert not (corpus.folder / "unfinished").exists()
    shuffled = prepared(documents[::-1], "other", held_out=0.2, shard_tokens=800)
    assert content(shuffled.held_out) == content(corpus.held_out)[::-1]


def test_exact_duplicates_are_left_out_and_counted(prepared: Prepare, tokenizer: Tokenizer) -> None:
    first = DOCUMENTS[:30]
    respaced = [[sentence.replace(" ", "  ") for sentence in document] for document in first[:10]]
    upper = [[sentence.upper() for sentence in document] for document in first[:4]]
    documents = [*first, *respaced, *DOCUMENTS[30:40], *first[5:9], *upper]
    corpus = prepared(documents, deduplicate="exact", shard_tokens=150)
    assert content(corpus.shards) == slowly(tokenizer, [*first, *DOCUMENTS[30:40], *upper])
    assert corpus.accounting.dropped == {segments.DUPLICATE: 14}


def test_near_duplicates_are_left_out_and_counted(prepared: Prepare, tokenizer: Tokenizer) -> None:
    long = [document for document in random_documents(80, seed=9, longest=30) if sum(len(s.split()) for s in document) > 100][:12]
    changed = [[*document[:-1], document[-1].upper().replace(".", "!")] for document in long[:5]]
    shorter = [document[1:] for document in long[5:7]]
    documents = [*long, *changed, *DOCUMENTS[:10], *shorter]
    corpus = prepared(documents, deduplicate="near", shard_tokens=400)
    assert content(corpus.shards) == slowly(tokenizer, [*long, *DOCUMENTS[:10]])
    assert corpus.accounting.dropped == {segments.NEAR_DUPLICATE: 7}


def test_everything_that_happens_to_a_text_is_counted(prepared: Prepare, tmp_path: Path) -> None:
    first = "Good people read.\n\u200b\nBad [MASK] people.\n\n\u200b\u200b\n\n" + "word " * 3000 + "\n\n"
    (tmp_path / "a.txt").write_bytes(first.encode() + b"Caf\xe9 \xff\xfe \xe6\x97\xa5 good.\n\n")
    (tmp_path / "b.txt").write_text("")
    corpus = prepared([tmp_path / "a.txt", tmp_path / "b.txt"])
    accounting = corpus.accounting
    assert accounting.documents == 4
    assert accounting.dropped == {segments.EMPTY: 1}
    assert accounting.notes == {encoder.EMPTY_SENTENCES: 2, encoder.LONG_SENTENCES: 1}
    assert (accounting.reading.undecodable_bytes, accounting.reading.first_undecodable) == (3, f"{tmp_path / 'a.txt'}, line 9")
    assert accounting.reading.notes == {"without a text": 1}
    assert corpus.totals.special_tokens == 1
    assert corpus.totals.unknown_tokens == 1
    assert [len(document) for document in content(corpus.shards)] == [2, 2, 1]
    assert max(len(sentence) for document in content(corpus.shards) for sentence in document) <= sentences.LONGEST_SENTENCE
    for text in ("documents dropped", "no text", "10,000 characters", "left out"):
        assert any(text in line for line in accounting.lines())
    assert Corpus.open(corpus.folder).accounting == accounting


def test_bad_rows(prepared: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "Good people."}\nno json\n{"text": ""}\n{"text": "Bad people."}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl, line 2: .*JSON"):
        prepared(path)
    assert prepared(path, on_bad_rows="drop").accounting.reading.dropped == Counter({"not JSON": 1, "empty text": 1})


def test_lines_are_told_apart_file_by_file(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(as_text([["Good people read.", "Bad people sleep."]] * 3))
    (tmp_path / "many.txt").write_text(as_text([["Good people always read. Other people sleep. Nobody knows why."]] * 3))
    corpus = prepared([tmp_path / "one.txt", tmp_path / "many.txt"], lines="auto")
    assert [file["lines"] for file in corpus.manifest["files"]] == ["sentences", "paragraphs"]
    assert [len(document) for document in content(corpus.shards)] == [2, 2, 2, 3, 3, 3]
    assert "sentencex" in corpus.manifest["libraries"]
    assert "sentencex" not in prepared([tmp_path / "one.txt"], "other", lines="auto").manifest["libraries"]
    told = prepared([tmp_path / "many.txt"], "third", lines="sentences")
    assert [len(document) for document in content(told.shards)] == [1, 1, 1]


def test_a_large_vocabulary_takes_wider_tokens(prepared: Prepare) -> None:
    words = {"[UNK]": 0} | {f"w{i}": i for i in range(1, 70_000)}
    backend = Backend(models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    corpus = prepared([["w69999 w1 other"]], tokenizer=Tokenizer(backend))
    assert corpus.shards[0].tokens.tolist() == [69_999, 1, 0]
    assert corpus.shards[0].tokens.dtype == np.uint32


def test_sequences_can_be_cut_from_it(prepared: Prepare, tokenizer: Tokenizer) -> None:
    corpus = prepared(DOCUMENTS, shard_tokens=400)
    assert tokenizer.cls_id is not None
    assert tokenizer.sep_id is not None
    sequences = Sequences(corpus.shards, SequenceSettings(32), start_id=tokenizer.cls_id, end_id=tokenizer.sep_id)
    batch, word_starts = sequences.take(np.arange(20))
    assert len(word_starts) == len(batch.input_ids)
    assert batch.lengths.max() <= 32


def test_progress_tells_bytes_and_documents(prepared: Prepare, tmp_path: Path) -> None:
    watcher = Watcher()
    prepared(DOCUMENTS, watcher=watcher)
    size = (tmp_path / "text.txt").stat().st_size
    assert watcher.read_bytes[-1] == (size, size)
    assert watcher.documents == len(DOCUMENTS)
    assert not watcher.messages


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lines": "sentence"}, "Did you mean 'sentences'"),
        ({"deduplicate": "nearly"}, "none, exact, near"),
        ({"on_bad_rows": "skip"}, "error, drop"),
        ({"shard_tokens": 0}, "at least 1"),
        ({"held_out": 0.6}, "0 to 0.5"),
        ({"held_out": -0.1}, "0 to 0.5"),
        ({"language": "english!"}, "code"),
        ({"encoding": "utf-9"}, "utf-"),
        ({"processes": 0}, "at least 1"),
    ],
)
def test_wrong_settings(prepared: Prepare, wrong: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        prepared(DOCUMENTS, **wrong)


def test_all_wrong_settings_are_told_at_once(prepared: Prepare) -> None:
    with pytest.raises(SettingsError, match=r"lines .*shard_tokens .*held_out"):
        prepared(DOCUMENTS, lines="x", shard_tokens=-1, held_out=2.0)


def test_text_without_anything_to_train_on(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "nothing.txt").write_text("\u200b\n\n\u200b\n")
    with pytest.raises(DataError, match=r"no text is left to train on: .*2 documents dropped: without a token"):
        prepared(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match="nowhere"):
        prepared(tmp_path / "nowhere.txt")
