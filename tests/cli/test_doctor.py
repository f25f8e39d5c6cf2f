"""`bertworks doctor` and `demo`."""

from pathlib import Path

import pytest

import bertworks as package

from .conftest import Bertworks


def test_doctor(bertworks: Bertworks) -> None:
    done = bertworks("doctor")
    assert done.code == 0, done.err
    for told in ("device", "precision", "attention in training", "GFLOP/s", "torch", "default encoder", "cache folder"):
        assert told in done.out
    report = bertworks("doctor", "--json").json
    assert report["chosen here"]["device"]["why"]
    assert report["installed"]["bertworks"]["value"] == package.__version__
    assert any("device" in line for line in package.doctor().lines())


def test_demo_with_a_tiny_encoder(bertworks: Bertworks, encoder: Path) -> None:
    Path("runs/demo").mkdir(parents=True)
    done = bertworks("demo", "--model", encoder, "--epochs", "0.2", "--precision", "float32", "--threads", "1")
    assert done.code == 0, done.err
    for told in ("This movie is fantastic!", "test (251 reviews never seen)", "runs/demo-2/model", "Try next"):
        assert told in done.out


@pytest.mark.slow
def test_the_demo(bertworks: Bertworks) -> None:
    report = bertworks("demo", "--json").json
    assert report["prediction"]["prediction"] == "positive"
    assert report["test"]["metrics"]["accuracy"] > 0.6
