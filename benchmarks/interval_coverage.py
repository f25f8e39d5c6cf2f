"""How often the 95 % intervals of the metrics cover the truth, on simulated sets.

    python -m benchmarks.interval_coverage            # about seven minutes of one core
    python -m benchmarks.interval_coverage --quick    # seconds, to see that it works

A scenario is a model on a population, both simulated. The truth is each metric on two million rows; then it is counted
how many of 1,000 small sets have an interval that holds it. The interval code is that of `bertworks.evaluation`; only
the bootstrap weights, which depend on the row numbers alone, are drawn once for all sets of a size. A share of 1,000
sets is itself known to ± 1.4 points.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from benchmarks import machine
from bertworks.batch import Array
from bertworks.evaluation.bootstrap import Replicates, poisson_weights
from bertworks.evaluation.intervals import Interval, intervals, percentile_interval, resampled, standard_interval
from bertworks.evaluation.ranks import spearman, weighted_spearman
from bertworks.evaluation.row_statistics import LabelSetStatistics, LabelStatistics, NumberStatistics

ROWS_OF_TRUTH = 2_000_000
ROWS_AT_ONCE = 50_000
SIZES = (200, 872)
Draw = Callable[[np.random.Generator, int], tuple[Array, ...]]
"""Targets and outputs (of one model, or of two) of so many new rows."""


@dataclass(frozen=True)
class Scenario:
    """A population, a model, and the sizes of the sets that are drawn."""

    name: str
    statistics: LabelStatistics | LabelSetStatistics | NumberStatistics
    draw: Draw
    sizes: tuple[int, ...]


# ---- populations


def shares(labels: int, ratio: float) -> Array:
    """Shares of labels, the most frequent `ratio` times the rarest, falling evenly."""
    falling = np.geomspace(ratio, 1, labels)
    return falling / falling.sum()


def draw_labels(random: np.random.Generator, rows: int, *, share: Array, margins: Sequence[float], sureness: float) -> tuple[Array, ...]:
    """One label a row, and a model for each margin with Gaussian evidence, half of whose noise they have in common.

    Probabilities are calibrated at `sureness` 1 and too sure above.
    """
    every, targets = np.arange(rows), random.choice(len(share), rows, p=share)
    common = random.standard_normal((rows, len(share)))
    outputs = []
    for margin in margins:
        evidence = np.sqrt(0.5) * (common + random.standard_normal((rows, len(share))))
        evidence[every, targets] += margin
        powers = np.exp(sureness * (margin * evidence + np.log(share)))
        outputs.append(powers / powers.sum(axis=1, keepdims=True))
    return targets, *outputs


def margin_for(share: Array, accuracy: float) -> float:
    """The margin at which a model reaches that accuracy, by bisection."""
    low, high = 0.0, 8.0
    for _ in range(20):
        middle = (low + high) / 2
        targets, output = draw_labels(np.random.default_rng(1), ROWS_AT_ONCE, share=share, margins=[middle], sureness=1.0)
        low, high = (middle, high) if (output.argmax(axis=1) == targets).mean() < accuracy else (low, middle)
    return middle


def draw_label_sets(random: np.random.Generator, rows: int, *, rates: Array, cuts: Array, margin: float) -> tuple[Array, ...]:
    """Labels that come together (they share a latent number a row), and calibrated probabilities of each."""
    latent = np.sqrt(0.3) * random.standard_normal((rows, 1)) + np.sqrt(0.7) * random.standard_normal((rows, len(rates)))
    targets = latent > cuts
    evidence = random.standard_normal((rows, len(rates))) + margin * targets
    return targets, 1 / (1 + np.exp(margin**2 / 2 - margin * evidence - np.log(rates / (1 - rates))))


def draw_numbers(random: np.random.Generator, rows: int, *, shape: str, correlations: Sequence[float]) -> tuple[Array, ...]:
    """Pairs of numbers: normal, with heavy tails (Student's t, 5 degrees of freedom), or targets in fifths from 0 to 5."""
    stretch = np.sqrt(5 / random.chisquare(5, rows)) if shape == "heavy tails" else np.ones(rows)
    targets = np.round(random.uniform(0, 5, rows) * 5) / 5 if shape == "graded" else random.standard_normal(rows) * stretch
    noise = (random.standard_normal(rows) * stretch * (1.45 if shape == "graded" else 1) for _ in correlations)
    return targets, *(r * targets + np.sqrt(1 - r * r) * one for r, one in zip(correlations, noise, strict=True))


def single(
    name: str, share: Array, accuracy: float, sizes: tuple[int, ...] = SIZES, *, sureness: float = 1.0, gain: float = 0.0
) -> Scenario:
    """One label a row; with `gain`, a second model whose margin is larger by that factor."""
    margin = margin_for(share, accuracy)
    margins = [margin, margin * (1 + gain)] if gain else [margin]
    return Scenario(name, LabelStatistics(len(share)), partial(draw_labels, share=share, margins=margins, sureness=sureness), sizes)


def several(name: str, rates: Array, margin: float, sizes: tuple[int, ...] = SIZES) -> Scenario:
    """Any number of labels a row."""
    cuts = np.quantile(np.random.default_rng(2).standard_normal(1_000_000), 1 - rates)
    return Scenario(name, LabelSetStatistics(len(rates)), partial(draw_label_sets, rates=rates, cuts=cuts, margin=margin), sizes)


def numbers(name: str, shape: str, correlations: Sequence[float], sizes: tuple[int, ...] = SIZES) -> Scenario:
    """A number a row."""
    center = np.full(2, 2.5 if shape == "graded" else 0.0)
    return Scenario(name, NumberStatistics(center), partial(draw_numbers, shape=shape, correlations=correlations), sizes)


def scenarios() -> list[Scenario]:
    """All that are simulated."""
    even = shares(2, 1)
    return [
        single("2 labels, accuracy 0.60", even, 0.60, (100, 200, 872)),
        single("2 labels, accuracy 0.80", even, 0.80, (100, 200, 872, 3000)),
        single("2 labels, accuracy 0.95, too sure", even, 0.95, (100, 200, 872, 3000), sureness=1.5),
        single("2 labels 9 to 1, accuracy 0.93", shares(2, 9), 0.93),
        single("4 labels, accuracy 0.85", shares(4, 1), 0.85),
        single("10 labels, accuracy 0.70", shares(10, 1), 0.70),
        single("10 labels 5 to 1, accuracy 0.90", shares(10, 5), 0.90, (200, 872, 3000)),
        single("10 labels 500 to 1, accuracy 0.70", shares(10, 500), 0.70, (200, 3000)),
        several("5 labels, rates 0.3 to 0.05", np.geomspace(0.3, 0.05, 5), 2.5),
        several("20 labels, rates 0.2 to 0.02", np.geomspace(0.2, 0.02, 20), 2.5, (200, 872, 3000)),
        numbers("normal, r = 0.3", "normal", [0.3], (100, 872)),
        numbers("normal, r = 0.85", "normal", [0.85], (100, 200)),
        numbers("heavy tails, r = 0.85", "heavy tails", [0.85]),
        numbers("graded, r = 0.9", "graded", [0.9]),
        single("difference: 2 labels, 0.90 and 0.93", even, 0.90, gain=0.15),
        single("difference: 10 labels, equal models", shares(10, 5), 0.85, gain=1e-9),
        numbers("difference: normal, r = 0.8 and 0.85", "normal", [0.8, 0.85]),
    ]


# ---- one set


@lru_cache(maxsize=1)
def weights(rows: int, replicates: int) -> Array:
    """The bootstrap's own weights of rows 0, 1, 2 …"""
    return poisson_weights(0, np.arange(rows), range(replicates))


def kept_weights(seed: int, rows: Array, replicates: range) -> Array:
    """`poisson_weights` with seed 0 for all rows of a set."""
    return weights(len(rows), replicates.stop)


def values_of(scenario: Scenario, parts: Iterable[tuple[Array, ...]]) -> dict[str, float]:
    """Each metric (of two models, its difference) on all parts together; Spearman's correlation on the first alone."""
    sums: list[Any] = [0, 0]
    ranked: list[float] = []
    models = 1
    for targets, *outputs in parts:
        models = len(outputs)
        for i, output in enumerate(outputs):
            sums[i] = sums[i] + scenario.statistics.of_rows(targets, output).sum(axis=0)
        if isinstance(scenario.statistics, NumberStatistics) and not ranked:
            ranked = [spearman(targets, output) for output in outputs]
    values = [{name: float(value) for name, value in scenario.statistics.values(sums[i]).items()} for i in range(models)]
    for of_model, correlation in zip(values, ranked, strict=False):
        of_model["spearman"] = correlation
    return values[0] if models == 1 else {name: values[1][name] - values[0][name] for name in values[0]}


def intervals_of(scenario: Scenario, targets: Array, outputs: Sequence[Array], replicates: int) -> dict[str, Interval]:
    """The interval of each metric, or of each difference, on one set."""
    statistics, rows = scenario.statistics, len(targets)
    sums = [Replicates(replicates, statistics.columns, draw=kept_weights) for _ in outputs]
    for one, output in zip(sums, outputs, strict=True):
        one.add(statistics.of_rows(targets, output))
    ranked = []
    if isinstance(statistics, NumberStatistics):
        drawn = weights(rows, replicates)
        ranked = [weighted_spearman(targets, output, lambda some: drawn[:, some.start : some.stop], replicates) for output in outputs]
    if len(outputs) == 1:
        found = intervals(statistics, sums[0])
        return found | {"spearman": percentile_interval(spearman(targets, outputs[0]), ranked[0], rows)} if ranked else found
    first, second = (statistics.values(resampled(one.sums)) for one in sums)
    again = {name: second[name] - first[name] for name in first} | ({"spearman": ranked[1] - ranked[0]} if ranked else {})
    return {name: standard_interval(value, again[name], rows) for name, value in values_of(scenario, [(targets, *outputs)]).items()}


# ---- all sets


def coverage(scenario: Scenario, truth: Mapping[str, float], rows: int, sets: int, replicates: int) -> dict[str, dict[str, float]]:
    """For each metric: the share of sets whose interval covers the truth, lies below it, lies above it, and the mean width."""
    random = np.random.default_rng(rows)
    counts = {name: np.zeros(3) for name in truth}
    for _ in range(sets):
        targets, *outputs = scenario.draw(random, rows)
        found = intervals_of(scenario, targets, outputs, replicates)
        for name, true in truth.items():
            low, high = found[name]
            counts[name] += [high < true - 1e-9, low > true + 1e-9, high - low]
    return {
        name: {
            "covered": round(1 - (below + above) / sets, 4),
            "below": below / sets,
            "above": above / sets,
            "width": round(width / sets, 4),
        }
        for name, (below, above, width) in counts.items()
    }


def run(sets: int, replicates: int, rows_of_truth: int) -> list[dict[str, Any]]:
    """Every scenario at every size."""
    results = []
    for scenario in scenarios():
        random = np.random.default_rng(0)
        at_once = rows_of_truth if isinstance(scenario.statistics, NumberStatistics) else ROWS_AT_ONCE
        truth = values_of(scenario, (scenario.draw(random, at_once) for _ in range(rows_of_truth // at_once)))
        if isinstance(scenario.statistics, LabelStatistics):
            del truth["micro_f1"]  # is the accuracy
        for rows in scenario.sizes:
            start = time.process_time()
            found = coverage(scenario, truth, rows, sets, replicates)
            rounded = {name: round(value, 4) for name, value in truth.items()}
            results.append({"scenario": scenario.name, "rows": rows, "truth": rounded, "metrics": found})
            shown = "  ".join(f"{name} {100 * value['covered']:.1f}" for name, value in found.items())
            machine.log(f"{scenario.name}, {rows} rows: {shown}  ({time.process_time() - start:.0f} s)")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interval_coverage", description="Coverage of the 95 % intervals.")
    parser.add_argument("--sets", type=int, default=1000, help="simulated sets of each size")
    parser.add_argument("--replicates", type=int, default=1000)
    machine.output_option(parser)
    arguments = parser.parse_args()
    sets, rows_of_truth = (10, ROWS_AT_ONCE) if arguments.quick else (arguments.sets, ROWS_OF_TRUTH)
    facts, start = machine.facts(gemm=False), time.process_time()
    results = run(sets, arguments.replicates, rows_of_truth)
    options = {"sets": sets, "replicates": arguments.replicates}
    content = {
        "command": machine.command_line("interval_coverage", [], options),
        **options,
        "rows_of_truth": rows_of_truth,
        "processor_seconds": round(time.process_time() - start),
        "results": results,
        "machine": facts,
    }
    machine.log(f"written: {machine.write_result(machine.output_folder(arguments), 'interval_coverage', content).name}")


if __name__ == "__main__":
    main()
