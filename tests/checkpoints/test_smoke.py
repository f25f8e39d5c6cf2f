"""Self-verifying folders: stored outputs and fingerprints."""

from pathlib import Path

import numpy as np
import pytest

from bertworks.checkpoints import SmokeCase, check_smoke, fingerprint, read_json, read_smoke, write_json, write_smoke, write_tensors
from bertworks.errors import CheckpointError

CASES = [
    SmokeCase("a text", [0.1, 1 / 3]),
    SmokeCase({"question": "wer?", "context": "ich"}, np.float32([[1.1, 2], [3, 4], [5, 6]])),
    SmokeCase(["a", "b"], 7),
]
OUTPUTS = [np.array([0.1, 1 / 3]), [[1.1, 2], [3, 4], [5, 6.0]], np.float32(7)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "config.json", {"hidden_size": 3})
    (tmp_path / "tokenizer.json").write_text("{}")
    write_tensors(tmp_path / "model.safetensors", {"a": np.arange(5.0)})
    write_smoke(tmp_path, CASES, tolerance=1e-5, computed_with={"bertworks": "0.1", "precision": "float32"})
    return tmp_path


def test_round_trip(folder: Path) -> None:
    smoke = read_smoke(folder)
    assert smoke is not None
    assert smoke.tolerance == 1e-5
    assert smoke.computed_with == {"bertworks": "0.1", "precision": "float32"}
    assert [case.input for case in smoke.cases] == [case.input for case in CASES]
    assert smoke.cases[0].output == [0.1, 1 / 3]
    check_smoke(smoke, OUTPUTS)
    check_smoke(smoke, [OUTPUTS[0] + 5e-6, *OUTPUTS[1:]])


def test_absent(tmp_path: Path) -> None:
    assert read_smoke(tmp_path) is None


def test_differences_are_named(folder: Path) -> None:
    smoke = read_smoke(folder)
    assert smoke is not None
    worse = [[0.2, 0.3], np.array([[1.1, 2], [3, 3.5], [5, 6]]), 7]
    with pytest.raises(CheckpointError) as caught:
        check_smoke(smoke, worse)
    for part in ("2 of 3 smoke cases", "worst is case 2", "wer?", "up to 0.5", "1e-05", "weights, tokenizer or settings", "bertworks 0.1"):
        assert part in str(caught.value)
    with pytest.raises(CheckpointError, match=r"case 1.*shape is \[3\] instead of \[2\]"):
        check_smoke(smoke, [[1, 2, 3], *OUTPUTS[1:]])
    with pytest.raises(CheckpointError, match=r"case 3.*differs by up to inf"):
        check_smoke(smoke, [*OUTPUTS[:2], float("nan")])
    with pytest.raises(CheckpointError, match="not numbers instead of"):
        check_smoke(smoke, ["text", *OUTPUTS[1:]])
    with pytest.raises(CheckpointError, match="3 smoke cases are stored, but the model gave 2"):
        check_smoke(smoke, OUTPUTS[:2])


def test_what_cannot_be_stored(folder: Path) -> None:
    before = (folder / "smoke.json").read_bytes()
    for output in ([float("nan")], [[1, 2], [3]], "x", None, [True]):
        with pytest.raises(CheckpointError, match="case 1 is not finite numbers"):
            write_smoke(folder, [SmokeCase("a", output)], tolerance=1, computed_with={})
    with pytest.raises(CheckpointError, match="cannot save"):
        write_smoke(folder, [SmokeCase(object(), [1])], tolerance=1, computed_with={})
    for tolerance in (0, -1, float("nan"), float("inf")):
        with pytest.raises(CheckpointError, match="positive tolerance"):
            write_smoke(folder, CASES, tolerance=tolerance, computed_with={})
    with pytest.raises(CheckpointError, match="at least one case"):
        write_smoke(folder, [], tolerance=1, computed_with={})
    assert (folder / "smoke.json").read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"cases": []}, {"cases": [1]}, {"cases": [{"input": 1}]}, {"tolerance": "1"}, {"tolerance": -1}, {"computed_with": 1}]
)
def test_damaged(folder: Path, change: dict[str, object]) -> None:
    write_json(folder / "smoke.json", {**read_json(folder / "smoke.json"), **change})
    with pytest.raises(CheckpointError, match="is damaged"):
        read_smoke(folder)


def test_fingerprint_follows_what_the_answer_depends_on(folder: Path) -> None:
    first = fingerprint(folder)
    assert len(first) == 64
    (folder / "README.md").write_text("words")
    write_smoke(folder, CASES[:1], tolerance=1, computed_with={})
    (folder / "pytorch_model.bin").write_bytes(b"unused")
    assert fingerprint(folder) == first
    seen = {first}
    write_tensors(folder / "model.safetensors", {"a": np.arange(5.0) + 1e-9})
    seen.add(fingerprint(folder))
    write_json(folder / "config.json", {"hidden_size": 4})
    seen.add(fingerprint(folder))
    (folder / "vocab.txt").write_text("[PAD]")
    seen.add(fingerprint(folder))
    (folder / "vocab.txt").rename(folder / "vocab.json")
    seen.add(fingerprint(folder))
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling" / "config.json", {})
    seen.add(fingerprint(folder))
    assert len(seen) == 6


def test_fingerprint_of_older_weights_and_of_none(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    fingerprint(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match="no weights in"):
        fingerprint(folder)
