"""Several processes train as one does: the same losses and gradients, the same bits after a kill, one word about an error."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from bertworks.checkpoints.files import read_json
from bertworks.errors import SettingsError
from bertworks.estimators.workflows import prepare_corpus, train_tokenizer
from bertworks.training.state import AVERAGE, MOMENTS, STATE
from bertworks.training.steps import dealt
from tests.estimators.test_pretraining import settings, write_text
from tests.training.runs_in_pieces import KILLED, TIMES
from tests.training.together import Ended, Together

LOST = "another process of this training was lost (killed, or its machine failed). All up to step "
STATEFUL = {"checkpoint_steps": 2, "optimizer": "muon", "average": 0.6, "learning_rate": 0.01}
"""A training with all that a checkpoint can have."""


@dataclass
class Pretrainings:
    """Pretrainings of one small corpus."""

    together: Together
    corpus: Path
    home: Path

    def command(self, folder: str | Path, **training: Any) -> list[str]:
        """The command of one; its settings are in a file of their own."""
        text = tomli_w.dumps(settings(self.corpus, **training))
        path = self.home / f"{abs(hash(text))}.toml"
        path.write_text(text)
        return ["pretrain", str(path), "--output", str(self.home / folder)]

    def run(self, size: int, folder: str | Path, *, call: str = "command_line", training: Any = None, **more: Any) -> list[Ended]:
        return self.together.ask(size, call, line=self.command(folder, **(training or {})), **more)

    def log(self, folder: str) -> list[dict[str, Any]]:
        """The lines of a run's log, without times."""
        lines = [json.loads(line) for line in (self.home / folder / "log.jsonl").read_text().splitlines()]
        return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]

    def losses(self, folder: str) -> list[float]:
        return [line["loss"] for line in self.log(folder) if line["kind"] == "train"]

    def assert_same_bits(self, one: str, other: str) -> None:
        assert self.log(one) == self.log(other)
        for name in ("model/model.safetensors", "checkpoints/step-00000012/" + MOMENTS):
            assert (self.home / one / name).read_bytes() == (self.home / other / name).read_bytes(), name


@pytest.fixture(scope="module")
def together() -> Iterator[Together]:
    together = Together()
    yield together
    together.close()


@pytest.fixture(scope="module")
def pretrainings(together: Together, tmp_path_factory: pytest.TempPathFactory) -> Pretrainings:
    home = tmp_path_factory.mktemp("together")
    text = write_text(home / "text.txt")
    train_tokenizer([text], output=home / "tokenizer", vocabulary_size=160)
    prepare_corpus([text], home / "tokenizer", home / "corpus", held_out=0.15, processes=1)
    made = Pretrainings(together, home / "corpus", home)
    made.run(0, "warm", training={"steps": 2})
    return made


@pytest.fixture(scope="module")
def whole(pretrainings: Pretrainings) -> str:
    """The folder of a run of two processes that nobody disturbed."""
    assert codes(pretrainings.run(2, "whole", training=STATEFUL)) == [0, 0]
    return "whole"


def test_losses_do_not_depend_on_the_number_of_processes(pretrainings: Pretrainings) -> None:
    """With dropout, masked words and next sentences; on the ramp, where steps have two sequences, one of three has none."""
    for size in (1, 2, 3):
        ended = pretrainings.run(size, f"of-{size}", training={"batch_ramp": 0.5})
        assert codes(ended) == [0] * size, [each.said for each in ended]
        assert not any(each.said for each in ended[1:]), "only the first tells"
    alone = pretrainings.log("of-1")
    assert len(alone) == 14
    for size in (2, 3):
        for one, other in zip(alone, pretrainings.log(f"of-{size}"), strict=True):
            assert one.keys() == other.keys()
            for name, value in one.items():
                assert other[name] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value), name


def test_nor_does_it_matter_who_draws_the_tokens_that_are_replaced(pretrainings: Pretrainings) -> None:
    values = settings(pretrainings.corpus)
    values["model"] |= {"architecture": "electra", "config": {"embedding_size": 16}}
    path = pretrainings.home / "replaced.toml"
    path.write_text(tomli_w.dumps({**values, "objectives": {"replaced_token_detection": {}}}))
    for size in (1, 2):
        line = ["pretrain", str(path), "--output", str(pretrainings.home / f"replaced-{size}")]
        ended = pretrainings.together.ask(size, "command_line", line=line)
        assert codes(ended) == [0] * size, [each.said for each in ended]
    alone = pretrainings.log("replaced-1")
    assert len(alone) == 14
    for one, other in zip(alone, pretrainings.log("replaced-2"), strict=True):
        assert other == {name: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value for name, value in one.items()}


def test_gradients_do_not_depend_on_the_number_of_processes(
    pretrainings: Pretrainings, make_bert: Callable[..., Path], tmp_path: Path
) -> None:
    """Windows of one text may lie in different processes, and the last step is uneven."""
    made = []
    for size in (1, 2):
        output = str(tmp_path / f"{size}.npz")
        ended = pretrainings.together.ask(size, "gradients", model=str(make_bert()), output=output, max_tokens=16)
        assert codes(ended) == [0] * size, ended[0].said
        with np.load(tmp_path / f"{size}.npz") as arrays:
            made.append(dict(arrays))
    alone, two = made
    assert alone.keys() == two.keys()
    assert len([name for name in alone if name.startswith("norm")]) == 3
    for name, values in alone.items():
        scale = alone[f"norm {name.split('/')[0]}"] if "/" in name else values
        assert np.abs(values - two[name]).max() < 1e-6 * scale, name


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_and_begun_again(pretrainings: Pretrainings, whole: str, rank: int) -> None:
    folder = f"killed-{rank}"
    ended = pretrainings.run(2, folder, training=STATEFUL, kill=[[rank, str(pretrainings.home / folder / "log.jsonl"), 10]])
    assert ended[rank].code == KILLED
    survivor = ended[1 - rank]
    assert survivor.code == 6
    (error,) = survivor.errors
    assert LOST in error
    assert error.endswith(f"go on with: torchrun --nproc-per-node 2 -m bertworks pretrain --resume {pretrainings.home / folder}")
    stored = sorted((pretrainings.home / folder / "checkpoints").iterdir())[-1]
    assert (stored / AVERAGE).exists(), "or restoring the mean is not tested"
    ended = pretrainings.together.ask(2, "command_line", line=["pretrain", "--resume", str(pretrainings.home / folder)])
    assert codes(ended) == [0, 0]
    pretrainings.assert_same_bits(folder, whole)


def test_the_command_that_began_a_run_goes_on_with_it(pretrainings: Pretrainings, whole: str) -> None:
    kill = [[1, str(pretrainings.home / "again" / "log.jsonl"), 4]]
    assert codes(pretrainings.run(2, "again", training=STATEFUL, kill=kill)) == [6, KILLED]
    assert codes(pretrainings.run(2, "again", training=STATEFUL)) == [0, 0]
    pretrainings.assert_same_bits("again", whole)
    ended = pretrainings.run(2, "again", training=STATEFUL)
    assert codes(ended) == [0, 0], "and it may be given once more when all is done"
    assert not any(each.errors for each in ended)
    for change in ({"learning_rate": 0.02}, {"steps": 13}):
        ended = pretrainings.run(2, "again", training={**STATEFUL, **change})
        assert the_error(ended).endswith("holds a run of another configuration: choose another folder, or delete it")


def test_ctrl_c_saves_once_and_all_stop(pretrainings: Pretrainings, whole: str) -> None:
    presses = [[1, str(pretrainings.home / "stopped" / "log.jsonl"), 3]]
    ended = pretrainings.run(2, "stopped", training=STATEFUL, interrupt=presses)
    assert codes(ended) == [130, 130]
    assert the_error(ended, 130).startswith("stopped at step ")
    assert pretrainings.home / "stopped" / "model" not in (pretrainings.home / "stopped").iterdir()
    assert codes(pretrainings.run(2, "stopped", training=STATEFUL)) == [0, 0]
    pretrainings.assert_same_bits("stopped", whole)


def test_another_number_of_processes_goes_on_up_to_rounding(pretrainings: Pretrainings, whole: str) -> None:
    kill = [[0, str(pretrainings.home / "fewer" / "log.jsonl"), 5]]
    assert codes(pretrainings.run(2, "fewer", training=STATEFUL, kill=kill)) == [KILLED, 6]
    (ended,) = pretrainings.together.ask(1, "command_line", line=["pretrain", "--resume", str(pretrainings.home / "fewer")])
    assert ended.code == 0
    assert "divided among 2 processes and is now among 1: the result stays the same up to rounding" in " ".join(ended.said.split())
    assert pretrainings.losses("fewer") == pytest.approx(pretrainings.losses(whole), rel=1e-5)
    assert read_json(pretrainings.home / "fewer" / "checkpoints" / "step-00000012" / STATE)["identity"]["processes"] == 1


def test_where_memory_runs_out_in_one_all_compute_less_at_once(pretrainings: Pretrainings) -> None:
    training = {"token_budget": 200}
    assert codes(pretrainings.run(2, "room", training=training)) == [0, 0]
    ended = pretrainings.run(2, "no-room", training=training, call="short_of_memory", rank=1, at_call=4)
    assert codes(ended) == [0, 0], ended[1].said
    assert "memory ran out in another process: at most 100 tokens at once from here on" in " ".join(ended[0].said.split())
    noted = [line for line in pretrainings.log("no-room") if line["kind"] == "memory"]
    assert noted == [{"kind": "memory", "step": 4, "token_budget": 100}]
    assert pretrainings.losses("no-room") == pytest.approx(pretrainings.losses("room"), rel=1e-6)


def codes(ended: list[Ended]) -> list[int]:
    """The exit codes; what was said of an error that is none on purpose is told."""
    assert not any("Traceback" in each.said for each in ended), "".join(each.said for each in ended)
    return [each.code for each in ended]


def the_error(ended: list[Ended], *others: int) -> str:
    """The one line that some processes have to say between them; it is said of an error, and those that are left only leave, or
    are told to before they have come so far."""
    assert set(codes(ended)) <= {2, 6, -signal.SIGTERM, *others}
    (line,) = [line for each in ended for line in each.errors]
    return line


def test_what_is_wrong_is_said_once(pretrainings: Pretrainings, tmp_path: Path) -> None:
    ask = pretrainings.together.ask
    line = pretrainings.command("wrong")
    assert "name its folder (--output)" in the_error(ask(2, "command_line", line=line[:2]))
    assert "does not exist" in the_error(ask(3, "command_line", line=["pretrain", str(tmp_path / "none.toml"), "--output", "x"]))
    assert "cannot be shared by 2 processes: choose auto, cpu or cuda" in the_error(pretrainings.run(2, "mps", training={"device": "mps"}))
    said = pretrainings.run(2, "differ", call="differing")
    assert "process 1 was given other settings or data than process 0: model. All must see the same files" in the_error(said)


def test_what_one_process_does_is_not_begun_by_several(make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    problem = make_problem(rows=8)
    model = problem.load().model
    with pytest.raises(SettingsError, match="torchrun started several: only pretrain and train are divided"):
        problem.train(model)


@pytest.mark.parametrize(("count", "shares"), [(0, 2), (1, 3), (7, 3), (40, 4)])
def test_shares_are_about_equally_large(count: int, shares: int) -> None:
    lengths = np.sort(np.random.default_rng(count).integers(1, 500, count))
    parts = [dealt(np.arange(count), (which, shares)) for which in range(shares)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    sizes = [int(lengths[part].sum()) for part in parts]
    assert max(sizes) - min(sizes) <= lengths.max(initial=0)
