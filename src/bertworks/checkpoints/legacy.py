"""Weights in PyTorch's older file (`pytorch_model.bin`): the only file of this room that needs torch.

Such a file is a pickle, and a pickle is a program. It is therefore read with `weights_only=True`, which builds
tensors and plain containers and refuses everything else before it runs, and only if nothing but tensors is in it.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertworks.checkpoints.dtypes import CODES, Array, widen_bfloat16
from bertworks.checkpoints.opening import open_file, unreadable
from bertworks.checkpoints.safetensors_file import unusual_content
from bertworks.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    import torch

_REMEDY = (
    "bertworks loads no pickles, because they can run any program. If you trust its source, load it with the program that made it "
    "and save the weights as model.safetensors"
)


def read_bin(path: Path) -> dict[str, Array]:
    """All tensors of a file that `torch.save(model.state_dict(), path)` made, as read-only arrays.

    They are views of the memory-mapped file; files of PyTorch before 1.6 are read into memory, and bfloat16
    tensors are widened to float32.

    Raises `CheckpointError` when the file is damaged or holds anything other than named tensors, and
    `MissingExtraError` where torch is not installed.
    """
    try:
        with open_file(path) as stream:
            hint = unusual_content(stream.read(64))
    except OSError as error:
        raise unreadable(path, error) from error
    if hint is not None:
        raise CheckpointError(f"{path} {hint}")
    state = _load(path)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, not named tensors: {_REMEDY}")
    return {name: _array(path, name, value) for name, value in state.items()}


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"{path} is in PyTorch's older format: install torch, or convert it to model.safetensors") from error
    import pickle

    for mapped in (True, False):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about unusual pickles, which are refused or read rightly all the same
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except pickle.UnpicklingError as error:
            raise CheckpointError(f"{path} holds more than tensors ({_first_line(error)}): {_REMEDY}") from error
        except Exception as error:  # a damaged file makes the reader stumble anywhere
            if not mapped:
                raise CheckpointError(f"{path} is damaged or no PyTorch file ({_first_line(error)}): download or copy it again") from error
    raise AssertionError("unreachable")


def _first_line(error: Exception) -> str:
    """What the reader objected to, without its page of advice (which recommends to load the pickle)."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Unsupported" in line or "global" in line.lower()]
    return (telling or lines or [type(error).__name__])[0][:200]


def _array(path: Path, name: Any, value: Any) -> Array:
    import torch

    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        what = f"'{name}', which is a {type(value).__name__}" if isinstance(name, str) else f"an entry without a name ({name!r:.50})"
        nested = "; the weights may be inside it: save that part alone" if isinstance(value, dict) else ""
        raise CheckpointError(f"{path} holds {what}, beside or instead of tensors{nested}: {_REMEDY}")
    if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
        raise CheckpointError(f"{path}: tensor '{name}' is {value.layout}, {value.dtype} on {value.device}: save it dense and unquantized")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise CheckpointError(f"{path}: tensor '{name}' claims more values than the file holds: download or copy it again")
    return _numbers(path, name, value.detach())


def _numbers(path: Path, name: str, tensor: "torch.Tensor") -> Array:
    import torch

    try:
        if tensor.dtype is torch.bfloat16:
            array: Array = widen_bfloat16(tensor.view(torch.uint16).numpy())
        else:
            array = tensor.numpy()
        if array.dtype.name not in CODES:
            raise TypeError(f"no kind of number for {array.dtype}")
    except (TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: tensor '{name}' is stored as {tensor.dtype}, which bertworks does not read: convert it") from error
    array.flags.writeable = False
    return array
