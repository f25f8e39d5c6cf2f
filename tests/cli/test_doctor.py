"""`bertworks doctor` and `demo`."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import bertworks as package
from bertworks.estimators.verbs import doctor

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


def test_doctor_names_every_extra_that_users_have(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    wanted = {extra: re.split("[<>=]", packages[0])[0] for extra, packages in declared.items() if extra not in ("test", "dev")}

    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    told = {fact.name: fact.why for fact in doctor._installed() if fact.topic == "extras"}
    assert set(told) == set(wanted.values())
    for extra, name in wanted.items():
        assert told[name].endswith(f": pip install {name}, or pip install 'bertworks[{extra}]'")


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
