"""Reading and writing model folders: weights, JSON files, hub names, self-verification."""

from bertworks.checkpoints.atomic import atomic_folder, atomic_write, recover
from bertworks.checkpoints.files import TensorFiles, open_tensors, read_json, write_json, write_tensors
from bertworks.checkpoints.hub import resolve
from bertworks.checkpoints.smoke import Smoke, SmokeCase, check_smoke, fingerprint, read_smoke, write_smoke

__all__ = [
    "Smoke",
    "SmokeCase",
    "TensorFiles",
    "atomic_folder",
    "atomic_write",
    "check_smoke",
    "fingerprint",
    "open_tensors",
    "read_json",
    "read_smoke",
    "recover",
    "resolve",
    "write_json",
    "write_smoke",
    "write_tensors",
]
