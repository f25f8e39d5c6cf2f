"""The training loop: it learns, keeps the best, stops early, says where it diverged, and tells how it goes on."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.checkpoints.checksums import damage
from bertworks.errors import Interrupted, TrainingError
from bertworks.inference import evaluate
from bertworks.training.progress import Progress, StepReport
from bertworks.training.run import RunFolder
from bertworks.training.state import WEIGHTS, read_arrays


def test_it_learns_what_can_be_learnt(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=160)
    result = problem.train(problem.load().model, epochs=5, schedule="cosine")
    assert result.best_metrics["accuracy"] > 0.85
    assert result.best_metrics["step"] == result.state.best_step
    assert result.steps == result.state.step == 50
    assert result.state.tokens == 5 * problem.data.tokens


def test_without_dropout_it_can_learn_its_rows_by_heart(make_problem: Callable[..., Any], make_bert: Callable[..., Path]) -> None:
    problem = make_problem(rows=24)
    problem.folder = make_bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = problem.load().model
    problem.train(model, epochs=20, batch_size=8, validate=False)
    metrics = evaluate(model, problem.task, problem.data, device=torch.device("cpu"), token_budget=512).compute()
    assert metrics["accuracy"] == 1.0


@pytest.mark.parametrize(("epochs", "batch_size", "steps"), [(1, 16, 5), (0.3, 16, 2), (2.5, 16, 13), (0.001, 80, 1), (1, 100, 1)])
def test_the_number_of_steps(make_problem: Callable[..., Any], epochs: float, batch_size: int, steps: int) -> None:
    problem = make_problem(rows=80)
    result = problem.train(problem.load().model, epochs=epochs, batch_size=batch_size, validate=False)
    assert result.state.step == result.steps == steps
    assert result.best_metrics is None


def test_the_best_model_is_kept_and_not_the_last(make_problem: Callable[..., Any], tmp_path: Path) -> None:
    problem = make_problem(rows=72, longest=12)
    for run in (None, RunFolder.create(tmp_path / "run", {})):
        model = problem.load().model
        settings = {"epochs": 6, "batch_size": 12, "learning_rate": 0.02, "schedule": "constant", "evaluations_per_epoch": 2}
        result = problem.train(model, token_budget=120, run=run, **settings)
        scores = {e["step"]: e["accuracy"] for e in result.state.evaluations}
        assert result.state.best_step == min(step for step in scores if scores[step] == max(scores.values()))
        assert scores[result.state.best_step] > scores[result.steps], "the last must be worse, or this shows nothing"
        metrics = evaluate(model, problem.task, problem.validation, device=torch.device("cpu"), token_budget=120).compute()
        assert metrics["accuracy"] == result.best_metrics["accuracy"] == scores[result.state.best_step]


def test_it_stops_when_nothing_is_gained(make_problem: Callable[..., Any], recorder: Any) -> None:
    problem = make_problem(rows=32)
    result = problem.train(problem.load().model, epochs=30, learning_rate=1e-9, patience=3, progress=recorder)
    assert result.state.step == 8  # two steps an epoch: the first evaluation is the best, three follow
    assert [best for _, _, best in recorder.evaluations] == [True, False, False, False]
    assert recorder.messages == ["no gain in 3 evaluations: stopped early at step 8 of 60"]
    assert recorder.finished == 1


def test_lower_is_better_for_some_metrics(make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from bertworks.evaluation import ClassificationMetrics

    monkeypatch.setattr(ClassificationMetrics, "headline", "log_loss")
    monkeypatch.setattr(ClassificationMetrics, "higher_is_better", False)
    problem = make_problem(rows=32)
    result = problem.train(problem.load().model, epochs=4)
    losses = {e["step"]: e["log_loss"] for e in result.state.evaluations}
    assert result.state.best_step == min(losses, key=lambda step: losses[step])


@pytest.mark.parametrize(("evaluations", "steps"), [(1, [5, 10]), (2, [3, 6, 9, 10]), (0.5, [10]), (100, list(range(1, 11)))])
def test_evaluations_come_when_they_are_due_and_at_the_end(make_problem: Callable[..., Any], evaluations: float, steps: list[int]) -> None:
    problem = make_problem(rows=80)
    result = problem.train(problem.load().model, epochs=2, evaluations_per_epoch=evaluations)
    assert [e["step"] for e in result.state.evaluations] == steps


def test_a_loss_that_is_not_a_number_names_its_step(make_problem: Callable[..., Any], recorder: Any, tmp_path: Path) -> None:
    problem = make_problem(rows=80)
    model = problem.load().model

    class Spoil(type(recorder)):  # type: ignore[misc]
        def step(self, report: StepReport) -> None:
            if report.step == 3:
                with torch.no_grad():
                    model.encoder.embeddings.token.weight.fill_(float("nan"))

    spoil, run = Spoil(), RunFolder.create(tmp_path / "run", {})
    with pytest.raises(TrainingError, match=r"step 3: the loss is nan .*Try a learning rate below 0\.01.*Checkpoints up to then are in"):
        problem.train(model, progress=spoil, log_steps=1, run=run, checkpoint_steps=2, validate=False)
    assert spoil.finished == 1
    newest = run.latest_checkpoint()
    assert newest is not None
    assert newest.name == "step-00000002"
    assert damage(newest) is None
    assert all(np.isfinite(values).all() for values in read_arrays(newest, WEIGHTS).values())
    assert not [thread for thread in threading.enumerate() if thread.name == "bertworks-prefetch" and not _ends(thread)]


def test_an_exploding_gradient_is_no_update(make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(rows=16)
    model = problem.load().model
    before = model.arrays()
    model.encoder.pooler.dense.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match="its gradient is not finite"):
        problem.train(model, validate=False)
    for name, values in before.items():
        np.testing.assert_array_equal(values, model.arrays()[name])


def test_a_step_whose_rows_weigh_nothing_changes_nothing(make_problem: Callable[..., Any]) -> None:
    from dataclasses import replace

    problem = make_problem(rows=12)
    problem.task = replace(problem.task, class_weights=(0.0, 0.0))
    result = problem.train(problem.load().model, validate=False, weight_decay=0)
    assert result.state.step == 1


def test_progress_is_told_of_everything(make_problem: Callable[..., Any], recorder: Any) -> None:
    problem = make_problem(rows=80)
    result = problem.train(problem.load().model, epochs=2, log_steps=4, warmup=0.5, progress=recorder)
    assert recorder.started == (10, 0)
    assert [report.step for report in recorder.reports] == [4, 8, 10]
    last = recorder.reports[-1]
    assert (last.steps, last.epoch, last.padding, last.seconds_left) == (10, 2.0, 0.0, 0.0)
    assert last.tokens == result.state.tokens == 2 * problem.data.tokens
    assert recorder.reports[0].learning_rate == pytest.approx(0.01 * 3 / 5)
    assert all(report.gradient_norm > 0 and report.tokens_per_second > 0 for report in recorder.reports)
    assert next((step, best) for step, _, best in recorder.evaluations) == (5, True)
    assert "accuracy" in recorder.evaluations[0][1]
    assert recorder.finished == 1


def test_the_reported_loss_is_the_mean_since_the_last_report(make_problem: Callable[..., Any], recorder: Any) -> None:
    problem = make_problem(rows=80)
    every, fourth = recorder, type(recorder)()
    for seen, steps in ((every, 1), (fourth, 4)):
        problem.train(problem.load().model, epochs=1, log_steps=steps, progress=seen, validate=False)
    losses = [report.loss for report in every.reports]
    assert [report.loss for report in fourth.reports] == pytest.approx([np.mean(losses[:4]), losses[4]])


class PressCtrlC(Progress):
    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_without_a_run_folder_saves_nothing_and_says_so(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=80)
    with pytest.raises(Interrupted, match="stopped at step 2 of 5; nothing was saved"):
        problem.train(problem.load().model, log_steps=1, progress=PressCtrlC(2), validate=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_the_last_step_lets_the_training_end(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=80)
    assert problem.train(problem.load().model, log_steps=1, progress=PressCtrlC(5), validate=False).state.step == 5


def test_a_second_ctrl_c_stops_at_once(make_problem: Callable[..., Any]) -> None:
    class Twice(Progress):
        def step(self, report: StepReport) -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    problem = make_problem(rows=80)
    with pytest.raises(KeyboardInterrupt):
        problem.train(problem.load().model, log_steps=1, progress=Twice(), validate=False)


def test_it_trains_in_another_thread_too(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=16)
    steps: list[int] = []
    thread = threading.Thread(target=lambda: steps.append(problem.train(problem.load().model, validate=False).state.step))
    thread.start()
    thread.join()
    assert steps == [1]


def _ends(thread: threading.Thread) -> bool:
    thread.join(timeout=5)
    return not thread.is_alive()
