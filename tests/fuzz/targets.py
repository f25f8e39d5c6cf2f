"""What is fuzzed: each target takes any bytes, lets one reader read them, and raises only what that reader must not raise.

A reader may give a result, or a `BertworksError` whose message a terminal can show. Anything else is a finding. The
same targets serve the property tests (`test_fuzz.py`) and the long, coverage-guided runs (`harness.py`).
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.errors import BertworksError
from tests.conftest import write_tiny_bert
from tests.fuzz.mutations import PACKERS, Mutation, mutate_bytes, mutate_json, mutate_packed, mutate_safetensors, mutate_text
from tests.fuzz.names import HOME
from tests.tokenization.conftest import unigram, write_byte_level, write_vocabulary

LONGEST_MESSAGE = 3000
TEXTS = ["the dog runs over a hill, unable to play!", "  naïve café 博 😁\n[MASK] <mask> don't", "", "a" * 300, "\u0301\0\ufffd [CLS]"]


@dataclass(frozen=True)
class Target:
    """One reader with what it is fed."""

    seeds: Callable[[], list[bytes]]
    """Valid inputs, from which mutations start."""
    run: Callable[[bytes, Path], None]
    """Reads the bytes, with an empty folder to write in; raises what is a finding."""
    mutate: Mutation = mutate_bytes


@contextmanager
def only_deliberate_errors() -> Iterator[None]:
    """Lets deliberate errors pass whose message is one that a person can read; a table of tensors may have lines."""
    message = "-"
    try:
        yield
    except BertworksError as error:
        message = str(error) or f"{type(error).__name__} without a message"
    strange = sorted({character for character in message if not character.isprintable() and character != "\n"})
    assert "without a message" not in message
    assert not strange, f"the message holds {strange!r}: {message!r}"
    assert len(message) <= LONGEST_MESSAGE, f"the message has {len(message)} characters: {message[:200]!r}"
    assert "\n" not in message or "not fit the model" in message, f"the message has several lines: {message!r}"


@cache
def _home() -> Path:
    """A folder for what targets share, as long as the process lives; `harness.py` says where, and removes it."""
    return Path(tempfile.mkdtemp(prefix="bertworks-fuzz-", dir=os.environ.get(HOME)))


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(dir=_home()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def forget_home() -> None:
    """Removes what this process made."""
    shutil.rmtree(_home(), ignore_errors=True)
    _home.cache_clear()
    for made in (_bert, _model, _tokenizers):
        made.cache_clear()


@cache
def _bert() -> Path:
    return write_tiny_bert(_home() / "bert", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12)


@cache
def _model() -> Path:
    """A finished classifier's folder."""
    from bertworks.estimators import model_folder
    from bertworks.inference import load_model
    from bertworks.tasks.text_classification import TextClassification
    from bertworks.tokenization import Tokenizer

    task = TextClassification("multi", ("bad", "good"), max_tokens=20, thresholds=(0.25, 0.5))
    folder = _home() / "model"
    loaded = load_model(_bert(), task.heads, new_heads=True)
    model_folder.save(folder, loaded, Tokenizer.load(_bert()), task, about={"rows": 3}, replace=False)
    return folder


def _model_with(name: str, data: bytes, folder: Path) -> Path:
    """The finished model's folder with one file changed."""
    for file in _model().iterdir():
        if file.name != name:
            (folder / file.name).hardlink_to(file)
    (folder / name).write_bytes(data)
    return folder


# ---- model folders


def _weights(data: bytes, folder: Path) -> None:
    from bertworks.checkpoints import open_tensors

    (folder / "model.safetensors").write_bytes(data)
    with only_deliberate_errors(), open_tensors(folder) as files, np.errstate(all="ignore"):
        for name in files:
            assert files[name].shape == files.shapes[name]
            files.read(name)


def _old_weights(data: bytes, folder: Path) -> None:
    from bertworks.checkpoints import open_tensors

    (folder / "pytorch_model.bin").write_bytes(data)
    with only_deliberate_errors(), open_tensors(folder) as files, np.errstate(all="ignore"):
        for name in files:
            files.read(name)


def _old_weights_seeds() -> list[bytes]:
    import torch

    with scratch() as folder:
        out = []
        for zipped in (True, False):
            state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(3, dtype=torch.bfloat16), "c": torch.tensor(4)}
            torch.save(state, folder / "x", _use_new_zipfile_serialization=zipped)
            out.append((folder / "x").read_bytes())
        return out


def _index(data: bytes, folder: Path) -> None:
    from bertworks.checkpoints import open_tensors, write_tensors

    write_tensors(folder / "model.safetensors", {"a": np.zeros(2), "b": np.ones(2)}, max_shard_bytes=16)
    (folder / "model.safetensors.index.json").write_bytes(data)
    with only_deliberate_errors(), open_tensors(folder) as files:
        for name in files:
            files.read(name)


def _folder_file(name: str, change: Callable[[bytes], bytes] = lambda data: data) -> Target:
    """A whole model loaded, verified and asked, one of its files changed."""

    def run(data: bytes, folder: Path) -> None:
        import bertworks

        _model_with(name, change(data), folder)
        with only_deliberate_errors():
            model = bertworks.load(folder, device="cpu", precision="float32")
            model.predict_with_accounting(["good " * 9, "", "a bad film"])
        with only_deliberate_errors():
            bertworks.load(folder, device="cpu", precision="float32", verify=True)

    mutate = mutate_safetensors if name.endswith(".safetensors") else mutate_json
    return Target(lambda: [(_model() / name).read_bytes()], run, mutate)


def _as_transformers(data: bytes, folder: Path) -> None:
    """config.json alone says what the task is."""
    import bertworks

    _model_with("config.json", data, folder)
    (folder / "bertworks.json").unlink()
    with only_deliberate_errors():
        bertworks.load(folder, device="cpu", precision="float32").predict(["good"])


def _config_seeds() -> list[bytes]:
    config = json.loads((_model() / "config.json").read_bytes())
    return [json.dumps(c).encode() for c in (config, {**config, "num_labels": 2, "id2label": None, "problem_type": None})]


def _description(data: bytes, folder: Path) -> None:
    """config.json for a model that is to be trained."""
    from bertworks.inference import load_model

    (folder / "config.json").write_bytes(data)
    (folder / "model.safetensors").hardlink_to(_bert() / "model.safetensors")
    with only_deliberate_errors():
        load_model(folder, {"labels": ("sequence_classification", 3)}, new_heads=True)


# ---- tokenizers


@cache
def _tokenizers() -> list[Any]:
    from bertworks.tokenization import Tokenizer

    folder = _home()
    return [
        Tokenizer.load(write_vocabulary(folder / "cased", {"do_lower_case": False})),
        Tokenizer.load(write_vocabulary(folder / "uncased", {"do_lower_case": True})),
        Tokenizer.load(write_byte_level(folder / "roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])),
        Tokenizer(unigram(split=True)),
        Tokenizer(unigram(split=False)),
    ]


def _use_tokenizer(folder: Path) -> None:
    from bertworks.tokenization import Tokenizer

    with only_deliberate_errors():
        tokenizer = Tokenizer.load(folder)
        with only_deliberate_errors():
            for row in tokenizer.encode_batch(TEXTS, max_tokens=12):
                for encoding in row:
                    assert len(encoding.ids) == len(encoding.tokens) == len(encoding.offsets) == len(encoding.word_ids)
                    tokenizer.decode(encoding.ids)
        with only_deliberate_errors():
            tokenizer.encode_batch(TEXTS, TEXTS, max_tokens=9, overflow="head_tail", offsets=False)
        with only_deliberate_errors():
            tokenizer.save(folder / "saved")
        assert len(tokenizer.fingerprint()) == 64


def _tokenizer_json(data: bytes, folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(data)
    _use_tokenizer(folder)


def _tokenizer_seeds() -> list[bytes]:
    out = []
    for tokenizer in _tokenizers():
        with scratch() as folder:
            tokenizer.save(folder)
            out.append(json.dumps(json.loads((folder / "tokenizer.json").read_bytes()), ensure_ascii=False).encode())
    return out


def _vocabulary(data: bytes, folder: Path) -> None:
    """vocab.txt, and what follows a NUL NUL as tokenizer_config.json."""
    vocabulary, _, config = data.partition(b"\0\0")
    (folder / "vocab.txt").write_bytes(vocabulary)
    if config:
        (folder / "tokenizer_config.json").write_bytes(config)
    _use_tokenizer(folder)


def _vocabulary_seeds() -> list[bytes]:
    plain = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ndog\n##s\nun\n##able\n,\n"
    added = {"content": "<x>", "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    config = {"do_lower_case": True, "strip_accents": None, "unk_token": {"content": "[UNK]"}, "added_tokens_decoder": {"11": added}}
    return [plain, plain.replace(b"\n", b"\r\n"), plain + b"\0\0" + json.dumps(config).encode()]


def _merges(data: bytes, folder: Path) -> None:
    """vocab.json, and after NUL NUL merges.txt, and after another added_tokens.json."""
    vocabulary, merges, added = [*data.split(b"\0\0", 2), b"", b""][:3]
    (folder / "vocab.json").write_bytes(vocabulary)
    (folder / "merges.txt").write_bytes(merges)
    if added:
        (folder / "added_tokens.json").write_bytes(added)
    _use_tokenizer(folder)


def _merges_seeds() -> list[bytes]:
    vocabulary = json.dumps({token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "t", "h", "e", "th", "the", "Ġ"])})
    return [f"{vocabulary}\0\0#version: 0.2\nt h\nth e\n".encode(), f'{vocabulary}\0\0t h\n\0\0{{"<x>": 10}}'.encode()]


def _mutate_parts(data: bytes, random: Any) -> bytes:
    parts = data.split(b"\0\0")
    chosen = random.randrange(len(parts))
    parts[chosen] = (mutate_json if parts[chosen].lstrip()[:1] == b"{" else mutate_text)(parts[chosen], random)
    return b"\0\0".join(parts)


def _encode(data: bytes, folder: Path) -> None:
    """Any text in any tokenizer."""
    tokenizer = _tokenizers()[data[0] % len(_tokenizers())] if data else _tokenizers()[0]
    text = data[1:].decode("utf-8", "surrogatepass" if data[:1] > b"\x80" else "replace") if _decodable(data[1:]) else ""
    limit = 8 + (data[0] >> 4) if data else 8
    with only_deliberate_errors():
        (row,) = tokenizer.encode_batch([text], max_tokens=limit)
        for encoding in row:
            assert len(encoding.ids) <= limit
            assert ((encoding.offsets >= 0) & (encoding.offsets <= len(text))).all()
            assert (encoding.offsets[:, 0] <= encoding.offsets[:, 1]).all()
            tokenizer.decode(encoding.ids)


def _decodable(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


# ---- data


def _read(path: Path, **options: Any) -> None:
    from bertworks.data.table import read_table
    from bertworks.data.text_data import read_texts

    with only_deliberate_errors():
        names = read_table(str(path), on_bad_rows="drop", **options).data.column_names
        for kind in ("auto", "multi"):
            with only_deliberate_errors():
                for _ in read_texts(str(path), text=names[0], label=names[-1], kind=kind, on_bad_rows="drop", **options):
                    pass
    with only_deliberate_errors():
        read_texts(str(path), label=False, require_labels=False, **options)
    with only_deliberate_errors():
        read_texts(str(path), split="train[:50%]", shuffle_seed=0, limit=3, **options)


def _data_file(suffix: str, seeds: list[bytes], mutate: Mutation = mutate_text) -> Target:
    def run(data: bytes, folder: Path) -> None:
        path = folder / f"data{suffix}"
        path.write_bytes(data)
        _read(path)

    return Target(lambda: seeds, run, mutate)


_CSV = [
    b'id,text,label\n1,"a ""quoted"", text",pos\n2,plain,neg\n3,"two\nlines",pos\n4,\xc3\xa9,neg\n',
    b"text;score\r\ngood;1.5\r\nbad;-2\r\n",
    b"\xef\xbb\xbftext,label,split\na,x|y,train\nb,y,test\n",
    "text,label\nä,1\nb,2\n".encode("utf-16"),
]
_TSV = [b'sentence\tlabel\nHe said "hi"\t0\nplain\t1\n', b'text\tlabel\n"a\tb"\tx\n"c ""d"""\ty\n']
_JSONL = [
    b'{"text": "a", "label": 1}\n{"text": "b", "label": null}\n\n{"text": "c", "extra": [1, {"x": "y"}]}\n',
    b'{"text": "\\u00e9 \\ud83d\\ude00", "label": ["x", "y"]}\r\n{"text": "b", "label": []}\n',
    b'{"text": "a", "label": 0.5}\n{"text": "b", "label": NaN}\n{"text": 3, "label": true}\n',
]
_JSON = [
    b'[{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]',
    b'{"text": ["a", "b"], "label": [1, 2]}',
    b'{"text": "a", "label": [["x"], []]}\n{"text": "b"}',
]


def _mutate_lines(data: bytes, random: Any) -> bytes:
    lines = data.split(b"\n")
    chosen = random.randrange(len(lines))
    lines[chosen] = mutate_json(lines[chosen], random) if random.random() < 0.7 else mutate_text(lines[chosen], random)
    return b"\n".join(lines)


def _parquet_seeds() -> list[bytes]:
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as parquet

    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}}}
    tables = [
        pa.table({"text": ["a", "b", None], "label": [0, 1, 0]}).replace_schema_metadata({"huggingface": json.dumps(features)}),
        pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode(), "label": pa.array([["x"], [], None], pa.list_(pa.string()))}),
        pa.table({"text": pa.array(["a", "b"], pa.large_string()), "label": [decimal.Decimal("1.5"), None], "n": pa.nulls(2)}),
        pa.table({"text": ["a" * 50] * 40, "struct": [{"x": [1], "y": "z"}] * 40, "b": [b"\xff"] * 40, "label": [0.5, 1.0] * 20}),
    ]
    with scratch() as folder:
        out = []
        for table in tables:
            parquet.write_table(table, folder / "x", compression="none" if len(out) % 2 else "zstd")
            out.append((folder / "x").read_bytes())
        return out


def _packed(data: bytes, folder: Path) -> None:
    suffix = list(PACKERS)[data[0] % len(PACKERS)] if data else ".gz"
    path = folder / f"data.csv{suffix}"
    path.write_bytes(data[1:])
    _read(path)


def _packed_seeds() -> list[bytes]:
    return [bytes([number]) + pack(_CSV[0]) for number, (pack, _) in enumerate(PACKERS.values())]


def _labels(data: bytes, folder: Path) -> None:
    """A JSON array as a label column."""
    from bertworks.data.labels import read_labels
    from bertworks.data.records import columns_to_table

    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    with only_deliberate_errors():
        column = columns_to_table({"label": values if isinstance(values, list) else [values]}, "labels")["label"]
        for kind in ("auto", "single", "multi", "number"):
            with only_deliberate_errors():
                labels = read_labels(column, kind, "labels, column 'label'")
                assert len(labels.values) == len(column)


def _frame(data: bytes, folder: Path) -> None:
    """Labels and texts as a person hands them to `fit`."""
    from bertworks.estimators.rows import label_rows, text_rows
    from bertworks.tasks.text_classification import infer

    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    with only_deliberate_errors():
        text_rows(values)
    with only_deliberate_errors():
        infer(label_rows(values))


def _label_seeds() -> list[bytes]:
    columns: list[Any] = [["a", "b", None], [1, 2, 3.5], ["1", "2.5", "nan"], [["a"], [], ["b", "c"]], ["['a', 'b']", "[]"], ["a|b", "c"]]
    return [json.dumps(column).encode() for column in columns]


TARGETS: dict[str, Target] = {
    "safetensors": Target(lambda: [(_bert() / "model.safetensors").read_bytes()], _weights, mutate_safetensors),
    "pytorch-bin": Target(_old_weights_seeds, _old_weights),
    "shard-index": Target(
        lambda: [
            b'{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}',
        ],
        _index,
        mutate_json,
    ),
    "config": Target(_config_seeds, _description, mutate_json),
    "config-of-transformers": Target(_config_seeds, _as_transformers, mutate_json),
    "model-config": _folder_file("config.json"),
    "model-settings": _folder_file("bertworks.json"),
    "model-smoke": _folder_file("smoke.json"),
    "model-weights": _folder_file("model.safetensors"),
    "tokenizer-json": Target(_tokenizer_seeds, _tokenizer_json, mutate_json),
    "vocabulary": Target(_vocabulary_seeds, _vocabulary, _mutate_parts),
    "merges": Target(_merges_seeds, _merges, _mutate_parts),
    "encode": Target(lambda: [bytes([i]) + text.encode() for i, text in enumerate(TEXTS)], _encode, mutate_text),
    "csv": _data_file(".csv", _CSV),
    "tsv": _data_file(".tsv", _TSV),
    "jsonl": _data_file(".jsonl", _JSONL, _mutate_lines),
    "json": _data_file(".json", _JSON, mutate_json),
    "txt": _data_file(".txt", [b"one\ntwo\r\n\nthree", "ä\n".encode("utf-16")]),
    "parquet": Target(_parquet_seeds, lambda data, folder: _data_file(".parquet", []).run(data, folder)),
    "packed": Target(_packed_seeds, _packed, mutate_packed),
    "labels": Target(_label_seeds, _labels, mutate_json),
    "rows": Target(_label_seeds, _frame, mutate_json),
}
