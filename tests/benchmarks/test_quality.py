"""What the scripts that train for hours decide before they begin."""

from pathlib import Path

import pytest

from benchmarks import few_shot, machine
from benchmarks.quality import precision_of_reference


@pytest.mark.parametrize(
    ("forward", "precision"), [("bfloat16 autocast", "bfloat16"), ("float32", "float32"), (None, "auto")], ids=["half", "single", "no peer"]
)
def test_training_takes_the_precision_of_the_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forward: str | None, precision: str
) -> None:
    monkeypatch.setattr(machine, "REFERENCE", tmp_path)
    if forward is not None:
        machine.write_result(tmp_path, "transformers_wnut17", {"settings": {"training_forward": forward}})
    assert precision_of_reference("wnut17") == precision


def test_few_shot_judges_every_class_by_rows_that_are_not_learnt() -> None:
    labels = [f"class {number}" for number in range(20) for _ in range(50)]  # sorted by class, as Banking77 is
    learnt, judged = few_shot.split(labels, 3, per_class=8, judged=300)
    assert [labels[row] for row in learnt] == [f"class {number}" for number in sorted(range(20), key=str) for _ in range(8)]
    assert len(judged) == len(set(judged)) == 300
    assert not set(learnt) & set(judged)
    assert {labels[row] for row in judged} == set(labels)
    assert few_shot.split(labels, 4, per_class=8, judged=300) != (learnt, judged)
