"""The agreement of architectures: no fault of the tests is left out, and a wrong kernel or head would be told."""

import re
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.architecture_agreement import (
    ACTIVATIONS,
    FAULTS,
    file_of,
    head_of,
    is_noticed,
    lines_of,
    measure_cells,
    not_here,
    planted_faults,
    uncompared,
    used_by,
)
from bertworks.architectures.registry import ARCHITECTURES
from bertworks.nn import attention as attention_room
from tests.reference.families import ALL_CASES, References


def test_every_list_of_faults_is_planted() -> None:
    files = (machine.ROOT / "tests" / "reference").glob("test_*.py")
    kind = "\nFAULTS: dict[str, tuple[str, Fault]]"  # other lists are no faults of an architecture
    with_faults = {path.stem for path in files if kind in path.read_text(encoding="utf-8")}
    assert with_faults == {tests.__name__.rpartition(".")[2] for tests, _, _ in FAULTS}
    planted = list(planted_faults())
    assert len(planted) == sum(len(tests.FAULTS) for tests, _, _ in FAULTS)
    assert all(case in ALL_CASES and activation in ACTIVATIONS for _, case, activation, _ in planted)


def test_a_wrong_kernel_of_inference_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = attention_room._flash_pieces
    monkeypatch.setattr(attention_room, "_flash_pieces", lambda *inputs: 1.01 * real(*inputs))
    problems: list[str] = []
    cells, same = measure_cells(References(tmp_path), ["roberta masked_lm"], problems)
    assert same == {"roberta": [True, True]}
    cell = cells["roberta"]["masked_lm"]
    assert cell["models"] == ["roberta masked_lm, gelu", "roberta masked_lm, gelu_new"]
    assert cell["outputs_in_inference"]["of_tolerance"] > 1
    assert all(0 < cell[kind]["of_tolerance"] < 1 for kind in ("outputs", "gradients", "peer_outputs", "peer_gradients"))
    assert cell["outputs"]["numbers"] == cell["outputs_in_inference"]["numbers"] < cell["gradients"]["numbers"]
    assert len(problems) == 2
    assert all("outputs_in_inference: words: differs" in line for line in problems)


def test_a_fault_that_is_none_is_not_noticed(tmp_path: Path) -> None:
    made = References(tmp_path)("roberta masked_lm")
    assert not is_noticed(made, lambda loaded, patch: None)
    name, _, _, fault = next(one for one in planted_faults() if one[1] == "roberta masked_lm")
    assert is_noticed(made, fault), name


def test_every_head_is_compared() -> None:
    compared: dict[str, dict[str, dict[str, object]]] = {name: {} for name in ARCHITECTURES}
    for case in ALL_CASES:
        body = next(n for n, a in ARCHITECTURES.items() if re.match(f"{a.body_class[:-5]}(Model|For|LMHead)", ALL_CASES[case].class_name))
        compared[body][head_of(case)] = {}
    assert not uncompared(compared)
    del compared["bert"]["masked_lm + next_sentence"], compared["bert"]["next_sentence"], compared["gpt2"]
    assert "bert next_sentence: not compared" in uncompared(compared)
    assert "bert masked_lm: not compared" not in uncompared(compared)
    assert "gpt2 causal_lm: not compared" in uncompared(compared)


def test_what_only_transformers_has() -> None:
    assert not_here(ARCHITECTURES["bert"]) == {"causal_lm": "BertLMHeadModel"}
    assert not_here(ARCHITECTURES["roberta"]) == {"causal_lm": "RobertaForCausalLM"}
    assert not_here(ARCHITECTURES["distilbert"]) == {}


def test_the_files_of_an_architecture() -> None:
    module = file_of(ARCHITECTURES["camembert"])
    assert module.__name__ == "bertworks.architectures.roberta"
    assert list(used_by(module)) == ["architecture.py", "bert.py", "parts.py"]
    assert lines_of(module) == len(Path(str(module.__file__)).read_text(encoding="utf-8").splitlines())
