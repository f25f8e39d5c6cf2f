"""The generated page says what the JSON says, and what is missing; results hold no private names."""

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine, pretraining_throughput, quality_answers, quality_tagging, tables
from benchmarks.architecture_throughput import Turn
from benchmarks.architecture_throughput import summarize as encoder_figures
from benchmarks.quality import DEFAULTS, SAME_NAMES, compare

FACTS = {"cpu": "A processor", "cores": 2, "flags": ["avx2", "amx_bf16"], "threads": 2, "torch": "2.13.0", "date": "2026-01-02"}
FACTS |= {"load_before": 0.1, "transformers": "5.0"}


def rounds(*values: float) -> dict[str, Any]:
    return machine.spread(values)


def throughput() -> dict[str, Any]:
    def contestant(rates: tuple[float, ...], padding: float, speedup: dict[str, float]) -> dict[str, Any]:
        figures = {"tokens_per_second": rounds(*rates), "useful_gflops": rounds(123.0), "seconds": rounds(1.0)}
        return {**figures, "padding": padding, "share_of_gemm": 0.25, "speedup": speedup}

    return {
        "command": "python -m benchmarks.finetune_throughput --shape minilm",
        "shape": {"layers": 6, "hidden": 384, "rows": 32},
        "work": {"mean_length": 275.0, "steps": 4},
        "rounds": 3,
        "bertworks_chose": {"precision": "bfloat16"},
        "gemm_gflops": rounds(400.0, 492.0),
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


def agreement() -> dict[str, Any]:
    def cell(outputs: float, inference: float) -> dict[str, Any]:
        def part(difference: float, rms: float) -> dict[str, Any]:
            return {"largest_difference": difference, "of_tolerance": 1e4 * difference, "rms": rms, "numbers": 1000}

        ours = {"outputs": part(outputs, 2.5), "outputs_in_inference": part(inference, 2.5), "gradients": part(5e-5, 0.25)}
        return {"models": ["a", "b"], **ours, "peer_outputs": part(1e-5, 2.5), "peer_gradients": part(3e-5, 0.25)}

    def one(heads: dict[str, Any], not_here: dict[str, str], same_bits: int, noticed: int) -> dict[str, Any]:
        counts = {"round_trips": {"models": 4, "same_bits": same_bits}, "faults": {"planted": 7, "noticed": noticed}}
        file = {"name": "own.py", "lines": 120, "uses": ["parts.py"]}
        return {"heads": heads, "not_here": not_here, **counts, "file": file}

    architectures = {
        "bert": one({"bare": cell(1e-5, 2e-5), "masked_lm": cell(4e-5, 1e-5)}, {"causal_lm": "BertLMHeadModel"}, 4, 7),
        "gpt2": one({"bare": cell(1e-6, 2e-6), "causal_lm": cell(1e-6, 3e-6)}, {"GPT2DoubleHeadsModel": "GPT2DoubleHeadsModel"}, 3, 6),
    }
    shared = {"parts.py": 85}
    return {"command": "c", "tolerance": 1e-4, "architectures": architectures, "shared_lines": shared, "machine": FACTS}


def encoders() -> dict[str, Any]:
    def turns(seconds: float, computed: int = 1000) -> list[Turn]:
        return [Turn(seconds, 1000, computed), Turn(2 * seconds, 1000, computed)]

    seconds = {"padded": turns(0.5, 1250), "sorted": turns(0.4, 1100), "bertworks": turns(0.25), "bertworks fixed": turns(0.2)}
    given = {f"{name} float32": own for name, own in seconds.items()}
    return {
        "command": "c",
        "shape": {"num_hidden_layers": 22, "hidden_size": 768},
        "work": {"sequences": 64, "tokens": 16500, "rows": 16},
        "largest_difference": 1.2e-6,
        "rounds": 2,
        "gemm_gflops": {"float32": rounds(100.0, 160.0)},
        "contestants": encoder_figures(given, {"given": 10.0, "fixed": 10.0}, {"float32": 160.0}),
        "machine": FACTS,
    }


def scored(settings: Any, data: dict[str, Any], run: dict[str, Any], metrics: dict[str, float]) -> dict[str, Any]:
    summary = {"seeds": 1, **{name: {"mean": value, "std": None} for name, value in metrics.items()}}
    runs = [{"seed": 0, **run, **metrics}]
    return {"command": "c", "settings": asdict(settings), "data": data, "runs": runs, "summary": summary, "machine": FACTS}


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
    assert "`python -m benchmarks.architecture_agreement`" in page
    assert "ModernBERT-base shape, forward pass: `python -m benchmarks.architecture_throughput --shape modernbert-base`" in page
    assert "`python -m benchmarks.tokenizer_parity`" in page
    assert "WNUT-17, dev: `python -m benchmarks.quality_tagging wnut17`" in page
    assert "SQuAD 2.0, dev, the peer: `python benchmarks/reference/transformers_answers.py squad2`" in page
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


def test_ways_to_learn_from_few_labels_are_shown(tmp_path: Path) -> None:
    results = {"vectors": [{"seed": 0, "accuracy": 0.5, "seconds": 2.0}, {"seed": 1, "accuracy": 0.6, "seconds": 4.0}]}
    content = {"command": "c", "per_class": 8, "classes": 77, "judged": 2000, "pairs_per_text": 20, "results": results, "machine": FACTS}
    content |= {"fine_tuning": {"epochs": 30, "learning_rate": 1e-4, "batch_size": 16}}
    machine.write_result(tmp_path, "few_shot_bertworks_mini", {**content, "summary": {"vectors": {"mean": 0.55, "std": 0.0707}}})
    page = tables.document(tmp_path, tmp_path)
    assert "| vectors | 55.00 ± 7.07 | 2 | 3 |" in page
    assert "- Banking77 from all-MiniLM-L6-v2: `python -m benchmarks.few_shot --data DATA`" in page


def test_the_gain_of_going_on_with_pretraining_is_shown(tmp_path: Path) -> None:
    told = {
        name: {"metrics": {"masked_lm_loss": loss}, "tokens": 2_500_000, "seconds": 600.0}
        for name, loss in (("before", 5.5), ("after", 4.25))
    }
    content = {"command": "c", "model": "m", "texts": 9000, "rows": 100, "judged": 3800, "pretraining": told, "machine": FACTS}
    content |= {"accuracy": {"before": [0.5, 0.6], "after": [0.6, 0.72]}, "gain": {"mean": 0.11, "std": 0.0141, "by_seed": [0.1, 0.12]}}
    machine.write_result(tmp_path, "continued_pretraining_ag_news", content)
    page = tables.document(tmp_path, tmp_path)
    assert "| after | 4.25 | 66.00 ± 8.49 |" in page
    assert "Gain: +11.00 ± 1.41 points." in page


def test_architectures_are_shown_with_every_head(tmp_path: Path) -> None:
    machine.write_result(tmp_path, "architecture_agreement", agreement())
    page = tables.document(tmp_path, tmp_path)
    assert "|  | bare | masked lm | causal lm |" in page
    assert "| bert | 2.0e-05 / 5.0e-05 | 4.0e-05 / 5.0e-05 | not here |" in page, "the larger of both kernels"
    assert "| gpt2 | 2.0e-06 / 5.0e-05 | – | 3.0e-06 / 5.0e-05 |" in page
    assert "| bert | 2.5 / 0.25 | 2.5 / 0.25 | not here |" in page
    assert "| bert | 4 | 6,000 | 40% | 20% | 50% | 10% | 30% | yes | 7 of 7 | BertLMHeadModel |" in page
    assert "| gpt2 | 4 | 6,000 | 1% | 3% | 50% | 10% | 30% | 3 of 4 | 6 of 7 | GPT2DoubleHeadsModel |" in page
    assert "| own.py | 120 | parts.py |" in page
    assert "(parts.py 85 lines)" in page


def test_encoders_are_compared_round_by_round(tmp_path: Path) -> None:
    machine.write_result(tmp_path, "architecture_throughput_modernbert_base", encoders())
    page = tables.document(tmp_path, tmp_path)
    assert "### ModernBERT-base shape, forward pass" in page
    assert "22 layers, hidden size 768" in page
    assert "differ by 1.2e-06 at most" in page
    assert "160 in float32" in page
    assert "| transformers, in the order given, float32 | 1,500 (1,000–2,000) | 20% | 15 | 9% | 2.00 × | – |" in page
    assert "| **bertworks**, float32 | 3,000 (2,000–4,000) | 0% | 30 | 19% | – | 80% (missed) |" in page


def test_parity_of_tokenizers_is_shown(tmp_path: Path) -> None:
    """Also of results that were written before scripts told their command and date."""
    parts = {"texts": 15000, "ids_differ": 2, "spans_differ": 1}
    row = {"tokenizer": "modernbert", "lines": parts, "english": parts, "strings": {**parts, "texts": 100_000, "ids_differ": 0}}
    early = {name: value for name, value in FACTS.items() if name not in ("date", "load_before")}
    machine.write_result(tmp_path, "tokenizer_parity", {"languages": 11, "tokenizers": [row], "machine": early})
    page = tables.document(tmp_path, tmp_path)
    assert "| modernbert | 15,000 | 2 | 1 | 15,000 | 2 | 1 | 100,000 | 0 | 1 |" in page
    assert "\n\nA processor, 2 cores" in page


def test_tags_and_answers_are_shown_beside_the_peer(tmp_path: Path) -> None:
    sizes = {"train_rows": 100, "test_rows": 50}
    tags = {"conlleval_f1": 0.5, "strict_f1": 0.25}
    own = scored(quality_tagging.Settings("wnut17"), sizes, {}, tags)
    machine.write_result(tmp_path / "results", "quality_wnut17", own)
    peer = {**own, "settings": {name: own["settings"][ours] for name, ours in SAME_NAMES.items()}}
    peer["runs"] = [{**own["runs"][0], "conlleval_f1": 0.51}]
    machine.write_result(tmp_path / "reference", "transformers_wnut17", peer)
    answers = {"f1": 0.75, "exact_match": 0.5, "best_f1": 0.8}
    own = scored(quality_answers.Settings("squad2"), {"train_file": "t"}, sizes, answers)  # rows are counted in every run
    machine.write_result(tmp_path / "results", "quality_squad2", own)
    page = tables.document(tmp_path / "results", tmp_path / "reference")
    shown = "F1 as conlleval counts 50.00, strict F1 25.00 | 1 | 100 / 50 | 3 epochs, learning rate 0.0003, truncate |"
    assert f"| WNUT-17, dev | {shown}" in page
    assert "| WNUT-17, dev | F1 as conlleval counts | 51.00 | 50.00 | -1.00 | -1.00 | – | one seed |" in page
    assert "| SQuAD 2.0, dev | F1 75.00, exact match 50.00, F1 at the best threshold 80.00 | 1 | 100 / 50 |" in page


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
    assert "| STS benchmark, dev | Spearman | 86.50 ± 0.71 | 86.00 ± 1.41 | -1.00 +0.00 | -0.50 | 0.71 |" in page


def test_other_settings_are_not_compared(tmp_path: Path) -> None:
    own, peer = own_stsb({0: 0.85}), peer_stsb({0: 0.86})
    peer["settings"]["epochs"] = 3
    machine.write_result(tmp_path / "results", "quality_stsb", own)
    machine.write_result(tmp_path / "reference", "transformers_stsb", peer)
    assert "STS benchmark, dev is not compared: epochs differ." in tables.document(tmp_path / "results", tmp_path / "reference")


def test_another_precision_is_not_compared(tmp_path: Path) -> None:
    own, peer = own_stsb({0: 0.85, 1: 0.86}), peer_stsb({0: 0.86, 1: 0.86})
    peer["settings"]["training_forward"] = "bfloat16 autocast"
    for run, precision in zip(own["runs"], ("bfloat16", "float32"), strict=True):
        run |= {"precision": precision, "environment": {"cpu": "A Processor", "flags": ["avx512_bf16"]}}
    assert compare({**own, "runs": own["runs"][:1]}, peer)["unequal_settings"] == []
    machine.write_result(tmp_path / "results", "quality_stsb", own)
    machine.write_result(tmp_path / "reference", "transformers_stsb", peer)
    page = tables.document(tmp_path / "results", tmp_path / "reference")
    assert "STS benchmark, dev is not compared: precision of training differ." in page
    told = "0 on A Processor, trained in bfloat16; 1 on A Processor, trained in float32"
    assert f"seeds on several machines: {told}" in page


def test_private_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "my-laptop")
    with pytest.raises(ValueError, match="my-laptop"):
        machine.write_result(tmp_path, "x", {"command": "run on my-laptop"})
    assert not list(tmp_path.iterdir())


def test_another_precision_of_evaluation_is_not_compared() -> None:
    own, peer = own_stsb({0: 0.85}), peer_stsb({0: 0.86})
    peer["settings"]["evaluation_forward"] = "float32"
    for precision, unequal in (("float32", []), ("bfloat16", ["precision of evaluation"])):
        own["runs"][0]["evaluation_precision"] = precision
        assert compare(own, peer)["unequal_settings"] == unequal


def test_the_page_is_current() -> None:
    """It says what the results of the repository say, whatever was measured so far."""
    written = tables.DOCUMENT.read_text(encoding="utf-8")
    assert written == tables.document(machine.RESULTS, machine.REFERENCE), "write it anew: python -m benchmarks.tables"
