"""What the pretraining benchmarks measure: the same work for all, and differences that are there."""

import argparse
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import machine, pretraining_throughput, tokenizer_agreement
from benchmarks.pretraining_throughput import SHAPES, Case, build_contestants, build_workload, step_gflop
from bertworks.tasks.masked_lm import MASKED_LM
from bertworks.tasks.masking import IGNORED


def test_all_train_on_the_same_tokens(one_thread: None) -> None:
    workload = build_workload(SHAPES["tiny"], length=16, tokens=64, steps=2)
    turns = {name: run() for name, run in build_contestants(SHAPES["tiny"], workload, ["tuned eager", "bertworks float32"]).items()}
    assert {turn.tokens for turn in turns.values()} == {2 * 64}
    assert {turn.computed for turn in turns.values()} == {2 * 64}


def test_useful_operations_are_those_that_torch_counts(one_thread: None) -> None:
    """Of one forward pass without the head: PyTorch's own counter, by the operators that are called."""
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import BertConfig, BertModel

    shape, length, rows = SHAPES["tiny"], 16, 3
    model = BertModel(BertConfig(**shape.config(0.0), attn_implementation="eager"), add_pooling_layer=False)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(rows, length, dtype=torch.long))
    assert step_gflop(shape, length, rows, targets=0) == pytest.approx(3e-9 * counter.get_total_flops())
    head = 3e-9 * 2 * (shape.hidden * shape.hidden + shape.hidden * shape.vocabulary)
    assert step_gflop(shape, length, rows, 7) - step_gflop(shape, length, rows, 0) == pytest.approx(7 * head)


def test_a_seventh_of_the_tokens_is_hidden_alike_for_both() -> None:
    workload = build_workload(SHAPES["tiny"], length=64, tokens=1024, steps=1)
    ours, theirs = workload.step(1, 10_000)[0], pretraining_throughput.peer_batches(workload)[1]
    assert np.array_equal(np.sort(ours.input_ids), np.sort(theirs["input_ids"].numpy().ravel()))
    hidden = int((theirs["labels"] != IGNORED).sum())
    assert hidden == (ours.token_targets[MASKED_LM] != IGNORED).sum()
    assert hidden / 1024 == pytest.approx(0.15, abs=0.02)
    assert Case("tiny", 64, workload).targets_a_step() == hidden


def test_a_result_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    here = {"cpu": "A", "threads": 1}
    content = {"settings": {"steps": 2}, "machine": here, "seconds": {"a": [1.0]}, "bfloat16_gemm_gflops": machine.spread([400.0])}
    machine.write_result(tmp_path, pretraining_throughput.NAME, content)
    assert pretraining_throughput.earlier_rounds(tmp_path, {"steps": 2}, here) == ({"a": [1.0]}, [400.0])
    for settings, facts, odd in (({"steps": 3}, here, "steps"), ({"steps": 2}, {**here, "threads": 2}, "threads")):
        with pytest.raises(SystemExit, match=odd):
            pretraining_throughput.earlier_rounds(tmp_path, settings, facts)


def plain(texts: Sequence[str]) -> list[list[int]]:
    return [[ord(character) for character in text] for text in texts]


def lowered(texts: Sequence[str]) -> list[list[int]]:
    """Differs from `plain` by capital letters, and by texts that begin with a space."""
    return [plain([text.lower()])[0] + [0] * text.startswith(" ") for text in texts]


def test_differences_are_counted_and_traced_to_characters() -> None:
    found = tokenizer_agreement.compare(["same", "Two Words", " begins", "AB"], plain, {"fast": lowered, "slow": plain})
    assert (found["texts"], found["tokens"]) == (4, 4 + 9 + 7 + 2)
    assert found["slow"] == {"different": 0, "characters": {}, "distinct_characters": 0, "without_such_a_character": 0}
    assert found["fast"]["different"] == 3
    assert found["fast"]["characters"] == {"Lu": {"count": 4, "first": ["U+0041", "U+0042", "U+0054", "U+0057"]}}
    assert found["fast"]["without_such_a_character"] == 1, "the one that begins with a space"


def test_random_strings_reach_all_planes_and_no_surrogates() -> None:
    strings, wild = list(tokenizer_agreement.random_strings(3000)), list(tokenizer_agreement.random_strings(3000, assigned=False))
    characters, code_points = set("".join(strings)), set("".join(wild))
    assert strings == list(tokenizer_agreement.random_strings(3000))
    assert not {unicodedata.category(c) for c in characters} & {"Cn", "Cs"}
    assert {ord(c) >> 16 for c in characters} >= {0, 1, 2, 15, 16}
    assert not any(0xD800 <= ord(c) < 0xE000 for c in code_points)
    assert {ord(c) >> 16 for c in code_points} == set(range(17))
    assert max(map(len, strings)) == tokenizer_agreement.LONGEST


def test_lines_are_taken_of_every_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{name}{i}\n" for i in range(5)), encoding="utf-8")
    files = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    assert list(tokenizer_agreement.lines_of(files, 4)) == ["a0", "a1", "b0", "b1"]


def test_a_small_vocabulary_agrees(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    text = tmp_path / "text.txt"
    text.write_text("The old baker sold seven letters.\nA boat, a door and two spoons.\n" * 20, encoding="utf-8")
    arguments = argparse.Namespace(train=[str(text)], compare=[str(text)], vocabulary_size=300, lines=40, strings=50)
    for kind in tokenizer_agreement.KINDS:
        found = tokenizer_agreement.run(kind, arguments)
        assert found["lines"]["texts"] == 40
        assert found["lines"]["fast"]["different"] == 0
        assert found["strings"]["fast"]["different"] == found["code_points"]["fast"]["different"] == 0
