"""Fine-tuning throughput beside `transformers`, in real (unpadded) tokens a second, on lengths of IMDb reviews.

    python -m benchmarks.finetune_throughput --shape minilm
    python -m benchmarks.finetune_throughput --shape bert-base

A turn of a contestant is one warm-up step and then `--steps` timed steps of `--rows` reviews: batch making, forward,
backward, clipping to norm 1, AdamW. All contestants train the same sequences, and turns are interleaved
(A B C … A B C …). Sequences are synthetic; their lengths follow the quantiles of real reviews.

Contestants of `transformers` (BertForSequenceClassification, float32 weights, padded batches with a mask):

- `tutorial`: padded to 512, float32, dropout 0.1, `torch.optim.AdamW` as it comes;
- `dynamic`: the same, each batch padded to its longest row;
- `grouped`: bfloat16 autocast, batches of similar length (see `Workload`), dropout 0.1, AdamW as it comes;
- `tuned eager`, `tuned sdpa`: as `grouped`, without dropout, with the fused AdamW, by either attention;
- `float32 eager`, `float32 sdpa`: the same in float32, which is the faster one on processors that gain nothing from bfloat16.
  The fastest of the four is the peer's best.

Contestants of bertworks go through `bertworks.training.train` itself: `bertworks` (precision "auto", dropout 0.1),
`bertworks no dropout` and `bertworks float32`.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import machine
from bertworks.architectures.registry import ARCHITECTURES
from bertworks.batch import PackedBatch
from bertworks.data.sampler import Sampler
from bertworks.nn.machine import MachineChoice, choose
from bertworks.nn.model import Model
from bertworks.tasks.text_classification import HEAD, TextClassification
from bertworks.training import TrainingConfig, train
from bertworks.training.progress import Progress, StepReport

Indices = npt.NDArray[np.int64]

REVIEW_QUANTILES = (
    *(13, 69, 86, 104, 123, 139, 147, 153, 158, 163, 168, 173, 178, 183, 189, 195, 202, 209, 217, 225, 233),
    *(242, 253, 264, 276, 291, 306, 322, 340, 361, 382, 409, 436, 471, 509, 512, 512, 512, 512, 512, 512),
)
"""Length in tokens of IMDb's 25,000 training reviews (WordPiece of 30,522, special tokens counted, cut at 512) at the
quantiles 0, 1/40, 2/40 … 1. The mean is 275; 14.8 % of the reviews are cut."""
LONGEST = 512
POOL_BATCHES = 50
"""Length grouping sorts so many batches at once, as the peer's own sampler does."""
SEED = 0
LEARNING_RATE = 2e-5
PEERS = ("tutorial", "dynamic", "grouped", "tuned eager", "tuned sdpa", "float32 eager", "float32 sdpa")
WIDTHS = (10, 9, 9, 9, 9, 9, 11, 12)
"""Of the columns of the printed table."""
OURS = ("bertworks", "bertworks no dropout", "bertworks float32")


@dataclass(frozen=True)
class Shape:
    """The size of an encoder."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int = 30522
    rows: int = 32
    """Rows a step, unless said otherwise."""

    def config(self, dropout: float) -> dict[str, Any]:
        """The model's config.json, which both sides read."""
        return {
            "model_type": "bert",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate,
            "hidden_act": "gelu",
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
            "max_position_embeddings": LONGEST,
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
        }

    def training_gflop(self, lengths: npt.NDArray[Any]) -> float:
        """Useful operations of training on sequences: three times those of the forward pass, in 10^9.

        Products of matrices only: the linears of all layers and the two products of attention at every real token,
        pooler and classifier once a sequence. Norms, activations, softmax, embeddings and the optimizer are not counted.
        """
        a_token = 2 * self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate)
        a_pair_of_tokens = 4 * self.layers * self.hidden
        a_sequence = 2 * self.hidden**2 + 4 * self.hidden
        numbers = lengths.astype(np.float64)
        forward = a_token * numbers.sum() + a_pair_of_tokens * np.square(numbers).sum() + a_sequence * len(numbers)
        return float(3e-9 * forward)


SHAPES = {
    "minilm": Shape(6, 384, 12, 1536, rows=32),
    "bert-base": Shape(12, 768, 12, 3072, rows=8),
    "tiny": Shape(2, 64, 4, 128, vocabulary=1200, rows=4),
}
"""`tiny` is there to try the script out."""


@dataclass(frozen=True)
class Workload:
    """The sequences of a turn, and which of them make up each step.

    A pool of 50 steps' rows is drawn, sorted by length and cut into batches, as the peer's sampler for grouping does;
    `steps` of these batches, evenly spaced, are what is trained: so `grouped` is padded as little as in a long training.
    `mixed` are the same sequences in bertworks' shuffled steps, which the contestants without grouping share.
    """

    data: PackedBatch
    warmup: Indices
    mixed: list[Indices]
    grouped: list[Indices]

    @property
    def timed(self) -> Indices:
        return np.concatenate(self.grouped)

    @property
    def tokens(self) -> int:
        """Real tokens of the timed steps."""
        return int(self.data.lengths[self.timed].sum())


def draw_lengths(count: int, random: np.random.Generator) -> Indices:
    """Lengths of reviews, by linear interpolation between the quantiles."""
    at = np.linspace(0, 1, len(REVIEW_QUANTILES))
    return np.rint(np.interp(random.random(count), at, REVIEW_QUANTILES)).astype(np.int64)


def build_workload(shape: Shape, rows: int, steps: int) -> Workload:
    """The same for the same arguments."""
    random = np.random.default_rng(SEED)
    pool = np.sort(draw_lengths(POOL_BATCHES * rows, random)).reshape(POOL_BATCHES, rows)
    chosen = pool[((np.arange(steps) + 0.5) * POOL_BATCHES / steps).astype(np.int64)]
    count = rows * (steps + 1)
    numbers = np.arange(count)
    sampler = Sampler(numbers, np.ones(count, dtype=np.int64), batch_size=rows, seed=SEED)
    steps_of_sampler = [np.concatenate(sampler.step(i, count)) for i in range(steps + 1)]
    timed = np.sort(np.concatenate(steps_of_sampler[1:]))  # the sampler's shuffle mixes the lengths over its steps
    lengths = np.zeros(count, dtype=np.int64)
    lengths[steps_of_sampler[0]] = draw_lengths(rows, random)
    lengths[timed] = chosen.reshape(-1)
    frequent = np.exp(random.random(int(lengths.sum())) * np.log(shape.vocabulary - 1000))  # as words are: few are frequent
    ids = np.split(1000 + frequent.astype(np.int64) - 1, np.cumsum(lengths)[:-1])
    labels = random.integers(0, 2, count)
    data = PackedBatch.from_sequences(ids, targets={HEAD: labels, f"{HEAD}_weights": np.ones(count, dtype=np.float32)})
    return Workload(data, steps_of_sampler[0], steps_of_sampler[1:], list(timed.reshape(steps, rows)))


@dataclass(frozen=True)
class Turn:
    """What a contestant did in the timed steps of a turn."""

    seconds: float
    tokens: int
    """Real tokens."""
    computed: int
    """Tokens with padding."""


# ---- transformers


@dataclass(frozen=True)
class PeerStyle:
    """How a contestant of `transformers` trains."""

    dropout: float = 0.1
    width: int | None = None
    """Every batch is padded to this length; None pads to the longest row."""
    grouped: bool = False
    bfloat16: bool = False
    fused: bool = False
    attention: str = "sdpa"


STYLES = {
    "tutorial": PeerStyle(width=LONGEST),
    "dynamic": PeerStyle(),
    "grouped": PeerStyle(grouped=True, bfloat16=True),
    "tuned eager": PeerStyle(dropout=0.0, grouped=True, bfloat16=True, fused=True, attention="eager"),
    "tuned sdpa": PeerStyle(dropout=0.0, grouped=True, bfloat16=True, fused=True, attention="sdpa"),
    "float32 eager": PeerStyle(dropout=0.0, grouped=True, fused=True, attention="eager"),
    "float32 sdpa": PeerStyle(dropout=0.0, grouped=True, fused=True, attention="sdpa"),
}


def peer_model(shape: Shape, dropout: float) -> Any:
    """A classifier of `transformers` with random weights."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(SEED)
    return BertForSequenceClassification(BertConfig(**{**shape.config(dropout), "num_labels": 2})).train()


def padded(data: PackedBatch, rows: Indices, width: int | None) -> dict[str, torch.Tensor]:
    """A batch as the peer wants it."""
    lengths = data.lengths[rows]
    width = int(lengths.max()) if width is None else width
    ids = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows.tolist()):
        ids[i, : lengths[i]] = data.input_ids[data.offsets[row] : data.offsets[row + 1]]
    mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
    arrays = {"input_ids": ids, "attention_mask": mask, "labels": data.targets[HEAD][rows]}
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def peer_turn(model: Any, style: PeerStyle, workload: Workload) -> Turn:
    """One turn of a plain training loop."""
    model.set_attn_implementation(style.attention)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True if style.fused else None)
    computed = 0

    def step(rows: Indices) -> int:
        batch = padded(workload.data, rows, style.width)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=style.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        return batch["input_ids"].numel()

    step(workload.warmup)
    start = time.perf_counter()
    for rows in workload.grouped if style.grouped else workload.mixed:
        computed += step(rows)
    return Turn(time.perf_counter() - start, workload.tokens, computed)


# ---- bertworks


class StepTimes(Progress):
    """Notes the time and the tokens after each step."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int]] = []

    def step(self, report: StepReport) -> None:
        self.marks.append((time.perf_counter(), report.tokens))


def own_model(shape: Shape, dropout: float) -> tuple[Model, TextClassification]:
    """A classifier of bertworks with random weights, and its task."""
    task = TextClassification("single", ("negative", "positive"))
    config, bert = shape.config(dropout), ARCHITECTURES["bert"]
    spec = bert.encoder(config)
    model = Model(spec, {name: bert.heads[kind].spec(config, spec, outputs) for name, (kind, outputs) in task.heads.items()})
    model.initialize(SEED)
    return model, task


def own_turn(model: Model, task: TextClassification, choice: MachineChoice, rows: int, workload: Workload) -> Turn:
    """One turn of bertworks' own training; its first step is the warm-up."""
    times = StepTimes()
    config = TrainingConfig(epochs=1.0, batch_size=rows, learning_rate=LEARNING_RATE, max_gradient_norm=1.0, seed=SEED, log_steps=1)
    train(model, task, workload.data, config, choice, progress=times)
    (start, before), (stop, after) = times.marks[0], times.marks[-1]
    return Turn(stop - start, after - before, after - before)


# ---- the run


def build_contestants(shape: Shape, rows: int, workload: Workload, names: list[str]) -> tuple[dict[str, Callable[[], Turn]], MachineChoice]:
    """The chosen contestants by name, and what bertworks chose for this machine.

    Those that differ only in how they compute share a model, to hold memory down; each makes its own optimizer.
    """
    with_dropout, without = peer_model(shape, 0.1), peer_model(shape, 0.0)
    own, own_without = own_model(shape, 0.1), own_model(shape, 0.0)
    sizes = {sum(p.numel() for p in model.parameters()) for model in (with_dropout, without, own[0], own_without[0])}
    if len(sizes) != 1:
        raise RuntimeError(f"the contestants' models are not of the same size: {sorted(sizes)} parameters")
    auto, float32 = choose("cpu", "auto"), choose("cpu", "float32")
    peers = {n: (without if s.dropout == 0 else with_dropout, s) for n, s in STYLES.items()}
    ours = {"bertworks": (own, auto), "bertworks no dropout": (own_without, auto), "bertworks float32": (own, float32)}
    contestants: dict[str, Callable[[], Turn]] = {}
    for name in names:
        if name in peers:
            contestants[name] = partial(peer_turn, *peers[name], workload)
        else:
            (model, task), choice = ours[name]
            contestants[name] = partial(own_turn, model, task, choice, rows, workload)
    return contestants, auto


def summarize(turns: Mapping[str, list[Turn]], gflop: float, gemm_rate: float) -> dict[str, dict[str, Any]]:
    """Figures by contestant; `speedup` is how many times faster it was than each other one, the median over the rounds.

    The share is that of the highest GEMM rate that was measured before and between the rounds.
    """
    out: dict[str, dict[str, Any]] = {}
    for name, own in turns.items():
        seconds = [turn.seconds for turn in own]
        useful = [gflop / s for s in seconds]
        speedups = {
            other: statistics.median(t.seconds / turn.seconds for t, turn in zip(theirs, own, strict=True))
            for other, theirs in turns.items()
            if other != name
        }
        out[name] = {
            "tokens_per_second": machine.spread([own[0].tokens / s for s in seconds]),
            "seconds": machine.spread(seconds),
            "padding": round(1 - own[0].tokens / own[0].computed, 4),
            "useful_gflops": machine.spread(useful),
            "share_of_gemm": round(statistics.median(useful) / gemm_rate, 4),
            "speedup": {other: round(value, 3) for other, value in speedups.items()},
        }
    return out


def table(contestants: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as lines of text; the last columns say how many times faster bertworks is, with and without dropout."""
    titles = ("tokens/s", "min", "max", "padding", "GFLOP/s", "of GEMM", "bertworks", "no dropout")
    lines = ["contestant".ljust(22) + "".join(title.rjust(width) for title, width in zip(titles, WIDTHS, strict=True))]
    for name, figures in contestants.items():
        rate = figures["tokens_per_second"]
        speedups = [contestants.get(own, {}).get("speedup", {}).get(name) for own in OURS[:2]]
        ratios = ["" if value is None else f"{value:.2f} x" for value in speedups]
        cells = [f"{rate[key]:,.0f}" for key in ("median", "min", "max")]
        cells += [
            f"{figures['padding']:.1%}",
            f"{figures['useful_gflops']['median']:,.1f}",
            f"{figures['share_of_gemm']:.1%}",
            *ratios,
        ]
        lines.append(name.ljust(22) + "".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True)))
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.finetune_throughput", description="Fine-tuning throughput beside transformers."
    )
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of a turn")
    parser.add_argument("--rows", type=int, help="rows a step (default: 32 for minilm, 8 for bert-base)")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    parser.add_argument("--only", nargs="+", choices=[*PEERS, *OURS], help="leave the other contestants out")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.steps, arguments.rows = 2, 2, 2
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    shape = SHAPES[arguments.shape]
    rows = arguments.rows or shape.rows
    names = [name for name in (*PEERS, *OURS) if not arguments.only or name in arguments.only]
    facts = machine.facts()
    workload = build_workload(shape, rows, arguments.steps)
    lengths = workload.data.lengths[workload.timed]
    contestants, choice = build_contestants(shape, rows, workload, names)
    shown = {name: getattr(arguments, name) for name in ("shape", "rounds", "steps", "rows", "threads", "only", "quick")}
    shown["only"] = [f'"{name}"' if " " in name else name for name in arguments.only] if arguments.only else None
    header = {
        "shape": {"name": arguments.shape, **asdict(shape), "rows": rows},
        "work": {
            "steps": arguments.steps,
            "sequences": len(lengths),
            "tokens": workload.tokens,
            "mean_length": round(float(lengths.mean()), 1),
            "gflop": round(shape.training_gflop(lengths), 2),
        },
        "bertworks_chose": {"precision": choice.precision, "token_budget": choice.token_budget, "threads": choice.threads},
    }

    rates = [machine.fastest_rate(facts["gemm_gflops"], shape.hidden)]  # before the first round and after each

    def after(done: int, turns: Mapping[str, list[Turn]]) -> None:
        if any(turn.tokens != workload.tokens for own in turns.values() for turn in own):
            raise RuntimeError("the contestants did not train on the same number of tokens")
        rates.append(machine.fastest_rate(machine.gemm_rates(), shape.hidden))
        rate = max(rates)
        figures = summarize(turns, shape.training_gflop(lengths), rate)
        content = {
            "command": machine.command_line("finetune_throughput", [], {**shown, "rounds": done}),
            **header,
            "rounds": done,
            "gemm_gflops": machine.spread(rates),
            "peak_memory_gib": round(machine.peak_memory_gib(), 2),
        }
        name = f"finetune_throughput_{arguments.shape.replace('-', '_')}"
        machine.write_result(machine.output_folder(arguments), name, {**content, "contestants": figures, "machine": facts})
        print(table(figures), flush=True)

    machine.interleave(contestants, arguments.rounds, after)


if __name__ == "__main__":
    main()
