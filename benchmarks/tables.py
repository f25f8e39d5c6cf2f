"""Writes docs/benchmarks.md from the JSON in benchmarks/results and benchmarks/reference. No figure is typed.

    python -m benchmarks.tables            # writes it
    python -m benchmarks.tables --check    # fails where it is not what the JSON says

What was not measured is left out, and listed at the end with the command that measures it.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine, quality_answers, quality_tagging, tables_architectures, tables_few_labels
from benchmarks.markdown import Result, footer, markdown, mean_and_deviation, ranged
from benchmarks.quality import REFERENCE_TASKS, SAME_NAMES, WORST_DIFFERENCE, compare, summarize

DOCUMENT = machine.ROOT / "docs" / "benchmarks.md"
OPENING = """# Benchmarks

<!-- Written by `python -m benchmarks.tables` from benchmarks/results and benchmarks/reference: do not edit. -->

Every figure below comes from a JSON file in the repository, which holds the command, the settings and the facts of the
machine. Speeds are medians of interleaved rounds, with the least and the most in brackets. They drift from day to day and
from machine to machine, so ratios count, and those are taken round by round within one run. How to measure, and how to
read the figures, stands in `benchmarks/README.md`.
"""
SHAPES = {
    "finetune_throughput_minilm": ("MiniLM shape", "finetune_throughput --shape minilm"),
    "finetune_throughput_bert_base": ("BERT-base shape", "finetune_throughput --shape bert-base"),
}
ENCODERS = {
    f"architecture_throughput_{name.replace('-', '_')}": (f"{title} shape, forward pass", f"architecture_throughput --shape {name}")
    for name, title in {"modernbert-base": "ModernBERT-base", "bert-base": "BERT-base"}.items()
}
TASKS = {
    "sst2": ("SST-2, dev", "quality"),
    "imdb5k": ("IMDb, 5,000 training reviews", "quality"),
    "imdb": ("IMDb, all training reviews", "quality"),
    "agnews": ("AG News (10k), test", "quality"),
    "stsb": ("STS benchmark, dev", "quality"),
    "wnut17": ("WNUT-17, dev", "quality_tagging"),
    "ncbi_disease": ("NCBI disease, dev", "quality_tagging"),
    "wikigold": ("WikiGold, every fifth sentence", "quality_tagging"),
    "squad1": ("SQuAD 1.1, a part of dev", "quality_answers"),
    "squad2": ("SQuAD 2.0, dev", "quality_answers"),
}
"""Titles, and the scripts that measure."""
PAIRED: dict[str, tuple[str, Callable[[Result, Result], dict[str, Any]]]] = {
    **dict.fromkeys(REFERENCE_TASKS, ("transformers_finetune", compare)),
    **dict.fromkeys(
        quality_tagging.FILES,
        ("transformers_tagging", partial(compare, same_names=SAME_NAMES, names=quality_tagging.METRICS)),
    ),
    **dict.fromkeys(quality_answers.FILES, ("transformers_answers", quality_answers.compare)),
}
"""The script of the peer, and how both sides are compared, by task."""
METRIC_TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "conlleval_f1": "F1 as conlleval counts",
    "strict_f1": "strict F1",
    "f1": "F1",
    "exact_match": "exact match",
    "best_f1": "F1 at the best threshold",
}
PRETRAINING_TITLES = {
    "float32": "transformers, float32, dropout 0.1",
    "bfloat16": "transformers, bfloat16 autocast, dropout 0.1",
    "tuned eager": "as before, no dropout, fused AdamW, eager attention",
    "tuned sdpa": "as before, no dropout, fused AdamW, SDPA attention",
    "bertworks": "**bertworks** (no dropout, as it pretrains by itself)",
    "bertworks dropout": "**bertworks, dropout 0.1**",
    "bertworks float32": "**bertworks, float32**",
}
COVERAGE_TITLES = {
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "matthews_correlation": "Matthews",
    "log_loss": "log-loss",
    "expected_calibration_error": "calibration error",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "mean_squared_error": "squared error",
    "mean_absolute_error": "absolute error",
    "r2": "R²",
}
DOMAINS = {
    "ag_news": ("AG News", "ag_news/train_10k.csv --test ag_news/test.csv --text description --label label"),
    "imdb": ("IMDb", "imdb/train.parquet --test imdb/test.parquet --test-limit 2000 --passes 1"),
}
"""Texts that pretraining goes on with, by the folder of the data."""
FEW_SHOT_MODELS = {"all-MiniLM-L6-v2": "", "bertworks-mini": " --model bertworks-mini"}
AGREEMENT_PARTS = {"lines": "lines of text", "strings": "random characters", "code_points": "random code points"}
PEER_TITLES = {
    "tutorial": "transformers, tutorial loop: padded to 512, float32",
    "dynamic": "transformers, dynamic padding, float32",
    "grouped": "transformers, bfloat16 autocast, length grouping",
    "tuned eager": "as before, no dropout, fused AdamW, eager attention",
    "tuned sdpa": "as before, no dropout, fused AdamW, SDPA attention",
    "float32 eager": "transformers, float32, length grouping, no dropout, fused AdamW, eager attention",
    "float32 sdpa": "as before, SDPA attention",
    "bertworks": "**bertworks**",
    "bertworks no dropout": "**bertworks, no dropout**",
    "bertworks float32": "**bertworks, float32**",
}


def document(results: Path, reference: Path) -> str:
    """The whole page."""
    missing: list[str] = []
    sections = [OPENING]

    def add(title: str, parts: Sequence[str]) -> None:
        if parts:
            sections.append(f"## {title}\n\n" + "\n\n".join(parts) + "\n")

    add("Fine-tuning throughput", each(results, SHAPES, throughput, missing))
    pretraining = {"pretraining_throughput": ("Masked language modelling", "pretraining_throughput")}
    add("Pretraining throughput", each(results, pretraining, pretraining_throughput, missing))
    add("Encoders without padding", each(results, ENCODERS, tables_architectures.throughput, missing))
    add("Cold start", each(results, {"cold_start": ("Whole processes", "cold_start")}, cold_start, missing))
    add("Quality", quality(results, missing))
    add("Quality beside the peer, seed by seed", paired(results, reference, missing))
    few = {
        f"few_shot_{name.lower().replace('-', '_')}": (f"Banking77 from {name}", f"few_shot --data DATA{model}")
        for name, model in FEW_SHOT_MODELS.items()
    }
    going_on = {
        f"continued_pretraining_{folder}": (f"Going on with pretraining on the texts of {title}", f"continued_pretraining --data {files}")
        for folder, (title, files) in DOMAINS.items()
    }
    add(
        "Few labels",
        each(results, few, tables_few_labels.few_shot, missing) + each(results, going_on, tables_few_labels.continued_pretraining, missing),
    )
    agreement = {"architecture_agreement": ("Every architecture with every head", "architecture_agreement")}
    add("Architectures beside transformers", each(results, agreement, tables_architectures.agreement, missing))
    parity = {"tokenizer_parity": ("Published and trained vocabularies", "tokenizer_parity")}
    trained = {"tokenizer_agreement": ("Trained vocabularies in transformers", "tokenizer_agreement")}
    tokenizers = each(results, parity, tokenizer_parity, missing) + each(results, trained, tokenizer_agreement, missing)
    add("Tokenizers", tokenizers)
    add("Confidence intervals", each(results, {"interval_coverage": ("Coverage", "interval_coverage")}, interval_coverage, missing))
    if missing:
        sections.append("## Not measured yet\n\n" + "\n".join(f"- {line}" for line in missing) + "\n")
    return "\n".join(sections)


def each(results: Path, names: Mapping[str, tuple[str, str]], render: Callable[[str, Result], str], missing: list[str]) -> list[str]:
    """The sections of the results that are there; the others are noted as missing."""
    parts = []
    for name, (title, command) in names.items():
        content = machine.read_result(results, name)
        if content is None:
            missing.append(f"{title}: `python -m benchmarks.{command}`")
        else:
            parts.append(render(title, content))
    return parts


# ---- speed


def throughput(title: str, content: Result) -> str:
    """A shape's contestants."""
    shape, work, contestants = content["shape"], content["work"], content["contestants"]
    gemm = content["gemm_gflops"]
    text = (
        f"### {title}\n\n"
        f"{shape['layers']} layers, hidden size {shape['hidden']}, random weights; {shape['rows']} reviews a step, mean length "
        f"{work['mean_length']} tokens after truncation to 512; {content['rounds']} rounds of {work['steps']} steps. Real tokens a "
        f"second, without padding. bertworks chose {content['bertworks_chose']['precision']} by itself. The share is that of the "
        f"machine's GEMM rate, {gemm['max']:,.0f} GFLOP/s (the highest of bfloat16 and float32, before and between the rounds).\n\n"
    )
    rows = []
    for name, figures in contestants.items():
        speedups = [contestants.get(own, {}).get("speedup", {}).get(name) for own in ("bertworks", "bertworks no dropout")]
        ratios = ["–" if ratio is None else f"{ratio:.2f} ×" for ratio in speedups]
        useful = f"{figures['useful_gflops']['median']:,.0f}"
        cells = [PEER_TITLES.get(name, name), ranged(figures["tokens_per_second"], 0), f"{figures['padding']:.0%}", useful]
        rows.append([*cells, f"{figures['share_of_gemm']:.0%}", *ratios])
    titles = ["", "tokens/s", "padding", "useful GFLOP/s", "share", "bertworks is faster by", "without dropout by"]
    return text + markdown(titles, rows) + "\n\n" + footer(content)


def pretraining_throughput(title: str, content: Result) -> str:
    """The contestants of each shape at each length."""
    gemm, settings = content["bfloat16_gemm_gflops"], content["settings"]
    opening = (
        f"### {title}\n\n"
        f"{settings['tokens_a_step']:,} tokens a step in sequences of full length, {settings['masked']:.0%} of them hidden, random ids; "
        f"{content['rounds']} rounds of {settings['steps']} steps, all shapes and lengths in one interleaved run. bertworks chose "
        f"{content['bertworks_chose']['precision']} by itself. Useful operations are those of the layers at every token and of the head at "
        f"the hidden ones; the share is that of the machine's bfloat16 GEMM rate, {gemm['max']:,.0f} GFLOP/s (the highest measured before "
        "and between the rounds)."
    )
    parts = [opening]
    for case in content["cases"]:
        shape, contestants = case["shape"], case["contestants"]
        rows = []
        for name, figures in contestants.items():
            ratios = [contestants.get(own, {}).get("speedup", {}).get(name) for own in ("bertworks", "bertworks dropout")]
            cells = [PRETRAINING_TITLES.get(name, name), ranged(figures["tokens_per_second"], 0)]
            cells += [f"{figures['useful_gflops']['median']:,.0f}", f"{figures['share_of_bfloat16_gemm']:.0%}"]
            rows.append([*cells, *("–" if ratio is None else f"{ratio:.2f} ×" for ratio in ratios)])
        title_of_case = (
            f"**{shape['layers']} layers, hidden size {shape['hidden']}, vocabulary {shape['vocabulary']:,}, length {case['length']}**"
        )
        titles = ["", "tokens/s", "useful GFLOP/s", "share", "bertworks is faster by", "with dropout by"]
        parts += [title_of_case, markdown(titles, rows)]
    return "\n\n".join([*parts, footer(content)])


def cold_start(title: str, content: Result) -> str:
    """Seconds and memory of whole processes."""
    rows = [
        [name, ranged(figures["seconds"], 2), f"{figures['memory_mib']['median']:,.0f}"] for name, figures in content["contestants"].items()
    ]
    text = f"### {title}\n\nFrom the start of Python to its end, {content['rounds']} rounds; the model: {content['model']}.\n\n"
    left_out = "".join(f"\n\nLeft out: {name} ({why})." for name, why in content["failed"].items())
    return text + markdown(["process", "seconds", "peak MiB"], rows) + left_out + "\n\n" + footer(content)


# ---- quality


def quality(results: Path, missing: list[str]) -> list[str]:
    """Each task's own result."""
    rows, footers = [], []
    for task, (title, script) in TASKS.items():
        content = machine.read_result(results, f"quality_{task}")
        if content is None:
            missing.append(f"{title}: `python -m benchmarks.{script} {task}`")
            continue
        settings, summary = content["settings"], content["summary"]
        data = {**content["runs"][0], **content["data"]}  # some scripts count the rows in every run
        names = [name for name in METRIC_TITLES if name in summary]
        how = f"{settings['epochs']:g} epochs, learning rate {settings['learning_rate']:g}, {settings.get('overflow', 'window')}"
        limits = [
            f"first {settings[key]} {part} rows" for key, part in (("train_limit", "training"), ("test_limit", "test")) if settings[key]
        ]
        values = ", ".join(f"{METRIC_TITLES[name]} {mean_and_deviation(summary[name])}" for name in names)
        size = f"{data['train_rows']:,} / {data['test_rows']:,}"
        rows.append([title, values, str(summary["seeds"]), size, ", ".join([how, *limits])])
        footers.append(f"{title}: {footer(content)}")
    if not rows:
        return []
    text = "From all-MiniLM-L6-v2, the weights after the last step; mean ± standard deviation over the seeds, in percent.\n\n"
    return [text + markdown(["task", "result", "seeds", "rows (training / test)", "settings"], rows), "\n".join(f"- {f}" for f in footers)]


def paired(results: Path, reference: Path, missing: list[str]) -> list[str]:
    """Tasks that both sides trained with the same settings."""
    rows, notes = [], []
    for task, (script, compared) in PAIRED.items():
        title = TASKS[task][0]
        own, peer = machine.read_result(results, f"quality_{task}"), machine.read_result(reference, f"transformers_{task}")
        if peer is None:
            missing.append(f"{title}, the peer: `python benchmarks/reference/{script}.py {task}`")
        if own is None or peer is None:
            continue
        found = compared(own, peer)
        if found["unequal_settings"]:
            notes.append(f"{title} is not compared: {', '.join(found['unequal_settings'])} differ.")
            continue
        for name, difference in found["metrics"].items():
            by_seed = " ".join(f"{point:+.2f}" for point in difference["points"])
            verdict = "one seed" if difference["std"] is None else "yes" if difference["accepted"] else "no"
            common = [[run for run in side["runs"] if run["seed"] in found["seeds"]] for side in (own, peer)]
            ours, theirs = (mean_and_deviation(summarize(runs, [name])[name]) for runs in common)
            deviation = "–" if difference["std"] is None else f"{difference['std']:.2f}"
            rows.append([title, METRIC_TITLES[name], theirs, ours, by_seed, f"{difference['mean']:+.2f}", deviation, verdict])
    if not rows and not notes:
        return []
    text = (
        "The same checkpoint, data, batch size, learning rate, schedule, clipping, dropout and number of epochs; points are hundredths. "
        f"Accepted is a mean difference of {WORST_DIFFERENCE} points or more. In question answering a step of bertworks holds so many "
        "questions, one of the peer so many windows; tags are decided for the whole sentence by bertworks, one by one by the peer.\n\n"
    )
    titles = ["task", "metric", "transformers", "bertworks", "difference by seed", "mean", "sd", "accepted"]
    return ([text + markdown(titles, rows)] if rows else []) + notes


# ---- correctness


def tokenizer_agreement(title: str, content: Result) -> str:
    """Texts that `transformers` reads to other ids than bertworks, by vocabulary and reader."""
    rows = []
    for kind, result in content["kinds"].items():
        for part, name in AGREEMENT_PARTS.items():
            found = result[part]
            for reader, differences in found.items():
                if isinstance(differences, Mapping):
                    cells = [kind, f"{result['vocabulary']:,}", name, reader]
                    cells += [f"{found['texts']:,}", f"{found['tokens']:,}", f"{differences['different']:,}"]
                    rows.append([*cells, f"{differences['distinct_characters']:,}"])
    text = (
        f"### {title}\n\n"
        "Vocabularies trained by bertworks, loaded by `transformers`: texts whose ids are not the same, and how many characters are cut "
        "differently by themselves. `slow` is the tokenizer in Python: it drops code points that are no characters, `fast` does not.\n\n"
    )
    titles = ["vocabulary", "size", "texts", "reader", "compared", "tokens", "different", "characters"]
    return text + markdown(titles, rows) + "\n\n" + footer(content)


def tokenizer_parity(title: str, content: Result) -> str:
    """Texts that bertworks and `transformers` read differently, by tokenizer."""
    rows = []
    for result in content["tokenizers"]:
        parts = [result[part] for part in ("lines", "english", "strings")]
        counts = [f"{part[key]:,}" for part in parts for key in ("texts", "ids_differ", "spans_differ")]
        rows.append([result["tokenizer"], *counts])
    text = (
        f"### {title}\n\n"
        f"Lines of text in {content['languages']} languages, English lines and random strings of all planes of Unicode, by the same "
        "vocabulary in bertworks and in `transformers`: texts whose ids are not the same, and texts of equal ids in which a token's "
        "span of characters is not.\n\n"
    )
    kinds = ("lines", "English lines", "random strings")
    titles = ["tokenizer", *(title for kind in kinds for title in (kind, "other ids", "other spans"))]
    return text + markdown(titles, rows) + "\n\n" + footer(content)


def interval_coverage(title: str, content: Result) -> str:
    """How often the intervals of each metric cover the truth."""
    text = (
        f"### {title}\n\n"
        f"How many of 100 intervals at 95 % hold the true value: {content['sets']:,} simulated sets of each kind and size, "
        f"{content['replicates']:,} replicates; the truth is that of {content['rows_of_truth']:,} rows. With {content['sets']:,} sets, "
        f"a share of 95 is itself uncertain by ± {100 * 1.96 * (0.95 * 0.05 / content['sets']) ** 0.5:.1f}."
    )
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for result in content["results"]:
        names = tuple(name for name in COVERAGE_TITLES if name in result["metrics"])
        shares = [f"{100 * result['metrics'][name]['covered']:.1f}" for name in names]
        groups.setdefault(names, []).append([result["scenario"], f"{result['rows']:,}", *shares])
    tables = [markdown(["simulated", "rows", *(COVERAGE_TITLES[name] for name in names)], rows) for names, rows in groups.items()]
    return "\n\n".join([text, *tables, footer(content)])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", description="Writes docs/benchmarks.md from the JSON of the benchmarks."
    )
    parser.add_argument("--results", type=Path, default=machine.RESULTS)
    parser.add_argument("--reference", type=Path, default=machine.REFERENCE)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is not up to date")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    text = document(arguments.results, arguments.reference)
    if arguments.check:
        current = arguments.document.read_text(encoding="utf-8") if arguments.document.exists() else ""
        sys.exit(None if current == text else f"{arguments.document.name} is not up to date: run python -m benchmarks.tables")
    arguments.document.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.document.name}")


if __name__ == "__main__":
    main()
