"""Throughput of encoders beside `transformers`, in real (unpadded) tokens a second, on lengths as in ModernBERT's paper.

    python -m benchmarks.architecture_throughput --shape modernbert-base
    python -m benchmarks.architecture_throughput --shape bert-base

Random weights, the same on both sides, and the forward pass alone. Lengths are normal around 256 with standard deviation
64, within 16 and 512 (Warner et al. 2024, section 4.3, where there are 8,192 sequences; a processor does with fewer). A
turn of a contestant computes all sequences once; turns are interleaved (A B C … A B C …).

Contestants of `transformers` (SDPA attention, weights in the dtype of the computation):

- `padded`: batches of `--rows` in the order given, each padded to its longest sequence;
- `sorted`: the same, sorted by length first.

Contestants of bertworks compute packed batches of as many tokens: `bertworks` the same sequences, and `bertworks fixed`
as many tokens in sequences of 256. The ratio of these two says what unequal lengths cost.

Before the first turn, the float32 states of both sides are compared: a faster wrong answer would be none.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import machine
from bertworks.batch import PackedBatch
from bertworks.data.sampler import cut_by_tokens
from bertworks.inference import save_model
from bertworks.inference.models import LoadedModel, new_model
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model

Indices = npt.NDArray[np.int64]
MEAN, DEVIATION, SHORTEST, LONGEST = 256, 64, 16, 512
SEED = 0
BAR = 0.95
"""What is wanted of the tokens a second on unequal lengths, as a share of those on fixed lengths."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LARGEST_DIFFERENCE = 1e-3
"""Between the final states of both sides in float32, whose numbers are of order one."""

Config = dict[str, Any]


def bert(layers: int, hidden: int, heads: int, intermediate: int, vocabulary: int = 30522) -> Config:
    """A config.json of BERT."""
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": intermediate}
    return {"model_type": "bert", "vocab_size": vocabulary, "max_position_embeddings": LONGEST, **sizes}


def modernbert(layers: int, hidden: int, heads: int, intermediate: int, vocabulary: int = 50368) -> Config:
    """A config.json of ModernBERT."""
    settings = {"max_position_embeddings": 8192, "local_attention": 128, "global_attn_every_n_layers": 3, "pad_token_id": 0}
    return {**bert(layers, hidden, heads, intermediate, vocabulary), "model_type": "modernbert", **settings}


SHAPES = {
    "modernbert-base": modernbert(22, 768, 12, 1152),
    "bert-base": bert(12, 768, 12, 3072),
    "modernbert-tiny": modernbert(4, 128, 2, 192, 1200),
    "bert-tiny": bert(4, 128, 2, 512, 1200),
}
"""The tiny ones are there to try the script out."""


@dataclass(frozen=True)
class Workload:
    """The sequences of a turn, as the paper has them and of fixed length, cut into packed batches and into rows."""

    sequences: PackedBatch
    packed: list[PackedBatch]
    fixed: list[PackedBatch]
    rows: list[Indices]
    rows_sorted: list[Indices]

    @property
    def tokens(self) -> int:
        return self.sequences.tokens

    def beginning(self) -> "Workload":
        """The first batch of each kind."""
        first = {name: getattr(self, name)[:1] for name in ("packed", "fixed", "rows", "rows_sorted")}
        return replace(self, **first)


def draw_lengths(count: int) -> Indices:
    """Lengths as in the paper."""
    drawn = np.random.default_rng(SEED).normal(MEAN, DEVIATION, count)
    return np.clip(np.rint(drawn), SHORTEST, LONGEST).astype(np.int64)


def build_workload(count: int, rows: int, vocabulary: int) -> Workload:
    """The same for the same arguments."""
    random = np.random.default_rng(SEED + 1)
    lengths = draw_lengths(count)

    def of(lengths: Indices) -> PackedBatch:
        return PackedBatch.from_sequences([random.integers(5, vocabulary, n) for n in lengths])

    def cut(sequences: PackedBatch) -> list[PackedBatch]:
        return [sequences.take(part) for part in cut_by_tokens(sequences.lengths, rows * MEAN)]

    sequences = of(lengths)
    numbered, by_length = np.arange(count), np.argsort(lengths, kind="stable")
    in_rows = [[order[i : i + rows] for i in range(0, count, rows)] for order in (numbered, by_length)]
    fixed = of(np.full(max(1, round(int(lengths.sum()) / MEAN)), MEAN))
    return Workload(sequences, cut(sequences), cut(fixed), *in_rows)


def forward_gflop(model: Model, lengths: Indices) -> float:
    """Useful operations of the forward pass in 10^9: products of matrices for real tokens; a window counts only itself."""
    hidden, numbers = model.spec.hidden, lengths.astype(np.float64)
    total = 0.0
    for layer in model.spec.layers:
        dense = 4 * hidden**2 + (3 if layer.feed_forward.gated else 2) * hidden * layer.feed_forward.width
        window = layer.attention.window
        seen = numbers if window is None else np.minimum(numbers, sum(window) + 1)
        total += 2 * dense * numbers.sum() + 4 * hidden * (numbers * seen).sum()
    return float(1e-9 * total)


@dataclass(frozen=True)
class Turn:
    """What a contestant did in a turn."""

    seconds: float
    tokens: int
    """Real tokens."""
    computed: int
    """Tokens with padding."""


def own_turn(model: Model, dtype: torch.dtype, batches: list[PackedBatch]) -> Turn:
    """All packed batches through bertworks' encoder; making tensors of them is part of it."""
    tokens = sum(batch.tokens for batch in batches)
    start = time.perf_counter()
    with torch.inference_mode():
        model.compute_in(dtype)
        for batch in batches:
            model.encoder(model_inputs(batch, torch.device("cpu")))
    return Turn(time.perf_counter() - start, tokens, tokens)


def padded(sequences: PackedBatch, rows: Indices) -> dict[str, torch.Tensor]:
    """A batch as the peer wants it."""
    batch = sequences.take(rows)
    ones = np.ones(batch.tokens, dtype=np.int64)
    return {"input_ids": torch.from_numpy(batch.to_padded()), "attention_mask": torch.from_numpy(batch.to_padded(ones))}


def peer_turn(model: Any, sequences: PackedBatch, batches: list[Indices]) -> Turn:
    """All batches through the peer's encoder; padding them is part of it."""
    computed = 0
    start = time.perf_counter()
    with torch.inference_mode():
        for rows in batches:
            batch = padded(sequences, rows)
            model(**batch)
            computed += batch["input_ids"].numel()
    return Turn(time.perf_counter() - start, sequences.tokens, computed)


def peer_models(loaded: LoadedModel, names: list[str]) -> dict[str, Any]:
    """The peer's model with our weights, in each dtype."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), loaded)
        return {
            name: transformers.AutoModel.from_pretrained(folder, attn_implementation="sdpa", dtype=DTYPES[name]).eval() for name in names
        }


def largest_difference(model: Model, peer: Any, workload: Workload) -> float:
    """Between the final states of both sides on the first rows. Raises `RuntimeError` where they are not the same model."""
    rows = workload.rows_sorted[0]
    batch = padded(workload.sequences, rows)
    with torch.inference_mode():
        own = model.compute_in(torch.float32).encoder(model_inputs(workload.sequences.take(rows), torch.device("cpu"))).hidden
        theirs = peer(**batch).last_hidden_state[batch["attention_mask"].bool()]
    difference = float((own - theirs).abs().max())
    if difference > LARGEST_DIFFERENCE:
        raise RuntimeError(f"the states of both sides differ by {difference:.2g}: they do not compute the same model")
    return difference


def build_contestants(loaded: LoadedModel, peers: Mapping[str, Any], workload: Workload) -> dict[str, Callable[[], Turn]]:
    """By name and dtype."""
    contestants: dict[str, Callable[[], Turn]] = {}
    for name, peer in peers.items():
        contestants[f"padded {name}"] = partial(peer_turn, peer, workload.sequences, workload.rows)
        contestants[f"sorted {name}"] = partial(peer_turn, peer, workload.sequences, workload.rows_sorted)
        contestants[f"bertworks {name}"] = partial(own_turn, loaded.model, DTYPES[name], workload.packed)
        contestants[f"bertworks fixed {name}"] = partial(own_turn, loaded.model, DTYPES[name], workload.fixed)
    return contestants


def summarize(turns: Mapping[str, list[Turn]], gflop: Mapping[str, float], rates: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Figures by contestant; ratios are medians of the ratios of each round.

    `faster_than` compares with the peers of the same dtype, `of_fixed` with bertworks on fixed lengths.
    """
    out: dict[str, dict[str, Any]] = {}
    for name, own in turns.items():
        dtype = name.rsplit(" ", 1)[1]
        work = gflop["fixed" if "fixed" in name else "given"]
        useful = [work / turn.seconds for turn in own]
        out[name] = {
            "tokens_per_second": machine.spread([turn.tokens / turn.seconds for turn in own]),
            "padding": round(1 - own[0].tokens / own[0].computed, 4),
            "useful_gflops": machine.spread(useful),
            "share_of_gemm": round(statistics.median(useful) / rates[dtype], 4),
        }
        if name == f"bertworks {dtype}":
            peers = [f"{peer} {dtype}" for peer in ("padded", "sorted") if f"{peer} {dtype}" in turns]
            out[name]["faster_than"] = {peer: round(_ratio(own, turns[peer]), 3) for peer in peers}
            out[name]["of_fixed"] = round(_ratio(own, turns[f"bertworks fixed {dtype}"]), 3)
            out[name]["passes"] = out[name]["of_fixed"] >= BAR
    return out


def _ratio(own: list[Turn], others: list[Turn]) -> float:
    """How many times as many tokens a second."""
    return statistics.median(a.tokens / a.seconds / (b.tokens / b.seconds) for a, b in zip(own, others, strict=True))


def table(contestants: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as lines of text."""
    lines = ["contestant".ljust(26) + "  tokens/s       min       max  padding  of GEMM"]
    for name, figures in contestants.items():
        rate = figures["tokens_per_second"]
        cells = "".join(f"{rate[key]:>10,.0f}" for key in ("median", "min", "max"))
        lines.append(f"{name:26}{cells}{figures['padding']:>9.1%}{figures['share_of_gemm']:>9.1%}")
        if "of_fixed" in figures:
            ratios = ", ".join(f"{value:.2f} x {peer}" for peer, value in figures["faster_than"].items())
            verdict = "reached" if figures["passes"] else "missed"
            lines.append(f"  {ratios}; {figures['of_fixed']:.3f} of fixed lengths (wanted: {BAR}, {verdict})")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.architecture_throughput", description="Throughput of encoders beside transformers."
    )
    parser.add_argument("--shape", choices=SHAPES, default="modernbert-base")
    parser.add_argument("--sequences", type=int, default=64, help="sequences of a turn (default: 64)")
    parser.add_argument("--rows", type=int, default=16, help="rows a batch (default: 16)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sequences, arguments.rows, arguments.rounds = 16, 8, 2
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    config = SHAPES[arguments.shape]
    facts = machine.facts()
    workload = build_workload(arguments.sequences, arguments.rows, config["vocab_size"])
    loaded = new_model(config, {}, seed=SEED)
    peers = peer_models(loaded, arguments.dtypes)
    difference = largest_difference(loaded.model, peer_models(loaded, ["float32"])["float32"], workload)
    fixed = np.concatenate([batch.lengths for batch in workload.fixed])
    gflop = {"given": forward_gflop(loaded.model, workload.sequences.lengths), "fixed": forward_gflop(loaded.model, fixed)}
    names = ("shape", "sequences", "rows", "rounds", "dtypes", "threads", "quick")
    header = {
        "command": machine.command_line("architecture_throughput", [], {name: getattr(arguments, name) for name in names}),
        "shape": {"name": arguments.shape, **config},
        "work": {"sequences": arguments.sequences, "tokens": workload.tokens, "rows": arguments.rows, "gflop": round(gflop["given"], 1)},
        "largest_difference": float(f"{difference:.2g}"),
    }
    measured = {name: [machine.best_rate(facts["gemm_gflops"], config["hidden_size"], name)] for name in arguments.dtypes}

    def after(done: int, turns: Mapping[str, list[Turn]]) -> None:
        again = machine.gemm_rates()
        for name, values in measured.items():
            values.append(machine.best_rate(again, config["hidden_size"], name))
        figures = summarize(turns, gflop, {name: max(values) for name, values in measured.items()})
        spreads = {name: machine.spread(values) for name, values in measured.items()}
        content = {**header, "rounds": done, "gemm_gflops": spreads, "contestants": figures, "machine": facts}
        name = f"architecture_throughput_{arguments.shape.replace('-', '_')}"
        machine.write_result(machine.output_folder(arguments), name, content)
        print(table(figures), flush=True)

    for run in build_contestants(loaded, peers, workload.beginning()).values():
        run()  # warms up
    machine.interleave(build_contestants(loaded, peers, workload), arguments.rounds, after)


if __name__ == "__main__":
    main()
