"""Throughput of masked-LM pretraining beside `transformers`, in real tokens a second.

    python -m benchmarks.pretraining_throughput                                    # both shapes at both lengths, one run
    python -m benchmarks.pretraining_throughput --shape 4x256 --length 128

A turn of a contestant is one warm-up step and then `--steps` timed steps of 4,096 tokens: forward, backward, clipping to
norm 1, AdamW. Sequences are of full length, so that nobody pads; ids are random, as frequent as words are, and 15 % of them
are hidden, the same for all. Turns are interleaved over all shapes, lengths and contestants. Every round is kept in the
result: the same command goes on behind the last one.

Contestants of `transformers` (BertForMaskedLM, float32 weights; batches are handed over ready, with the mask of its collator):

- `float32`: dropout 0.1, `torch.optim.AdamW` as it comes;
- `bfloat16`: the same under autocast, as people run it;
- `tuned eager`, `tuned sdpa`: bfloat16 autocast without dropout, the fused AdamW, by either attention. The faster of the
  two is the peer's best.

Contestants of bertworks go through `bertworks.training.train` and hide the tokens anew in every step: `bertworks` (precision
"auto", no dropout: what `bertworks pretrain` does by itself), `bertworks dropout` (0.1) and `bertworks float32`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import machine
from benchmarks.finetune_throughput import Shape, StepTimes, Turn
from bertworks.architectures.registry import ARCHITECTURES
from bertworks.batch import PackedBatch
from bertworks.data.sampler import cut_by_tokens
from bertworks.nn.machine import MachineChoice, choose
from bertworks.nn.model import Model
from bertworks.tasks.masked_lm import MASKED_LM, MaskedLM
from bertworks.tasks.masking import IGNORED, Masking
from bertworks.tasks.pretraining import Pretraining
from bertworks.tokenization import Tokenizer
from bertworks.training import TrainingConfig, train
from bertworks.training.steps import WHOLE, Share

NAME = "pretraining_throughput"
VOCABULARY = 30_522
SHAPES = {
    "4x256": Shape(4, 256, 4, 1024, vocabulary=VOCABULARY),
    "6x384": Shape(6, 384, 12, 1536, vocabulary=VOCABULARY),
    "tiny": Shape(2, 64, 4, 128, vocabulary=1200),
}
"""Layers and hidden size; `tiny` is there to try the script out."""
LENGTHS = (128, 512)
MASKED = 0.15
LEARNING_RATE = 1e-4
SEED = 0
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PEERS = ("float32", "bfloat16", "tuned eager", "tuned sdpa")
OURS = ("bertworks", "bertworks dropout", "bertworks float32")


@dataclass(frozen=True)
class Workload:
    """The sequences of a turn: `batch` holds those of the warm-up step first, then those of the timed steps."""

    batch: PackedBatch
    rows: int
    """Sequences a step."""
    steps: int
    """Timed steps."""
    task: Pretraining

    @property
    def tokens(self) -> int:
        """Real tokens of the timed steps."""
        return self.rows * self.steps * int(self.batch.lengths[0])

    @property
    def per_epoch(self) -> int:
        return self.steps + 1

    def sequences(self, number: int) -> PackedBatch:
        """Those of step `number` (0 is the warm-up), hidden from as the task says."""
        batch = self.batch.take(np.arange(number * self.rows, (number + 1) * self.rows))
        return self.task.prepare(batch, np.ones(batch.tokens, dtype=bool))

    def step(self, number: int, token_budget: int, share: Share = WHOLE) -> list[PackedBatch]:
        """The same in batches: what `bertworks.training.train` asks for; one process, so the share is the whole."""
        assert share == WHOLE
        batch = self.sequences(number)
        return [batch.take(part) for part in cut_by_tokens(batch.lengths, token_budget)]


def build_workload(shape: Shape, length: int, tokens: int, steps: int) -> Workload:
    """The same for the same arguments."""
    random = np.random.default_rng(SEED)
    rows = max(1, tokens // length)
    count = rows * (steps + 1)
    frequent = np.exp(random.random((count, length)) * np.log(shape.vocabulary - len(SPECIAL)))  # few words are frequent, as in texts
    ids = len(SPECIAL) + frequent.astype(np.int64) - 1
    ids[:, 0], ids[:, -1] = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
    batch = replace(PackedBatch.from_sequences(list(ids)), keys=np.arange(count))
    return Workload(batch, rows, steps, Pretraining([objective(shape.vocabulary)]))


def objective(vocabulary: int) -> MaskedLM:
    """Masked LM with a vocabulary of made-up words."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*SPECIAL, *(f"word{i}" for i in range(vocabulary - len(SPECIAL)))]
        Path(folder, "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        return MaskedLM(Tokenizer.load(folder), Masking(MASKED, seed=SEED), vocabulary=vocabulary)


def step_gflop(shape: Shape, length: int, rows: int, targets: float) -> float:
    """Useful operations of a step, three times those of the forward pass, in 10^9: the products of the layers at every token,
    those of the head (transform and vocabulary) at the hidden ones only."""
    layers = shape.layers * (2 * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate) + 4 * shape.hidden * length)
    head = 2 * shape.hidden**2 + 2 * shape.hidden * shape.vocabulary
    return 3e-9 * (rows * length * layers + targets * head)


# ---- transformers


@dataclass(frozen=True)
class PeerStyle:
    """How a contestant of `transformers` trains."""

    dropout: float = 0.1
    bfloat16: bool = True
    fused: bool = False
    attention: str = "sdpa"


STYLES = {
    "float32": PeerStyle(bfloat16=False),
    "bfloat16": PeerStyle(),
    "tuned eager": PeerStyle(dropout=0.0, fused=True, attention="eager"),
    "tuned sdpa": PeerStyle(dropout=0.0, fused=True, attention="sdpa"),
}


def peer_model(shape: Shape, dropout: float) -> Any:
    """BertForMaskedLM with random weights."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(SEED)
    return BertForMaskedLM(BertConfig(**shape.config(dropout))).train()


def peer_batches(workload: Workload) -> list[dict[str, torch.Tensor]]:
    """The steps as the peer's collator hands them over."""
    out = []
    for number in range(workload.steps + 1):
        batch = workload.sequences(number)
        arrays = {"input_ids": batch.input_ids, "labels": batch.token_targets[MASKED_LM], "attention_mask": np.ones_like(batch.input_ids)}
        out.append({name: torch.from_numpy(values.reshape(workload.rows, -1)) for name, values in arrays.items()})
    return out


def peer_turn(model: Any, style: PeerStyle, batches: list[dict[str, torch.Tensor]], tokens: int) -> Turn:
    """One turn of a plain training loop."""
    model.set_attn_implementation(style.attention)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True if style.fused else None)

    def step(batch: Mapping[str, torch.Tensor]) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=style.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    step(batches[0])
    start = time.perf_counter()
    for batch in batches[1:]:
        step(batch)
    return Turn(time.perf_counter() - start, tokens, tokens)


# ---- bertworks


def own_model(shape: Shape, dropout: float, task: Pretraining) -> Model:
    """A BERT of bertworks with a masked-LM head and random weights."""
    config, bert = shape.config(dropout), ARCHITECTURES["bert"]
    spec = replace(bert.encoder(config), pooler=None)
    model = Model(spec, {name: bert.heads[kind].spec(config, spec, outputs) for name, (kind, outputs) in task.heads.items()})
    model.initialize(SEED)
    return model


def own_turn(model: Model, choice: MachineChoice, workload: Workload) -> Turn:
    """One turn of bertworks' own training; its first step is the warm-up."""
    times = StepTimes()
    config = TrainingConfig(epochs=1.0, learning_rate=LEARNING_RATE, max_gradient_norm=1.0, seed=SEED, log_steps=1)
    train(model, workload.task, workload, config, choice, steps=workload.per_epoch, progress=times)
    (start, before), (stop, after) = times.marks[0], times.marks[-1]
    return Turn(stop - start, after - before, after - before)


# ---- the run


def build_contestants(shape: Shape, workload: Workload, names: list[str]) -> dict[str, Callable[[], Turn]]:
    """The chosen contestants by name. Those that differ only in how they compute share a model; each makes its own optimizer."""
    peers = {dropout: peer_model(shape, dropout) for dropout in (0.1, 0.0)}
    ours = {dropout: own_model(shape, dropout, workload.task) for dropout in (0.1, 0.0)}
    sizes = {sum(p.numel() for p in model.parameters()) for model in (*peers.values(), *ours.values())}
    if len(sizes) != 1:
        raise RuntimeError(f"the contestants' models are not of the same size: {sorted(sizes)} parameters")
    auto, float32 = choose("cpu", "auto"), choose("cpu", "float32")
    batches = peer_batches(workload)
    runs = {name: partial(peer_turn, peers[style.dropout], style, batches, workload.tokens) for name, style in STYLES.items()}
    own = {"bertworks": (ours[0.0], auto), "bertworks dropout": (ours[0.1], auto), "bertworks float32": (ours[0.0], float32)}
    every: dict[str, Callable[[], Turn]] = {**runs, **{n: partial(own_turn, model, choice, workload) for n, (model, choice) in own.items()}}
    return {name: every[name] for name in names}


def figures_of(seconds: Mapping[str, list[float]], tokens: int, gflop: float, gemm_rate: float) -> dict[str, dict[str, Any]]:
    """Figures by contestant; `speedup` is how many times faster it was than each other one, the median over the rounds."""
    out: dict[str, dict[str, Any]] = {}
    for name, own in seconds.items():
        useful = [gflop / s for s in own]
        ratios = {other: [t / s for t, s in zip(theirs, own, strict=True)] for other, theirs in seconds.items() if other != name}
        out[name] = {
            "tokens_per_second": machine.spread([tokens / s for s in own]),
            "useful_gflops": machine.spread(useful),
            "share_of_bfloat16_gemm": round(statistics.median(useful) / gemm_rate, 4),
            "speedup": {other: round(statistics.median(values), 3) for other, values in ratios.items()},
        }
    return out


@dataclass(frozen=True)
class Case:
    """A shape at a length."""

    shape_name: str
    length: int
    workload: Workload

    @property
    def name(self) -> str:
        return f"{self.shape_name} at {self.length}"

    @property
    def shape(self) -> Shape:
        return SHAPES[self.shape_name]

    def targets_a_step(self) -> float:
        """Hidden tokens of a timed step, in the mean."""
        targets = [self.workload.sequences(i).token_targets[MASKED_LM] for i in range(1, self.workload.per_epoch)]
        return float(np.mean([(one != IGNORED).sum() for one in targets]))

    def describe(self, seconds: Mapping[str, list[float]], gemm_rate: float) -> dict[str, Any]:
        """What the result says of the case."""
        targets, work = self.targets_a_step(), self.workload
        gflop = step_gflop(self.shape, self.length, work.rows, targets)
        contestants = figures_of(seconds, work.tokens, gflop * work.steps, gemm_rate)
        facts = {"sequences_a_step": work.rows, "targets_a_step": round(targets, 1), "gflop_a_step": round(gflop, 2)}
        shape = {name: value for name, value in asdict(self.shape).items() if name != "rows"}
        return {"shape": {"name": self.shape_name, **shape}, "length": self.length, **facts, "contestants": contestants}


def earlier_rounds(folder: Path, settings: Mapping[str, Any], here: Mapping[str, Any]) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each turn, and GEMM rates, of a result that is there. Raises `SystemExit` where it was made otherwise."""
    content = machine.read_result(folder, NAME)
    if content is None:
        return {}, []
    changed = [name for name, value in settings.items() if content["settings"].get(name) != value]
    changed += [name for name in ("cpu", "cores", "threads", "torch", "transformers") if content["machine"].get(name) != here.get(name)]
    if changed:
        raise SystemExit(f"{NAME}.json was made with another {', '.join(changed)}: move it away, or choose another --output")
    return dict(content["seconds"]), list(content["bfloat16_gemm_gflops"]["values"])


def table(cases: list[dict[str, Any]]) -> str:
    """The figures as lines of text; the last columns say how many times faster bertworks is, without and with dropout."""
    lines = []
    for case in cases:
        title = f"{case['shape']['name']} at {case['length']}"
        lines.append(title.ljust(20) + "  tokens/s     min     max   GFLOP/s  of GEMM  bertworks  dropout")
        for name, figures in case["contestants"].items():
            rate = figures["tokens_per_second"]
            ratios = [case["contestants"].get(own, {}).get("speedup", {}).get(name) for own in OURS[:2]]
            shown = ["" if ratio is None else f"{ratio:.2f} x" for ratio in ratios]
            numbers = "".join(f"{rate[key]:8,.0f}" for key in ("median", "min", "max"))
            useful, share = figures["useful_gflops"]["median"], figures["share_of_bfloat16_gemm"]
            lines.append(f"  {name:20}{numbers}{useful:10,.1f}{share:9.1%}{shown[0]:>11}{shown[1]:>9}")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{NAME}", description="Throughput of pretraining beside transformers.")
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["4x256", "6x384"])
    parser.add_argument("--length", nargs="+", type=int, default=list(LENGTHS), help="tokens of a sequence")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of a turn")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens of a step")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    parser.add_argument("--only", nargs="+", choices=[*PEERS, *OURS], help="leave the other contestants out")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.shape, arguments.rounds, arguments.steps, arguments.tokens = ["tiny"], 2, 2, 1024
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    names = [name for name in (*PEERS, *OURS) if not arguments.only or name in arguments.only]
    folder, facts = machine.output_folder(arguments), machine.facts()
    settings = {"shapes": arguments.shape, "lengths": arguments.length, "steps": arguments.steps, "tokens_a_step": arguments.tokens}
    settings |= {"masked": MASKED, "contestants": names}
    seconds, rates = earlier_rounds(folder, settings, facts)
    hidden = max(SHAPES[name].hidden for name in arguments.shape)
    rates = [*rates, machine.best_rate(facts["gemm_gflops"], hidden)]
    done = min((len(values) for values in seconds.values()), default=0)
    machine.log(f"{done} of {arguments.rounds} rounds are measured already")
    if done >= arguments.rounds:
        return
    cases = [
        Case(shape, length, build_workload(SHAPES[shape], length, arguments.tokens, arguments.steps))
        for shape in arguments.shape
        for length in arguments.length
    ]
    contestants = {f"{case.name}, {n}": run for case in cases for n, run in build_contestants(case.shape, case.workload, names).items()}
    shown = {name: getattr(arguments, name) for name in ("shape", "length", "rounds", "steps", "tokens", "threads", "only", "quick")}
    shown["only"] = [f'"{name}"' if " " in name else name for name in arguments.only] if arguments.only else None
    choice = choose("cpu", "auto")
    header = {
        "settings": settings,
        "bertworks_chose": {"precision": choice.precision, "token_budget": choice.token_budget, "threads": choice.threads},
    }

    def after(_: int, turns: Mapping[str, list[Turn]]) -> None:
        expected = {f"{case.name}, {name}": case.workload.tokens for case in cases for name in names}
        if any(turn.tokens != expected[key] for key, own in turns.items() for turn in own):
            raise RuntimeError("the contestants did not train on the same number of tokens")
        rates.append(machine.best_rate(machine.gemm_rates(), hidden))
        whole = {key: [*seconds.get(key, []), *(turn.seconds for turn in own)] for key, own in turns.items()}
        described = [case.describe({n: whole[f"{case.name}, {n}"] for n in names}, max(rates)) for case in cases]
        rounds = len(next(iter(whole.values())))
        content = {
            "command": machine.command_line(NAME, [], {**shown, "rounds": rounds}),
            **header,
            "rounds": rounds,
            "bfloat16_gemm_gflops": machine.spread(rates),
            "peak_memory_gib": round(machine.peak_memory_gib(), 2),
            "cases": described,
            "seconds": {key: [round(value, 4) for value in values] for key, values in whole.items()},
            "machine": facts,
        }
        machine.write_result(folder, NAME, content)
        print(table(described), flush=True)

    machine.interleave(contestants, arguments.rounds - done, after)


if __name__ == "__main__":
    main()
