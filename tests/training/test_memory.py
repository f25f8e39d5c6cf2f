"""Memory that runs out: half the tokens at once, told, logged and kept, and the same result; or one clear error."""

import gc
import json
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.errors import CheckpointError, Interrupted, SettingsError, TrainingError
from bertworks.inference import evaluate, score
from bertworks.inference.engine import _score_batch
from bertworks.inference.memory import MemoryExhaustedError, TokenBudget, is_out_of_memory
from bertworks.nn.inputs import ModelInputs
from bertworks.training import TrainingConfig
from bertworks.training.run import RunFolder
from bertworks.training.steps import ShuffledRows, Step, Steps
from tests.training.test_identity import StopAt

CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4503 bytes."
ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has …"),
    "cpu": RuntimeError(CPU),
    "python": MemoryError(),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 1 GB, …)"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "onednn": RuntimeError("could not create a primitive"),
}
BUDGET = 160
"""Tokens: a step of the problem below has about 280."""


class Shortage:
    """Makes memory run out in the model's forward pass for batches of more than `limit` tokens, `times` times."""

    def __init__(self, model: Any, limit: int, error: Exception, times: int = 10**9, passes_before: int = 0) -> None:
        self.calls, self.failures, self.limit, self.error, self.times = 0, 0, limit, error, times
        self.passes_before = passes_before
        model.register_forward_hook(self)

    def __call__(self, model: Any, arguments: tuple[ModelInputs], output: Any) -> None:
        self.calls += 1
        if self.calls > self.passes_before and self.failures < self.times and len(arguments[0].input_ids) > self.limit:
            self.failures += 1
            raise self.error


@pytest.fixture
def problem(make_problem: Callable[..., Any]) -> Any:
    return make_problem(rows=96, longest=20)


def train(problem: Any, model: Any, budget: int = BUDGET, **options: Any) -> Any:
    return problem.train(model, token_budget=budget, **{"log_steps": 1, "material": {}, "validate": False, **options})


def test_from_the_first_step_it_is_bit_for_bit_a_training_with_half_the_budget(problem: Any, recorder: Any) -> None:
    model, half = problem.load().model, problem.load().model
    shortage = Shortage(model, limit=BUDGET // 2, error=ERRORS["cuda"])
    result = train(problem, model, progress=recorder)
    expected = train(problem, half, budget=BUDGET // 2)
    assert shortage.failures == 1
    assert recorder.messages == ["memory ran out at 160 tokens at once: at most 80 from here on (token_budget)"]
    assert result.state.tokens == expected.state.tokens
    assert_same(model, half)


@pytest.mark.parametrize(("passes", "step"), [(1, 0), (4, 2), (7, 3)])
def test_in_the_midst_of_a_step_that_step_is_made_again_from_its_start(
    problem: Any, recorder: Any, tmp_path: Path, passes: int, step: int
) -> None:
    """Some batches' gradients are there already when memory runs out: they must not count twice. So it is bit for bit as
    if the run had been interrupted before that step and resumed with half the budget."""
    model = problem.load().model
    shortage = Shortage(model, limit=0, error=ERRORS["cuda"], times=1, passes_before=passes)
    result = train(problem, model, progress=recorder, run=RunFolder.create(tmp_path / "short", {}))
    assert shortage.failures == 1
    assert result.state.tokens == problem.data.tokens
    assert [line["step"] for line in log(tmp_path / "short") if line["kind"] == "memory"] == [step + 1]
    assert_same(model, changed_at(problem, step, tmp_path / "changed", budget=BUDGET // 2))


def changed_at(problem: Any, step: int, folder: Path, budget: int) -> Any:
    """A model whose training was stopped after a step, and went on with another budget."""
    if step:
        with pytest.raises(Interrupted):
            train(problem, problem.load().model, run=RunFolder.create(folder, {}), progress=StopAt(step))
    model = problem.load().model
    train(problem, model, budget=budget, run=RunFolder(folder))
    return model


def assert_same(model: Any, other: Any) -> None:
    for name, values in model.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], values, err_msg=name)


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_steps_that_were_prepared_ahead_are_cut_anew(problem: Any) -> None:
    model, widest = problem.load().model, []
    Shortage(model, limit=BUDGET // 2, error=ERRORS["cpu"], passes_before=2)
    model.register_forward_pre_hook(lambda model, arguments: widest.append(len(arguments[0].input_ids)))
    train(problem, model)
    too_wide = [number for number, tokens in enumerate(widest) if tokens > BUDGET // 2]
    assert len(widest) > 12
    assert too_wide[-1] <= 2, "only the pass that failed, and those before"


def test_a_step_that_is_cut_anew_has_the_same_tokens_and_dropout_keys(problem: Any) -> None:
    steps = Steps(ShuffledRows(problem.data, batch_size=16, seed=0), TrainingConfig(batch_size=16, epochs=1.0), problem.machine(BUDGET))
    whole = steps.make(3, BUDGET)
    parts = steps.cut(whole, BUDGET // 2)
    assert len(parts.batches) > len(whole.batches) > 1
    assert steps.cut(whole, BUDGET) is whole

    def tokens(step: Step) -> list[tuple[int, int]]:
        return sorted((int(i), int(k)) for batch in step.batches for i, k in zip(batch.input_ids, batch.dropout.tokens, strict=True))  # type: ignore[union-attr]

    assert tokens(parts) == tokens(whole)
    assert tokens(steps.make(2, BUDGET)) != tokens(whole)


def test_it_is_logged_and_a_resumed_run_keeps_to_it(problem: Any, recorder: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 2}
    whole, parted = problem.load().model, problem.load().model
    Shortage(whole, limit=BUDGET // 2, error=ERRORS["cuda"], passes_before=5)
    train(problem, whole, run=RunFolder.create(tmp_path / "whole", {}), **settings)
    assert [line for line in log(tmp_path / "whole") if line["kind"] == "memory"] == [{"kind": "memory", "step": 3, "token_budget": 80}]

    Shortage(parted, limit=BUDGET // 2, error=ERRORS["cuda"], passes_before=5)
    with pytest.raises(Interrupted):
        train(problem, parted, run=RunFolder.create(tmp_path / "parted", {}), progress=StopAt(4), **settings)
    resumed = problem.load(seed=3).model
    shortage = Shortage(resumed, limit=BUDGET // 2, error=ERRORS["cuda"])
    result = train(problem, resumed, run=RunFolder(tmp_path / "parted"), progress=recorder, **settings)
    assert shortage.failures == 0
    assert recorder.messages == ["at most 80 tokens are computed at once, not 160: memory ran out before"]
    assert result.state.token_budget == 80
    assert_same(whole, resumed)


def test_twice_is_a_clear_error_that_loses_nothing(problem: Any, tmp_path: Path) -> None:
    model = problem.load().model
    Shortage(model, limit=10, error=ERRORS["cpu"], passes_before=8)
    settings: dict[str, Any] = {"checkpoint_steps": 1}
    with pytest.raises(TrainingError) as caught:
        train(problem, model, run=RunFolder.create(tmp_path / "run", {}), **settings)
    assert str(caught.value) == (
        f"step 4: memory does not suffice for 80 tokens at once, half of 160 already ({CPU}). Set token_budget lower, shorten the "
        f"sequences with max_tokens, or free memory of this device (in {tmp_path / 'run' / 'config.toml'}, where a resumed run has it "
        f"from). All up to step 4 is kept; go on with: bertworks train --resume {tmp_path / 'run'}"
    )
    again = problem.load(seed=3).model
    shortage = Shortage(again, limit=40, error=ERRORS["cpu"])
    result = train(problem, again, budget=40, run=RunFolder(tmp_path / "run"), **settings)
    assert (result.state.step, shortage.failures) == (6, 0)
    assert_same(again, changed_at(problem, 4, tmp_path / "changed", budget=40))


def test_a_budget_that_the_user_lowers_is_told_of(problem: Any, recorder: Any, tmp_path: Path) -> None:
    train(problem, problem.load().model, run=RunFolder.create(tmp_path / "run", {}))
    train(problem, problem.load().model, budget=40, run=RunFolder(tmp_path / "run"), progress=recorder)
    assert recorder.messages == ["token_budget is 40 and was 160: the result stays the same up to rounding, no longer bit for bit"]
    with pytest.raises(CheckpointError, match="token_budget was 160, is 200"):
        train(problem, problem.load().model, budget=200, run=RunFolder(tmp_path / "run"))


def test_where_the_optimizer_finds_no_memory(problem: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bertworks.training.optimizer import Optimizer

    def step(optimizer: Optimizer, factor: float) -> None:
        raise ERRORS["cuda"]

    monkeypatch.setattr(Optimizer, "step", step)
    with pytest.raises(
        TrainingError, match=r"step 0: memory does not suffice \(CUDA out of memory.* GPU 0 has …\)\. No checkpoint was written yet"
    ):
        train(problem, problem.load().model, run=RunFolder.create(tmp_path / "run", {}))


def test_in_an_evaluation(problem: Any, recorder: Any) -> None:
    model, undisturbed = problem.load().model, problem.load().model
    expected = train(problem, undisturbed, validate=True).state.evaluations
    training = [True]

    def fail_once(model: Any, arguments: tuple[ModelInputs], output: Any) -> None:
        if arguments[0].dropout is None and training:
            training.clear()
            raise ERRORS["cpu"]

    model.register_forward_hook(fail_once)
    result = train(problem, model, validate=True, progress=recorder)
    assert recorder.messages == ["memory ran out at 160 tokens at once: at most 80 from here on (token_budget)"]
    assert result.state.token_budget == 80
    assert [e["accuracy"] for e in result.state.evaluations] == [e["accuracy"] for e in expected]
    assert result.state.evaluations[0]["log_loss"] == pytest.approx(expected[0]["log_loss"], abs=1e-6)


# ---- scores


def test_scores_are_the_same_and_a_warning_says_what_happened(problem: Any) -> None:
    options: dict[str, Any] = {"device": torch.device("cpu"), "token_budget": BUDGET}
    model = problem.load().model
    expected = score(model, problem.data, **options)
    shortage = Shortage(model, limit=BUDGET // 2, error=ERRORS["cuda"], passes_before=2)
    with pytest.warns(RuntimeWarning, match="memory ran out at 160 tokens at once: at most 80 from here on"):
        found = score(model, problem.data, **options)
    assert shortage.failures == 1
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6)


def test_scores_of_parts_come_back_in_their_order(problem: Any) -> None:
    assert (np.diff(problem.data.lengths) < 0).any()
    model, options = problem.load().model, (problem.data, torch.device("cpu"))
    with torch.inference_mode():
        whole, parts = _score_batch(model, *options, 10**6), _score_batch(model, *options, 70)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, rtol=0, atol=1e-6)


def test_a_whole_evaluation_is_halved_once(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertworks.inference.engine.SEQUENCES_AT_ONCE", 20)
    options: dict[str, Any] = {"device": torch.device("cpu")}
    model = problem.load().model
    expected = evaluate(model, problem.task, problem.data, token_budget=BUDGET, **options).compute()
    shortage, told = Shortage(model, limit=BUDGET // 2, error=ERRORS["cuda"]), []
    budget = TokenBudget(BUDGET, told.append)
    found = evaluate(model, problem.task, problem.data, token_budget=budget, **options).compute()
    assert found["confusion"] == expected["confusion"]
    assert found["log_loss"] == pytest.approx(expected["log_loss"], abs=1e-6)
    assert (shortage.failures, len(told), budget.tokens) == (1, 1, 80)


def test_scores_for_which_half_is_too_much(problem: Any) -> None:
    model = problem.load().model
    Shortage(model, limit=5, error=ERRORS["python"])
    told: list[str] = []
    with pytest.raises(SettingsError, match=r"for 80 tokens at once, half of 160 already \(MemoryError\)\. Set token_budget lower"):
        score(model, problem.data, device=torch.device("cpu"), token_budget=TokenBudget(BUDGET, told.append))
    assert len(told) == 1


# ---- the budget itself


def test_what_the_failed_attempt_held_is_free_before_the_next() -> None:
    class Large:
        pass

    held: list[weakref.ref[Large]] = []
    alive: list[bool] = []

    def work(tokens: int) -> int:
        alive.extend(reference() is not None for reference in held)
        large = Large()
        large.itself = large  # type: ignore[attr-defined]  # a circle, as autograd's are
        held.append(weakref.ref(large))
        if len(held) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tokens

    gc.disable()
    try:
        assert TokenBudget(9, lambda text: None).compute(work) == 4
    finally:
        gc.enable()
    assert alive == [False]


def test_other_errors_pass_unchanged() -> None:
    for error in (RuntimeError("shapes differ"), KeyError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            TokenBudget(8).compute(lambda tokens, error=error: (_ for _ in ()).throw(error))  # type: ignore[misc]
        assert caught.value is error


def test_a_single_token_is_not_halved() -> None:
    def work(tokens: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryExhaustedError, match=r"for 1 tokens at once \(MemoryError\)"):
        TokenBudget(1).compute(work)


def test_errors_of_all_kinds_are_known() -> None:
    def attempts() -> Iterator[Callable[[], Any]]:
        yield lambda: torch.empty(1 << 50)
        yield lambda: np.empty(1 << 50)
        yield lambda: bytearray(1 << 60)

    for attempt in attempts():
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            attempt()
        assert is_out_of_memory(caught.value)
    assert all(is_out_of_memory(error) for error in ERRORS.values())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for a matmul primitive"))
    assert not is_out_of_memory(OSError(28, "No space left on device"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the memory of a process")
def test_a_process_that_really_has_too_little_memory(tmp_path: Path) -> None:
    """Of these limits some let half of the token budget through and not the whole; the last does not let that through either."""
    code = """
import json, resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from bertworks import TextClassifier
from bertworks.training.progress import Progress
from tests.conftest import write_tiny_bert

class Told(Progress):
    messages = []
    def start(self, steps, done):
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        used = int(status["VmSize"].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), resource.RLIM_INFINITY))
    def message(self, text):
        self.messages.append(text)

texts, labels = ["good tea " * 30, "bad tea " * 30] * 400, ["good", "bad"] * 400
classifier = TextClassifier(write_tiny_bert(Path(sys.argv[1])), precision="float32", progress=Told(), epochs=0.5, batch_size=800,
                            token_budget=48_000)
try:
    classifier.fit(texts, labels)
    print(json.dumps({"done": classifier.result_.state.step, "messages": Told.messages}))
except Exception as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error), "messages": Told.messages}))
"""
    seen = []
    for number, mebibytes in enumerate((4000, 230, 205, 190, 182, 175, 170, 165, 155, 60)):
        command = [sys.executable, "-c", code, str(tmp_path / str(number)), str(mebibytes << 20)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        seen.append(json.loads(done.stdout))
    assert seen[0] == {"done": 1, "messages": []}
    assert {"done": 1, "messages": ["memory ran out at 48,000 tokens at once: at most 24,000 from here on (token_budget)"]} in seen
    assert seen[-1]["error"] == "TrainingError"
    assert "memory does not suffice for 24,000 tokens at once, half of 48,000 already" in seen[-1]["text"]
