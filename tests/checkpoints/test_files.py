"""Weights and JSON files: round trips against the reference reader, shards, and what is wrong with a folder."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from bertworks.checkpoints import open_tensors, read_json, write_json, write_tensors
from bertworks.checkpoints.dtypes import CODES, convert, round_to_bfloat16, widen_bfloat16
from bertworks.errors import CheckpointError

SHAPES = {"odd": (3, 5, 7), "row": (1, 13), "scalar": (), "empty": (0, 4), "one": (1,)}


def some_tensors(kinds: list[str] | None = None) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    out = {}
    for kind in kinds or [kind for kind in CODES if kind != "bfloat16"]:
        for name, shape in SHAPES.items():
            out[f"{kind}.{name}"] = np.asarray(random.normal(size=shape) * 50).astype(kind)
    return out


def test_round_trip_of_every_dtype_is_bit_exact(tmp_path: Path) -> None:
    tensors = some_tensors()
    write_tensors(tmp_path / "model.safetensors", tensors)
    with open_tensors(tmp_path) as files:
        assert sorted(files) == sorted(tensors)
        for name, array in tensors.items():
            assert files.dtypes[name] == array.dtype.name == files[name].dtype.name
            assert files.shapes[name] == array.shape == files[name].shape
            np.testing.assert_array_equal(files[name], array)
            assert not files[name].flags.writeable
    with safe_open(tmp_path / "model.safetensors", "pt") as reference:
        assert reference.metadata() == {"format": "pt"}
        for name, array in tensors.items():
            np.testing.assert_array_equal(reference.get_tensor(name).numpy(), array)


def test_reads_what_the_reference_writes(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(3, 5).to(torch.bfloat16),
        "scalar": torch.tensor(-0.1).to(torch.bfloat16),
        "none": torch.zeros(0, 3).to(torch.bfloat16),
        "fp16": torch.randn(7).half(),
        "double": torch.randn(2, 3).double(),
        "position_ids": torch.arange(512).expand((1, -1)).clone(),
        "flag": torch.tensor([True, False, True]),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    files = open_tensors(tmp_path)
    assert files.dtypes["half"] == "bfloat16"
    for name, tensor in tensors.items():
        expected = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
        np.testing.assert_array_equal(files[name], expected.numpy())
        assert files[name].dtype == expected.numpy().dtype
        assert files[name].shape == tuple(tensor.shape)
        want = expected.float() if tensor.is_floating_point() else expected
        assert files.read(name).dtype == want.numpy().dtype
        np.testing.assert_array_equal(files.read(name), want.numpy())
    kept = files["double"]
    files.close()
    np.testing.assert_array_equal(kept, tensors["double"].numpy())
    with pytest.raises(CheckpointError, match="closed"):
        files["half"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_conversion_on_saving_equals_torch(tmp_path: Path, dtype: str) -> None:
    tensors = some_tensors(["float64", "float32", "float16", "int64", "bool"])
    write_tensors(tmp_path / "a.safetensors", tensors, dtype=dtype)
    read = load_file(tmp_path / "a.safetensors")
    for name, array in tensors.items():
        expected = torch.from_numpy(array)
        expected = expected.to(getattr(torch, dtype)) if expected.is_floating_point() else expected
        assert read[name].dtype == expected.dtype
        assert torch.equal(read[name], expected), name
    ours = open_tensors(tmp_path / "a.safetensors")
    for name in tensors:
        np.testing.assert_array_equal(ours.read(name), (read[name].float() if read[name].is_floating_point() else read[name]).numpy())


def test_bfloat16_rounds_to_nearest_even_for_every_kind_of_bits() -> None:
    random = np.random.default_rng(1)
    edges = np.array(
        [0, 0x80000000, 1, 0x7F7FFFFF, 0x7F7F7FFF, 0x7F7F8000, 0x7F800000, 0xFF800000, 0x3F808000, 0x3F818000], dtype=np.uint32
    )
    bits = np.concatenate([edges, random.integers(0, 2**32, 100_000, dtype=np.uint32)])
    values = bits.view(np.float32)
    numbers = ~np.isnan(values)
    expected = torch.from_numpy(values.copy()).to(torch.bfloat16)
    ours = round_to_bfloat16(values)
    np.testing.assert_array_equal(ours[numbers], expected.view(torch.uint16).numpy()[numbers])
    assert np.isnan(widen_bfloat16(ours)[~numbers]).all()
    assert np.isnan(widen_bfloat16(round_to_bfloat16(np.array([0x7F800001, 0xFFFFFFFF], dtype=np.uint32).view(np.float32)))).all()
    every = np.arange(2**16, dtype=np.uint16)
    np.testing.assert_array_equal(
        widen_bfloat16(every).view(np.uint32), torch.from_numpy(every).view(torch.bfloat16).float().numpy().view(np.uint32)
    )


def test_a_value_that_the_dtype_cannot_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'big' holds 70000, which float16 cannot: use bfloat16 or float32"):
        write_tensors(tmp_path / "model.safetensors", {"big": np.array([1, -70000], dtype=np.float32)}, dtype="float16")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CheckpointError, match="bfloat16 cannot: use float32"):
        convert("x", np.array([3.4e38], dtype=np.float32), "bfloat16")
    assert np.isinf(convert("x", np.array([np.inf]), "float16")).all()


def test_unusual_layouts_are_stored_by_value(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    tensors = {
        "turned": base.T,
        "strided": base[::2, ::-1],
        "big_endian": base.astype(">f4"),
        "same": base,
        "läßt": base[1:2],
        "number": base.sum(),
    }
    write_tensors(tmp_path / "model.safetensors", tensors, metadata={"note": "ü"})
    first = (tmp_path / "model.safetensors").read_bytes()
    for name, array in open_tensors(tmp_path).items():
        np.testing.assert_array_equal(array, tensors[name])
    assert all(
        torch.equal(value, torch.from_numpy(np.array(tensors[name], dtype="<f4")))
        for name, value in load_file(tmp_path / "model.safetensors").items()
    )
    write_tensors(tmp_path / "model.safetensors", dict(reversed(tensors.items())), metadata={"note": "ü"})
    assert (tmp_path / "model.safetensors").read_bytes() == first


def test_unaligned_tensors_are_read(tmp_path: Path) -> None:
    values = np.arange(5, dtype=np.float64)
    header = json.dumps(
        {"a": {"dtype": "F64", "shape": [5], "data_offsets": [1, 41]}, "b": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    )
    for pad in range(8):
        text = (header + " " * pad).encode()
        (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\7" + values.tobytes())
        files = open_tensors(tmp_path)
        np.testing.assert_array_equal(files["a"], values)
        assert files["a"].flags.aligned
        assert files["b"].tolist() == [7]


@pytest.fixture(scope="module")
def tiny_bert() -> BertModel:
    torch.manual_seed(3)
    return BertModel(BertConfig(vocab_size=37, hidden_size=24, num_hidden_layers=3, num_attention_heads=2, intermediate_size=40))


def test_shards_of_transformers_read_back_equal(tmp_path: Path, tiny_bert: BertModel) -> None:
    tiny_bert.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    files = open_tensors(tmp_path)
    state = tiny_bert.state_dict()
    assert set(files) == set(state)
    assert all(np.array_equal(files[name], state[name].numpy()) for name in files)


def test_transformers_reads_our_shards(tmp_path: Path, tiny_bert: BertModel) -> None:
    state = {name: value.numpy() for name, value in tiny_bert.state_dict().items()}
    tiny_bert.config.save_pretrained(tmp_path)
    write_tensors(tmp_path / "model.safetensors", state)
    assert BertModel.from_pretrained(tmp_path).state_dict().keys() == tiny_bert.state_dict().keys()
    write_tensors(tmp_path / "model.safetensors", state, max_shard_bytes=20_000)
    names = sorted(path.name for path in tmp_path.glob("model*"))
    count = len(names) - 1
    assert names == [f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)] + ["model.safetensors.index.json"]
    largest = max(array.nbytes for array in state.values())
    assert all(path.stat().st_size < max(20_000, largest) + 4000 for path in tmp_path.glob("model-*"))
    loaded, info = BertModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in tiny_bert.state_dict().items())
    write_tensors(tmp_path / "model.safetensors", state, max_shard_bytes=40_000)
    assert all(np.array_equal(array, state[name]) for name, array in open_tensors(tmp_path).items())
    write_tensors(tmp_path / "model.safetensors", state, max_shard_bytes=10**9)
    assert [path.name for path in tmp_path.glob("model*")] == ["model.safetensors"]


def test_saving_again_from_an_open_view_of_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, some_tensors(["float32", "int32"]))
    files = open_tensors(tmp_path)
    write_tensors(path, files, dtype="bfloat16")
    again = open_tensors(tmp_path)
    for name, array in files.items():
        np.testing.assert_allclose(again[name], array, rtol=2**-8)


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    good = np.zeros(2, dtype=np.float32)
    for name, array in {"__metadata__": good, "c": good.astype(complex), "o": np.array(["a"]), "l": [1.0], "\ud800": good}.items():
        with pytest.raises(CheckpointError, match="cannot save"):
            write_tensors(tmp_path / "model.safetensors", {name: array})
    with pytest.raises(CheckpointError, match=r"ends in \.safetensors"):
        write_tensors(tmp_path / "model.bin", {"a": good})
    with pytest.raises(CheckpointError, match="at least 1"):
        write_tensors(tmp_path / "model.safetensors", {"a": good}, max_shard_bytes=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_weights_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"looked for model\.safetensors, .*; found nothing"):
        open_tensors(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"found config\.json"):
        open_tensors(tmp_path)
    (tmp_path / "other.safetensors").write_text("")
    with pytest.raises(CheckpointError, match=r"rename it to model\.safetensors"):
        open_tensors(tmp_path)
    (tmp_path / "tf_model.h5").write_text("")
    with pytest.raises(CheckpointError, match="Keras's format"):
        open_tensors(tmp_path)
    with pytest.raises(CheckpointError, match="a file, not a model folder"):
        open_tensors(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="is missing"):
        open_tensors(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="link to a file that is gone"):
        open_tensors(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no safetensors file"),
        (b"\x10\0\0\0\0\0\0\0{}", "cut short"),
        (b"\xff" * 64, "no safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        open_tensors(tmp_path)


def test_index_that_does_not_fit(tmp_path: Path) -> None:
    tensors = {name: np.full(4, number, dtype=np.float32) for number, name in enumerate("abc")}
    write_tensors(tmp_path / "model.safetensors", tensors, max_shard_bytes=16)
    index = tmp_path / "model.safetensors.index.json"
    sound = read_json(index)
    assert sound["metadata"] == {"total_parameters": 12, "total_size": 48}

    def opened_with(weight_map: object) -> str:
        write_json(index, {"weight_map": weight_map})
        with pytest.raises(CheckpointError) as caught:
            open_tensors(tmp_path)
        return str(caught.value)

    homes = sound["weight_map"]
    first = homes["a"]
    assert "lacks tensor 'd'" in opened_with({**homes, "d": first})
    assert "holds tensor 'a'" in opened_with({"d": first, "b": homes["b"]}) or "lacks" in opened_with({"d": first})
    assert "lacks model-00009" in opened_with({**homes, "a": "model-00009-of-00009.safetensors"})
    assert "no table" in opened_with([1])
    assert "no table" in opened_with({"a": 1})
    assert "no table" in opened_with({})
    outside = tmp_path.parent / "outside.safetensors"
    write_tensors(outside, {"a": tensors["a"]})
    for trick in (
        str(outside),
        f"../{outside.name}",
        f"..\\{outside.name}",
        f"./{first}",
        f"C:{first}",
        "..",
        f"a\0{first}",
        "config.json",
    ):
        assert "refused" in opened_with({**homes, "a": trick})
    (tmp_path / first).unlink()
    assert first in opened_with(homes)


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    value = {"b": 1, "a": [1.5, None, "ß"], "n": {"10": "x", "2": "y"}}
    write_json(path, value)
    first = path.read_bytes()
    assert read_json(path) == value
    write_json(path, read_json(path))
    assert path.read_bytes() == first
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_json(path) == {}
    for content, message in {
        b'{\n "a": 1,\n "b" 2}': "line 3, column 6",
        b"[1]": "holds a list, not an object",
        b"\xff\xfe": r"no UTF-8 text \(byte 0\)",
        b"[" * 100_000: "nested too deeply",
        b'{"a": 1, "a": 2}': "the name 'a' stands twice in one object",
        b'{"a": ' + b"9" * 5000 + b"}": "no JSON text that can be read",
    }.items():
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            read_json(path)
    with pytest.raises(CheckpointError, match="is missing"):
        read_json(tmp_path / "absent.json")
    path.write_bytes(first)
    for bad in (float("nan"), object(), np.float32(1), "\ud800"):
        with pytest.raises(CheckpointError, match="cannot save"):
            write_json(path, {"x": bad})
    assert path.read_bytes() == first


def test_the_room_is_light() -> None:
    code = (
        "import sys, bertworks.checkpoints; print(sorted({'torch', 'huggingface_hub', 'transformers', 'safetensors'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
