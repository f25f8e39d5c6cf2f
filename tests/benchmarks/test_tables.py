"""The generated page says what the JSON says, and what is missing; results hold no private names."""

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine, pretraining_throughput, tables
from benchmarks.quality import DEFAULTS, SAME_NAMES, compare

FACTS = {"cpu": "A processor", "cores": 2, "flags": ["avx2", "amx_bf16"], "threads": 2, "torch": "2.13.0", "date": "2026-01-02"}
FACTS |= {"load_before": 0.1, "transformers": "5.0"}


def rounds(*values: float) -> dict[str, Any]:
    return machine.spread(values)


def throughput() -> dict[str, Any]:
    def contestant(rates: tuple[float, ...], padding: float, speedup: dict[str, float]) -> dict[str, Any]:
        figures = {"tokens_per_second": rounds(*rates), "useful_gflops": rounds(123.0), "seconds": rounds(1.0)}
        return {**figures, "padding": padding, "share_of_bfloat16_gemm": 0.25, "speedup": speedup}

    return {
        "command": "python -m benchmarks.finetune_throughput --shape minilm",
        "shape": {"layers": 6, "hidden": 384, "rows": 32},
        "work": {"mean_length": 275.0, "steps": 4},
        "rounds": 3,
        "bertworks_chose": {"precision": "bfloat16"},
        "bfloat16_gemm_gflops": rounds(400.0, 492.0),
        "contestants": {
            "tutorial": contestant((100, 300, 200), 0.46, {"bertworks": 0.1}),
            "bertworks": contestant((2000, 2100, 1900), 0.0, {"tutorial": 9.876}),
        },
        "machine": FACTS,
    }


def pretraining() -> dict[str, Any]:
    seconds = {"bfloat16": [4.0, 8.0, 5.0], "bertworks": [1.0, 1.6, 1.0]}
    case = {"shape": {"layers": 4, "hidden": 256, "vocabulary": 30522}, "length": 128}
    case["contestants"] = pretraining_throughput.figures_of(seconds, tokens=8192, gflop=100.0, gemm_rate=400.0)
    return {
        "command": "python -m benchmarks.pretraining_throughput",
        "settings": {"tokens_a_step": 4096, "steps": 2, "masked": 0.15},
        "rounds": 3,
        "bertworks_chose": {"precision": "bfloat16"},
        "bfloat16_gemm_gflops": rounds(400.0),
        "cases": [case],
        "machine": FACTS,
    }


def own_stsb(scores: dict[int, float]) -> dict[str, Any]:
    runs = [{"seed": seed, "spearman": score, "pearson": score} for seed, score in scores.items()]
    summary = {"seeds": len(runs), "spearman": {"mean": 0.86, "std": 0.01}, "pearson": {"mean": 0.86, "std": None}}
    data = {"train_rows": 5749, "test_rows": 1500}
    return {"command": "c", "settings": asdict(DEFAULTS["stsb"]), "data": data, "runs": runs, "summary": summary, "machine": FACTS}


def peer_stsb(scores: dict[int, float]) -> dict[str, Any]:
    own = own_stsb(scores)
    return {**own, "settings": {name: own["settings"][ours] for name, ours in SAME_NAMES.items()}}


def test_what_is_missing_is_listed(tmp_path: Path) -> None:
    page = tables.document(tmp_path, tmp_path)
    assert "## Not measured yet" in page
    assert "`python -m benchmarks.quality imdb5k`" in page
    assert "transformers_finetune.py stsb" in page
    assert "## Fine-tuning throughput" not in page


def test_the_page_holds_the_figures(tmp_path: Path) -> None:
    machine.write_result(tmp_path, "finetune_throughput_minilm", throughput())
    contestants = {"import bertworks": {"seconds": rounds(0.05, 0.07, 0.06), "memory_mib": rounds(18.0)}}
    cold = {"command": "c", "model": "m", "rounds": 3, "contestants": contestants, "failed": {"peer": "no module"}, "machine": FACTS}
    machine.write_result(tmp_path, "cold_start", cold)
    page = tables.document(tmp_path, tmp_path)
    assert "200 (100–300)" in page
    assert "9.88 ×" in page
    assert "492 GFLOP/s" in page
    assert "| import bertworks | 0.06 (0.05–0.07) | 18 |" in page
    assert "Left out: peer (no module)." in page
    assert "BERT-base shape: `python -m benchmarks.finetune_throughput --shape bert-base`" in page


def test_pretraining_is_compared_round_by_round(tmp_path: Path) -> None:
    machine.write_result(tmp_path, "pretraining_throughput", pretraining())
    page = tables.document(tmp_path, tmp_path)
    assert "4 layers, hidden size 256, vocabulary 30,522, length 128" in page
    assert "| transformers, bfloat16 autocast, dropout 0.1 | 1,638 (1,024–2,048) | 20 | 5% | 5.00 × | – |" in page, (
        "5 is the median of 4, 5, 5"
    )
    assert "8,192 (5,120–8,192) | 100 | 25% | – | – |" in page


def test_coverage_and_agreement_are_shown(tmp_path: Path) -> None:
    found = {"accuracy": {"covered": 0.951}, "log_loss": {"covered": 0.924}}
    results = [
        {"scenario": "2 labels", "rows": 1000, "metrics": found},
        {"scenario": "normal", "rows": 200, "metrics": {"spearman": {"covered": 0.9}}},
    ]
    content = {"command": "c", "sets": 1000, "replicates": 500, "rows_of_truth": 2000, "results": results, "machine": FACTS}
    machine.write_result(tmp_path, "interval_coverage", content)
    fast = {"different": 0, "distinct_characters": 0}
    part = {"texts": 50000, "tokens": 900000, "fast": fast, "slow": {"different": 7, "distinct_characters": 3}}
    kinds = {"wordpiece": {"vocabulary": 24000, "lines": part, "strings": part, "code_points": part}}
    machine.write_result(tmp_path, "tokenizer_agreement", {"command": "c", "kinds": kinds, "machine": FACTS})
    page = tables.document(tmp_path, tmp_path)
    assert "| simulated | rows | accuracy | log-loss |" in page
    assert "| 2 labels | 1,000 | 95.1 | 92.4 |" in page
    assert "| normal | 200 | 90.0 |" in page
    assert "| wordpiece | 24,000 | lines of text | slow | 50,000 | 900,000 | 7 | 3 |" in page


def test_pairs_of_equal_seeds_are_compared(tmp_path: Path) -> None:
    own, peer = own_stsb({0: 0.85, 1: 0.87, 7: 0.2}), peer_stsb({0: 0.86, 1: 0.87, 2: 0.9})
    found = compare(own, peer)
    assert found["seeds"] == [0, 1]
    assert found["unequal_settings"] == []
    assert found["metrics"]["spearman"]["points"] == pytest.approx([-1.0, 0.0])
    assert found["metrics"]["spearman"]["mean"] == pytest.approx(-0.5)
    machine.write_result(tmp_path / "results", "quality_stsb", own)
    machine.write_result(tmp_path / "reference", "transformers_stsb", peer)
    page = tables.document(tmp_path / "results", tmp_path / "reference")
    assert "| STS benchmark, dev | Spearman | 86.00 ± 1.00 | 86.00 ± 1.00 | -1.00 +0.00 | -0.50 | 0.71 |" in page


def test_other_settings_are_not_compared(tmp_path: Path) -> None:
    own, peer = own_stsb({0: 0.85}), peer_stsb({0: 0.86})
    peer["settings"]["epochs"] = 3
    machine.write_result(tmp_path / "results", "quality_stsb", own)
    machine.write_result(tmp_path / "reference", "transformers_stsb", peer)
    assert "STS benchmark, dev is not compared: epochs differ." in tables.document(tmp_path / "results", tmp_path / "reference")


def test_private_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "my-laptop")
    with pytest.raises(ValueError, match="my-laptop"):
        machine.write_result(tmp_path, "x", {"command": "run on my-laptop"})
    assert not list(tmp_path.iterdir())


def test_every_recorded_result_can_be_shown() -> None:
    """Those of the repository, whatever was measured so far."""
    assert tables.document(machine.RESULTS, machine.REFERENCE).startswith("# Benchmarks")
