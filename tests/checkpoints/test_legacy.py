"""PyTorch's older files: read equal, and never run."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertworks.checkpoints import open_tensors, write_json
from bertworks.checkpoints.legacy import read_bin
from bertworks.errors import CheckpointError

STATE = {
    "weight": torch.randn(3, 5),
    "turned": torch.randn(4, 6).T,
    "half": torch.randn(7).half(),
    "bfloat": torch.randn(2, 3).to(torch.bfloat16),
    "double": torch.randn(2).double(),
    "position_ids": torch.arange(9).expand((1, -1)),
    "scalar": torch.tensor(3),
    "empty": torch.zeros(0, 4),
    "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    "flag": torch.tensor([True, False]),
}


def plain(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


@pytest.mark.parametrize("zipped", [True, False])
def test_bin_files_read_equal(tmp_path: Path, zipped: bool) -> None:
    torch.save(STATE, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    files = open_tensors(tmp_path)
    assert list(files) == list(STATE)
    for name, tensor in STATE.items():
        assert files[name].dtype == plain(tensor).dtype
        assert not files[name].flags.writeable
        np.testing.assert_array_equal(files[name], plain(tensor))
        assert files.shapes[name] == tuple(tensor.shape)
    assert files.read("half").dtype == np.float32
    files.close()
    with pytest.raises(CheckpointError, match="closed"):
        files["weight"]


def test_shards_of_bin_files(tmp_path: Path) -> None:
    names = list(STATE)
    homes = {name: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, name in enumerate(names)}
    for file in set(homes.values()):
        torch.save({name: STATE[name] for name in names if homes[name] == file}, tmp_path / file)
    write_json(tmp_path / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": homes})
    files = open_tensors(tmp_path)
    assert list(files) == names
    assert all(np.array_equal(files[name], plain(tensor)) for name, tensor in STATE.items())


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    trap = tmp_path / "trap"
    torch.save({"weight": torch.zeros(2), "x": Evil(trap)}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"mkdir.*loads no pickles.*model\.safetensors") as caught:
        open_tensors(tmp_path)
    assert "weights_only=False" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not trap.exists()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(trap)))
    with pytest.raises(CheckpointError):
        open_tensors(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"weight": torch.zeros(2)}}, "'model', which is a dict.*may be inside"),
        ({"weight": torch.zeros(2), "epoch": 3}, "'epoch', which is a int"),
        ({1: torch.zeros(2)}, "without a name"),
        ([torch.zeros(2)], "holds a list, not named tensors"),
        ({"s": torch.eye(3).to_sparse()}, "save it dense"),
        ({"c": torch.zeros(2, dtype=torch.complex64)}, "complex64, which bertworks does not read"),
        ({"huge": torch.zeros(1).expand(2**40)}, "claims more values"),
        ({"m": torch.zeros(3, device="meta")}, "save it dense|claims more"),
    ],
)
def test_anything_but_named_tensors_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=message):
        read_bin(tmp_path / "pytorch_model.bin")


def test_missing_and_pointer_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        read_bin(tmp_path / "pytorch_model.bin")
    (tmp_path / "pytorch_model.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        read_bin(tmp_path / "pytorch_model.bin")
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "w") as archive:
        archive.writestr("a.txt", "no model")
    with pytest.raises(CheckpointError, match="damaged or no PyTorch file"):
        read_bin(tmp_path / "pytorch_model.bin")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1, exclude_max=True), zipped=st.booleans())
def test_truncated_files_are_refused(tmp_path: Path, cut: float, zipped: bool) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"weight": torch.arange(6.0), "b": torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(CheckpointError):
        read_bin(path)
