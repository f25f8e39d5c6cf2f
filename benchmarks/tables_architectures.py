"""The parts of docs/benchmarks.md about architectures: their agreement with `transformers`, and their throughput."""

from collections.abc import Callable

from benchmarks.markdown import Result, footer, markdown, ranged

CONTESTANT_TITLES = {
    "padded": "transformers, in the order given",
    "sorted": "transformers, sorted by length",
    "bertworks": "**bertworks**",
    "bertworks fixed": "bertworks, all sequences of 256 tokens",
}
OURS = ("outputs", "outputs_in_inference", "gradients")
PEERS = ("peer_outputs", "peer_gradients")


def agreement(title: str, content: Result) -> str:
    """Differences and sizes of every architecture with every head, then what else is known of each architecture."""
    found = content["architectures"]
    tolerance = f"{content['tolerance']:g}"
    intro = (
        f"### {title}\n\n"
        "The largest absolute difference of outputs, then of gradients, by architecture and head. Small random models, but strict ones: "
        "weights of standard deviation 0.5, random biases and gains, pairs of unequal length in one batch, windows that really slide; "
        "bertworks in float32, transformers in float64. Outputs are those of the heads, and for the bare body all hidden states and "
        "attention probabilities; gradients, of every parameter, are those of a random linear functional of all outputs. A dash: "
        "transformers has no such head. Of random models the first is taken that transformers itself computes in float32 within a "
        "quarter of the tolerance, and in which no part is so small that a fault in it might not show."
    )
    differences = _matrix(
        content,
        lambda cell: f"{max(cell[kind]['largest_difference'] for kind in OURS[:2]):.1e} / {cell['gradients']['largest_difference']:.1e}",
    )
    sizes = _matrix(content, lambda cell: f"{cell['outputs']['rms']:.2g} / {cell['gradients']['rms']:.2g}")
    shares = (
        f"The tolerance is {tolerance} · (1 + |x|) for an output x (for a hidden state, its root mean square in place of 1 where that is "
        f"larger), and {tolerance} · (g + |x|) for a gradient, where g is the largest number of the tensor. Shares of it that the worst "
        "number takes, over all heads; beside them what transformers in float32 takes of it, which is rounding. Outputs are compared by "
        "the attention kernel that trains and by the one that predicts. Each model is saved again and its tensors compared bit by bit. "
        "Faults are those that the tests list, planted one by one."
    )
    rows = []
    for name, one in found.items():
        cells = list(one["heads"].values())
        worst = [max(cell[kind]["of_tolerance"] for cell in cells) for kind in (*OURS, *PEERS)]
        numbers = sum(cell[kind]["numbers"] for cell in cells for kind in OURS)
        trips, faults = one["round_trips"], one["faults"]
        row = [name, str(trips["models"]), f"{numbers:,}", *(f"{share:.0%}" for share in worst)]
        row += ["yes" if trips["same_bits"] == trips["models"] else f"{trips['same_bits']} of {trips['models']}"]
        rows.append([*row, f"{faults['noticed']} of {faults['planted']}", ", ".join(one["not_here"].values()) or "–"])
    titles = ["", "models", "numbers compared", "outputs", "in inference", "gradients", "transformers: outputs", "gradients"]
    titles += ["same bits", "faults noticed", "only in transformers"]
    files = {one["file"]["name"]: one["file"] for one in found.values()}
    lines = [[name, str(file["lines"]), ", ".join(file["uses"])] for name, file in files.items()]
    shared = ", ".join(f"{name} {count}" for name, count in content["shared_lines"].items())
    size = "How large these numbers are (root mean square), outputs / gradients:"
    written = f"Lines of the file that describes an architecture, and the files it takes parts from ({shared} lines):"
    parts = [intro, differences, size, sizes, shares, markdown(titles, rows), written, markdown(["file", "lines", "uses"], lines)]
    return "\n\n".join([*parts, footer(content)])


def _matrix(content: Result, cell: Callable[[Result], str]) -> str:
    """A row for each architecture, a column for each head."""
    found = content["architectures"]
    heads = list(dict.fromkeys(head for one in found.values() for head in one["heads"]))
    rows = []
    for name, one in found.items():
        absent = {head: "not here" if head in one["not_here"] else "–" for head in heads}
        rows.append([name, *(cell(one["heads"][head]) if head in one["heads"] else absent[head] for head in heads)])
    return markdown(["", *(head.replace("_", " ") for head in heads)], rows)


def throughput(title: str, content: Result) -> str:
    """The contestants of a shape, dtype by dtype."""
    from benchmarks.architecture_throughput import BAR, DEVIATION, LONGEST, MEAN, SHORTEST  # torch, which other sections do without

    shape, work, contestants = content["shape"], content["work"], content["contestants"]
    rates = " and ".join(f"{figures['max']:,.0f} in {dtype}" for dtype, figures in content["gemm_gflops"].items())
    text = (
        f"### {title}\n\n"
        f"The forward pass alone: {shape['num_hidden_layers']} layers, hidden size {shape['hidden_size']}, random weights, the same on "
        f"both sides (their states differ by {content['largest_difference']:g} at most in float32). {work['sequences']} sequences, "
        f"{work['tokens']:,} tokens: lengths normal around {MEAN} with standard deviation {DEVIATION}, from {SHORTEST} to {LONGEST}; "
        f"{work['rows']} rows a batch, SDPA attention in transformers; {content['rounds']} rounds. Real tokens a second, without "
        f"padding. The share is that of the machine's GEMM rate in GFLOP/s, {rates} (the highest measured before and between the "
        f"rounds). Of its rate on sequences of one length bertworks shall keep {BAR:.0%} on these."
    )
    rows = []
    for name, figures in contestants.items():
        contestant, dtype = name.rsplit(" ", 1)
        ours = contestants.get(f"bertworks {dtype}", {})
        ratio = ours.get("faster_than", {}).get(name)
        kept = f"{figures['of_fixed']:.0%} ({'reached' if figures['passes'] else 'missed'})" if "of_fixed" in figures else "–"
        cells = [f"{CONTESTANT_TITLES.get(contestant, contestant)}, {dtype}", ranged(figures["tokens_per_second"], 0)]
        cells += [f"{figures['padding']:.0%}", f"{figures['useful_gflops']['median']:,.0f}", f"{figures['share_of_gemm']:.0%}"]
        rows.append([*cells, "–" if ratio is None else f"{ratio:.2f} ×", kept])
    titles = ["", "tokens/s", "padding", "useful GFLOP/s", "share", "bertworks is faster by", "kept of one length"]
    return "\n\n".join([text, markdown(titles, rows), footer(content)])
