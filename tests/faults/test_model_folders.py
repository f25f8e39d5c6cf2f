"""Model folders made to do harm: links, pipes, devices, sizes without end, panics of a library, words for a terminal."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import bertworks as bw
from bertworks.checkpoints import open_tensors, write_tensors
from bertworks.errors import CheckpointError, DataError
from bertworks.tokenization import Tokenizer
from tests.faults import world

FILES = [
    "config.json",
    "bertworks.json",
    "smoke.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return world.build(tmp_path_factory.mktemp("folders") / "world")


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    """A finished model's folder, to be damaged."""
    return Path(shutil.copytree(made / "model", tmp_path / "model"))


def load(folder: Path) -> bw.TextClassifier:
    return bw.load(folder, device="cpu", precision="float32", verify=True)


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    return str(caught.value)


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "is a link to a file that is gone": lambda path: path.symlink_to("nowhere"),
    "Too many levels": lambda path: path.symlink_to(path),
    "out of its folder: refused": lambda path: path.symlink_to(Path(__file__)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("words", OBSTACLES)
def test_what_is_no_plain_file_keeps_nobody_waiting(model: Path, name: str, words: str) -> None:
    (model / name).unlink(missing_ok=True)
    OBSTACLES[words](model / name)
    told = refused(model)
    assert words in told
    assert name in told


def test_links_that_people_have_for_good_reasons(model: Path, tmp_path: Path) -> None:
    """The hub's cache, a store of files by their hashes, and files that live elsewhere under their own names."""
    home = tmp_path / "models--org--name"
    snapshot, blobs = home / "snapshots" / ("c" * 40), home / "blobs"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(model.iterdir())):
        blob = blobs / f"{number:040x}"
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    assert load(snapshot).classes_.tolist() == ["negative", "positive"]
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in model.iterdir():
        (linked / file.name).symlink_to(file)
    (linked / "model.safetensors").unlink()
    shutil.copy(model / "model.safetensors", tmp_path / "weights-of-march.safetensors")
    (linked / "model.safetensors").symlink_to("../weights-of-march.safetensors")
    assert load(linked).classes_.tolist() == ["negative", "positive"]
    (tmp_path / "shortcut").symlink_to(linked)
    assert load(tmp_path / "shortcut").classes_.tolist() == ["negative", "positive"]


def test_a_link_to_a_secret_tells_nothing_of_it(model: Path, tmp_path: Path) -> None:
    (tmp_path / "id_key").write_text("[UNK] xyzzy plugh")
    for name in ("tokenizer.json", "vocab.txt"):
        (model / name).unlink()
    (model / "vocab.txt").symlink_to("../id_key")
    told = refused(model)
    assert "id_key" in told
    assert "xyzzy" not in told
    assert "plugh" not in told


def test_shards_may_not_lead_out_of_the_folder(model: Path) -> None:
    with open_tensors(model) as files:
        arrays = {name: np.array(files[name]) for name in files}
    write_tensors(model / "model.safetensors", arrays, max_shard_bytes=6000)
    index = model / "model.safetensors.index.json"
    sound = json.loads(index.read_text())["weight_map"]
    shard = next(iter(sound.values()))
    (model / shard).rename(model.parent / "elsewhere.txt")
    (model / shard).symlink_to("../elsewhere.txt")
    assert "out of its folder" in refused(model)


def test_sizes_that_a_sparse_file_makes_true(model: Path) -> None:
    """A header and a config.json that agree on 400 GB; the file, all holes, takes a few kilobytes of the disk."""
    rows, hidden = 10**8, 1000
    entry = {"dtype": "F32", "shape": [rows, hidden], "data_offsets": [0, rows * hidden * 4]}
    with open_tensors(model) as files:
        shapes = {name: shape for name, shape in files.shapes.items() if "word_embeddings" not in name}
    position, header = rows * hidden * 4, {"bert.embeddings.word_embeddings.weight": entry}
    for name, shape in shapes.items():
        grown = [hidden if size == 8 else size for size in shape]
        stop = position + 4 * int(np.prod(grown))
        header[name] = {"dtype": "F32", "shape": grown, "data_offsets": [position, stop]}
        position = stop
    text = json.dumps(header).encode()
    with open(model / "model.safetensors", "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        try:
            stream.truncate(8 + len(text) + position)
        except OSError:
            pytest.skip("this file system has no files with holes so large")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "vocab_size": rows, "hidden_size": hidden}))
    assert "takes 400 GB of memory, of which" in refused(model)


def test_a_panic_of_the_tokenizers_library_is_an_error(model: Path) -> None:
    """A template that names a special token which it does not list brings the library's Rust code to a panic."""
    path = model / "tokenizer.json"
    content = json.loads(path.read_text())
    content["post_processor"]["special_tokens"].pop("[SEP]")
    path.write_text(json.dumps(content))
    told = refused(model)
    assert "panicked" in told
    assert str(model) in told
    assert "\n" not in told


def test_a_panic_while_encoding_is_an_error_too(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    tokenizer = Tokenizer.load(model)
    panic = type("PanicException", (BaseException,), {})

    class Panicking:
        def encode_batch(self, *_: object, **__: object) -> None:
            raise panic("index out of bounds")

    monkeypatch.setattr(tokenizer, "_backend", Panicking())
    with pytest.raises(DataError, match=r"rows 0 to 1: a text cannot be tokenized: the tokenizers library panicked: index out of bounds"):
        tokenizer.encode_batch(["a", "b"])
    monkeypatch.setattr(Panicking, "encode_batch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode_batch(["a", "b"])


def test_names_from_files_cannot_steer_a_terminal(model: Path) -> None:
    evil = "x\x1b[2J\x07\r\n" + "y" * 5000
    (model / "model.safetensors").unlink()
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {evil: evil}}))
    told = refused(model)
    assert told.isprintable()
    assert len(told) < 2000
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": evil}))
    assert refused(model).isprintable()


def test_one_tensor_under_two_names(model: Path) -> None:
    with open_tensors(model) as files:
        arrays = {name: np.array(files[name]) for name in files}
    write_tensors(model / "model.safetensors", {**arrays, "embeddings.LayerNorm.gamma": np.zeros(8, np.float32)})
    assert "'bert.embeddings.LayerNorm.weight'" in refused(model)
    assert "the same tensor" in refused(model)


def test_a_repeated_word_of_a_vocabulary_is_told(model: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    lines = (model / "vocab.txt").read_text().splitlines()
    (model / "vocab.txt").write_text("\n".join([*lines[:-1], "the"]) + "\n")
    notes = Tokenizer.load(model, lower_case=True).notes
    assert "1 lines of vocab.txt repeat a token: the last line of each counts" in notes


def test_a_byte_order_mark_in_a_vocabulary_is_no_part_of_its_first_word(model: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    plain = Tokenizer.load(model, lower_case=True)
    (model / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + (model / "vocab.txt").read_bytes().replace(b"\n", b"\r\n"))
    assert Tokenizer.load(model, lower_case=True).fingerprint() == plain.fingerprint()


def test_labels_that_transformers_may_have_written(model: Path) -> None:
    (model / "bertworks.json").unlink()
    config = json.loads((model / "config.json").read_text())
    changes: dict[str, dict[str, object]] = {
        "'id2label' must give": {"id2label": {"0": "a", "2": "b"}},
        'from "0" on': {"id2label": {"0": "a", "1": ["b"]}},
        "two outputs the same name": {"id2label": {"0": "a", "1": "a"}},
        "'num_labels'": {"id2label": None, "num_labels": 10**12},
        "unknown problem_type": {"problem_type": ["regression"]},
        "config.json says nothing": {"architectures": 7},
    }
    for words, change in changes.items():
        (model / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(CheckpointError, match=words):
            bw.load(model)


def test_replacements_that_would_fill_all_memory(model: Path) -> None:
    path = model / "tokenizer.json"
    content = json.loads(path.read_text())
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    content["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [step] * 6}] * 2}
    path.write_text(json.dumps(content))
    assert "tokenizer.json: its replacements make texts longer beyond all measure" in refused(model)
    content["normalizer"]["normalizers"] = [step, step]
    path.write_text(json.dumps(content))
    assert Tokenizer.load(model).encode("a").truncated_tokens == 0
