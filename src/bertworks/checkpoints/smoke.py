"""A model folder that verifies itself: a few inputs with the outputs that the model gave when it was saved.

A model that is loaded and answers these otherwise is not the model that was saved: its weights, tokenizer or
settings changed in between.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.checkpoints.files import read_json, write_json
from bertworks.errors import CheckpointError

SMOKE = "smoke.json"
_CHUNK = 1 << 20
_LARGEST_TOLERANCE = 1e6
"""No difference is so large: a tolerance beyond it would verify anything."""
_PARTS = ("config*.json", "sentence_*_config.json", "modules.json", "bertworks*", "[0-9]_*/*", "model*.safetensors*")
_FEW_SHOT_PARTS = ("few_shot.json", "head.safetensors")
"""What a few-shot classifier has besides the encoder in it, which has a fingerprint of its own."""
_TOKENIZER_PARTS = ("tokenizer*.json", "vocab*", "merges*", "special_tokens_map.json", "added_tokens.json", "*.model")
_LEGACY_WEIGHTS = ("pytorch_model*.bin*", "bert_config.json", "*.index", "*.data-*-of-*", "checkpoint")


@dataclass(frozen=True)
class SmokeCase:
    """One input and what the model answered."""

    input: Any
    """What the model was given, as JSON."""
    output: Any
    """Finite numbers: one, or nested lists of equal lengths (a vector, a matrix …)."""


@dataclass(frozen=True)
class Smoke:
    """The contents of `smoke.json`."""

    cases: tuple[SmokeCase, ...]
    tolerance: float
    """Largest absolute difference between an output and the stored one that still counts as the same."""
    computed_with: Mapping[str, str] = field(default_factory=dict)
    """What the outputs were computed with: versions, precision, device."""


def write_smoke(folder: Path, cases: Sequence[SmokeCase], *, tolerance: float, computed_with: Mapping[str, str]) -> None:
    """Write `smoke.json` into a model folder, atomically. Outputs may be NumPy arrays.

    Raises `CheckpointError` when there are no cases, an output is not finite numbers, or the tolerance not positive.
    """
    path = Path(folder) / SMOKE
    if not cases or not 0 < tolerance < _LARGEST_TOLERANCE:
        raise CheckpointError(f"{path} needs at least one case and a positive tolerance, not {len(cases)} cases and {tolerance}")
    stored = []
    for number, case in enumerate(cases, 1):
        output = _numbers(case.output)
        if output is None or not np.isfinite(output).all():
            raise CheckpointError(f"{path}: the output of case {number} is not finite numbers in lists of equal lengths")
        stored.append({"input": case.input, "output": output.tolist()})
    write_json(path, {"tolerance": tolerance, "computed_with": dict(computed_with), "cases": stored})


def read_smoke(folder: Path) -> Smoke | None:
    """The smoke cases of a model folder; None where it has none. Raises `CheckpointError` for a damaged file."""
    path = Path(folder) / SMOKE
    if not os.path.lexists(path):
        return None
    content = read_json(path)
    tolerance, cases, computed_with = content.get("tolerance"), content.get("cases"), content.get("computed_with", {})
    sound = (
        isinstance(tolerance, int | float)
        and not isinstance(tolerance, bool)
        and 0 < tolerance < _LARGEST_TOLERANCE
        and isinstance(computed_with, dict)
        and isinstance(cases, list)
        and all(isinstance(case, dict) and "input" in case and _numbers(case.get("output")) is not None for case in cases)
    )
    if not sound or not cases or tolerance is None:
        raise CheckpointError(f"{path} is damaged: save the model again, or remove the file to do without verification")
    return Smoke(tuple(SmokeCase(case["input"], case["output"]) for case in cases), float(tolerance), computed_with)


def check_smoke(smoke: Smoke, outputs: Sequence[Any]) -> None:
    """Compare what a loaded model answers to the smoke inputs with what is stored.

    `outputs` are in the order of `smoke.cases`. Raises `CheckpointError` that names the case which differs most, by
    how much, and what that means.

    >>> check_smoke(Smoke((SmokeCase("a text", [0.25, 0.75]),), tolerance=1e-5), [[0.250001, 0.749999]])
    """
    if len(outputs) != len(smoke.cases):
        raise CheckpointError(f"{len(smoke.cases)} smoke cases are stored, but the model gave {len(outputs)} outputs")
    failed = []
    for number, (case, given) in enumerate(zip(smoke.cases, outputs, strict=True), 1):
        stored, output = _numbers(case.output), _numbers(given)
        if stored is None or output is None or stored.shape != output.shape:
            shapes = " instead of ".join("not numbers" if array is None else str(list(array.shape)) for array in (output, stored))
            failed.append((math.inf, number, case, f"its shape is {shapes}"))
            continue
        difference = np.nan_to_num(np.abs(output - stored), nan=np.inf)
        largest = float(difference.max(initial=0.0))
        if largest > smoke.tolerance:
            failed.append((largest, number, case, f"it differs by up to {largest:.3g}, allowed are {smoke.tolerance:.3g}"))
    if failed:
        _, number, case, what = max(failed, key=lambda item: item[0])
        text = json.dumps(case.input, ensure_ascii=False, default=str)
        shown = text if len(text) <= 80 else text[:79] + "…"
        made = ", ".join(f"{key} {value}" for key, value in smoke.computed_with.items())
        raise CheckpointError(
            f"the model does not answer as it did when it was saved: {len(failed)} of {len(smoke.cases)} smoke cases; "
            f"worst is case {number}, {shown}: {what}. "
            f"Its weights, tokenizer or settings changed since{f' (saved with {made})' if made else ''}: "
            "restore the folder from its source, or save it again if the change is meant"
        )


def _numbers(value: Any) -> np.ndarray[Any, Any] | None:
    try:
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "fiu" else None
    except (ValueError, TypeError, OverflowError):  # lists of unequal lengths, text
        return None


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and bytes of a model's weights, configuration and tokenizer, as hexadecimal digits.

    Files are read in pieces of a mebibyte. Not included: `smoke.json`, and weights in older formats where
    there are safetensors. Raises `CheckpointError` when the folder holds no weights or a file cannot be read.
    """
    folder = Path(folder)
    weights = [*folder.glob("model*.safetensors")]
    patterns = [*_PARTS, *_FEW_SHOT_PARTS, *_TOKENIZER_PARTS, *(() if weights else _LEGACY_WEIGHTS)]
    found = {path.relative_to(folder).as_posix(): path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    if not any(name.endswith((".safetensors", ".bin", ".index")) for name in found):
        raise CheckpointError(f"no weights in {folder}, so it has no fingerprint: name a model folder")
    total = hashlib.sha256()
    for name in sorted(found):
        try:
            with open(found[name], "rb") as stream:
                total.update(f"{name}\0{os.fstat(stream.fileno()).st_size}\0".encode())
                while piece := stream.read(_CHUNK):
                    total.update(piece)
        except OSError as error:
            raise CheckpointError(f"{found[name]} cannot be read: {error.strerror or error}") from error
    return total.hexdigest()
