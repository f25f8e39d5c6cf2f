"""What is chosen for a machine, and what becomes of a choice that is made for it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bertworks.errors import SettingsError
from bertworks.nn import machine
from bertworks.nn.machine import MachineChoice, cache_folder, choose, gemm_rates


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder that does not exist yet; threads are put back as they were."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("BERTWORKS_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    torch.set_num_threads(threads)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Rates that a stand-in for the measurement gives, and how often it was asked."""
    state: dict[str, Any] = {"float32": 100.0, "bfloat16": 1000.0, "measured": 0}

    def measure() -> dict[str, float]:
        state["measured"] += 1
        return {name: state[name] for name in ("float32", "bfloat16")}

    monkeypatch.setattr(machine, "_measure_gemm", measure)
    return state


@pytest.fixture
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_explicit_choices_are_kept(rates: dict[str, Any]) -> None:
    chosen = choose("cpu", "bfloat16", 777, 1)
    assert (chosen.device, chosen.precision, chosen.token_budget, chosen.threads) == ("cpu", "bfloat16", 777, 1)
    assert (chosen.dtype, chosen.torch_device) == (torch.bfloat16, torch.device("cpu"))
    assert set(chosen.reasons.values()) == {"as asked"}
    assert rates["measured"] == 0
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("cpu_only")
@pytest.mark.parametrize(("bfloat16", "precision"), [(1000.0, "bfloat16"), (110.0, "float32"), (20.0, "float32")])
def test_precision_follows_the_measurement(rates: dict[str, Any], bfloat16: float, precision: str) -> None:
    rates["bfloat16"] = bfloat16
    chosen = choose()
    assert (chosen.device, chosen.precision) == ("cpu", precision)
    assert f"gain of {bfloat16 / 100:.1f}" in chosen.reasons["precision"]
    assert len(chosen.lines()) == 4
    assert all(any(line.startswith(f"{name}: ") for line in chosen.lines()) for name in ("device", "precision", "token_budget", "threads"))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"device": "tpu9"}, "tpu9"),
        ({"device": "xpu"}, "xpu"),
        ({"device": "meta"}, "meta"),
        ({"device": None}, "device is a name, such as auto, cpu, cuda, cuda:1 or mps, not None"),
        ({"device": "cuda:77"}, "cuda:77"),
        ({"device": "cpu", "precision": "float8"}, "float8"),
        ({"device": "cpu", "precision": "float16"}, "float16"),
    ],
)
def test_what_does_not_exist_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        choose(**settings)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_half_precision_may_predict() -> None:
    assert choose("cpu", "float16", training=False).dtype == torch.float16


def test_the_measurement_is_kept(rates: dict[str, Any], own_cache: Path) -> None:
    first = gemm_rates()
    assert rates["measured"] == 1
    assert json.loads((own_cache / "machine.json").read_text())
    rates["bfloat16"] = 5.0
    assert gemm_rates() == first
    assert rates["measured"] == 1
    assert gemm_rates(fresh=True) == {"float32": 100.0, "bfloat16": 5.0}
    assert gemm_rates() == {"float32": 100.0, "bfloat16": 5.0}
    assert rates["measured"] == 2
    assert [path.name for path in own_cache.iterdir()] == ["machine.json"]  # and no temporary file


def test_another_thread_count_is_another_measurement(rates: dict[str, Any], own_cache: Path) -> None:
    torch.set_num_threads(1)
    gemm_rates()
    torch.set_num_threads(2)
    gemm_rates()
    assert rates["measured"] == 2
    assert len(json.loads((own_cache / "machine.json").read_text())) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', '{"other machine": {}}', "\0"])
def test_a_damaged_cache_is_measured_anew(rates: dict[str, Any], own_cache: Path, content: str) -> None:
    own_cache.mkdir()
    (own_cache / "machine.json").write_text(content)
    assert gemm_rates() == {"float32": 100.0, "bfloat16": 1000.0}
    assert gemm_rates() == {"float32": 100.0, "bfloat16": 1000.0}
    assert rates["measured"] == 1


def test_a_cache_that_cannot_be_written_does_no_harm(rates: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BERTWORKS_CACHE", str(tmp_path / "file" / "cache"))
    for count in (1, 2):
        assert gemm_rates() == {"float32": 100.0, "bfloat16": 1000.0}
        assert rates["measured"] == count


def test_a_real_measurement_is_quick_and_plausible() -> None:
    measured = machine._measure_gemm(rows=32, inputs=48, outputs=64, rounds=3)
    assert set(measured) == {"float32", "bfloat16"}
    assert all(0 < rate < 1e7 for rate in measured.values())


def test_cache_folder_of_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == Path(os.environ["BERTWORKS_CACHE"])
    monkeypatch.delenv("BERTWORKS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(machine.sys, "platform", "linux")
    assert cache_folder() == tmp_path / "bertworks"
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "bertworks")
    monkeypatch.setattr(machine.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "bertworks"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_is_chosen_where_there_is_one() -> None:
    chosen: MachineChoice = choose()
    assert chosen.device == "cuda"
    assert chosen.token_budget > 4096
