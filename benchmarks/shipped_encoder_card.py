"""The card of the encoder that bertworks ships, from the JSON that made and measured it. No figure is typed."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from benchmarks.markdown import Result, footer, markdown, mean_and_deviation
from bertworks.checkpoints.files import open_tensors, read_json
from bertworks.estimators.mask_filler import MaskFiller
from bertworks.estimators.next_sentence import NextSentence
from bertworks.pretrained import DEFAULT

RUNS, PROBE, SIMILARITY = "shipped_encoder", "shipped_encoder_probe", "shipped_encoder_similarity"
TRAINED = "shipped_encoder_similarity_trained"
MASKED = (
    "The [MASK] was born in London in 1870.",
    "The river flows into the [MASK].",
    "He was a professor at the [MASK] of Chicago.",
    "This movie was absolutely [MASK], and I loved every minute of it.",
    "This film is a complete [MASK] of time.",
    "She [MASK] the door and walked in.",
)
FIRST = "The village lies on the northern bank of the river."
PAIRS = (
    (FIRST, "It had a population of 312 in the last census."),
    (FIRST, "The acting is terrible and the jokes are not funny."),
    ("I had high hopes for this film.", "Sadly, the plot makes no sense and the ending is a mess."),
    ("I had high hopes for this film.", "The species is found in the forests of Brazil."),
)
METRICS = {"matthews_correlation": "Matthews correlation", "f1": "F1", "accuracy": "accuracy", "spearman": "Spearman", "pearson": "Pearson"}
TASKS = {"sst2": "SST-2", "mrpc": "MRPC", "stsb": "STS-B", "rte": "RTE", "cola": "CoLA", "agnews-features": "AG News by frozen features"}


def write_card(folder: Path, results: Path) -> None:
    """Writes README.md and training.svg into the model's folder; what has not been measured yet is left out."""
    runs = read_json(results / f"{RUNS}.json")
    probe, similarity, trained = (
        read_json(results / f"{name}.json") if (results / f"{name}.json").exists() else None for name in (PROBE, SIMILARITY, TRAINED)
    )
    draw_curve(runs, folder / "training.svg")
    (folder / "README.md").write_text(card(folder, runs, probe, similarity, trained), encoding="utf-8")


def card(folder: Path, runs: Result, probe: Result | None, similarity: Result | None, trained: Result | None = None) -> str:
    """The card as text."""
    first, last = runs["parts"][0], runs["parts"][-1]
    tokens, seconds = (sum(part[key] for part in runs["parts"]) for key in ("tokens", "seconds"))
    config, weights = read_json(folder / "config.json"), folder / "model.safetensors"
    with open_tensors(weights) as tensors:
        parameters = sum(prod(shape) for shape in tensors.shapes.values())
    told = {
        **config,
        **last["held_out"],
        "before": first["held_out"],
        "name": DEFAULT,
        "parameters": parameters / 1e6,
        "megabytes": weights.stat().st_size / 1e6,
        "documents": runs["corpus"]["documents"],
        "corpus_tokens": runs["corpus"]["tokens"] / 1e6,
        "millions": tokens / 1e6,
        "of_bert": _TOKENS_OF_BERT / tokens,
        "step_tokens": first["tokens"] / first["steps"],
        "first": first["steps"],
        "last": last["steps"],
        "minutes": seconds / 60,
        "command": runs["command"],
        "machine": footer({"machine": runs["machine"]}),
    }
    measured = [
        *(_probe(probe) if probe else []),
        *(_similarity(similarity) if similarity else []),
        *(_trained(trained) if trained else []),
    ]
    return "\n\n".join([OPENING.format_map(told), *measured, *_examples(runs["examples"]), SOURCES])


_TOKENS_OF_BERT = 1_000_000 * 256 * 512
"""Steps, sequences and tokens of Devlin et al. 2019, appendix A.2."""
OPENING = """---
language: en
license: apache-2.0
library_name: bertworks
pipeline_tag: fill-mask
tags: [bert, fill-mask, next-sentence-prediction, feature-extraction]
---

# {name}

A small English BERT that comes with bertworks and is used wherever no model is named: {num_hidden_layers} layers of {hidden_size},
{vocab_size:,} uncased words and pieces, {parameters:.1f} million parameters, {megabytes:.1f} MB in float16. It has both heads of its
pretraining, so that masks, next sentences, fine-tuning and embeddings work without a network; `transformers` and bertworks read the
folder.

**What it is good for**: trying things, teaching, tests, first results on short English texts, and wherever a model must be tiny.

**What it is not**: it has read {millions:.0f} million tokens, one {of_bert:,.0f}th of what BERT did (Devlin et al. 2019, appendix A.2),
and knows few facts. **English only**: bertworks warns where a text is of another script. Texts of 512 tokens at most; longer ones are
read in windows. It has the prejudices of its texts, encyclopedia articles and reviews of films. For a product, compare it with a larger
model.

## How it was made

Its weights began at random. Its texts are {documents:,} documents ({corpus_tokens:.1f} million tokens) of English Wikipedia and of the
training reviews of IMDb (Maas et al. 2011), without their labels. In a step of {step_tokens:,.0f} tokens it learnt hidden words and
next sentences (Devlin et al. 2019), in the first part how much two texts have in common (two in five were a text and a changed copy of
it), and what all-MiniLM-L6-v2 sees in each word and in each text (cosine distance; none of that teacher's weights are in it).
{first:,} steps at up to 128 tokens, then {last:,} at up to 512; {minutes:,.0f} minutes in all. Every setting, with its reason:
`bertworks recipe show {name}` and `bertworks recipe show {name}-512`. One command makes it again:

    {command}

On held-out documents after the first part, in texts of up to 128 tokens: masked-LM loss {before[masked_lm_loss]:.2f} (accuracy
{before[masked_lm_accuracy]:.1%}, at 15 % of the tokens), next-sentence accuracy {before[next_sentence_accuracy]:.1%}, cosine to the
teacher's vectors {before[distillation_cosine]:.3f}. At the end, in texts of up to 512 tokens: loss {masked_lm_loss:.2f} (accuracy
{masked_lm_accuracy:.1%}), next-sentence accuracy {next_sentence_accuracy:.1%}, cosine {distillation_cosine:.3f} (by a new projection).

![Loss and accuracy on held-out text over the tokens read](training.svg)

{machine}"""
SOURCES = """## Sources

Wikipedia's text is CC BY-SA 3.0 (Wikipedia contributors); the reviews are of Maas et al. (2011), "Learning Word Vectors for Sentiment
Analysis"; the teacher is sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0). The weights are ours, Apache-2.0.

<!-- Written by `python -m benchmarks.shipped_encoder --card`: do not edit. -->
"""
_HOW_PROBED = """Fine-tuned on small tasks, mean ± standard deviation of {seeds} seeds, in percent, on their dev rows; beside it a twin that
begins at random weights. The miniatures' figures are published ones (Turc et al. 2019), of GLUE's **test** sets, each with the best of 20
settings, where ours has one setting: they compare only roughly."""


def _probe(probe: Result) -> list[str]:
    """The table of `bertworks probe`."""
    published = ("BERT-Tiny", "BERT-Mini", "BERT-Small")
    seeds = len(probe["summary"][0]["model"]["values"])
    rows = []
    for row in probe["summary"]:
        if row["task"] in TASKS:
            twin = mean_and_deviation(_as_summary(row["no_pretraining"])) if "no_pretraining" in row else "–"
            figures = [row["published_test_percent"].get(name) for name in published]
            own = mean_and_deviation(_as_summary(row["model"]))
            name = f"{TASKS[row['task']]}, {METRICS[row['metric']]}"
            rows.append([name, own, twin, *("–" if x is None else f"{x:.1f}" for x in figures)])
    told = [line for line in probe["lines"] if "better than" in line or "fine-tuned alike" in line]
    return [
        "## What it has learnt",
        _HOW_PROBED.format(seeds=seeds),
        markdown(["task", DEFAULT, "random twin", *published], rows),
        "\n".join(f"- {line}" for line in told),
        f"`bertworks probe {DEFAULT} --data DATA --seeds {seeds}`",
    ]


def _as_summary(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"mean": values["mean"], "std": values["standard_deviation"]}


def _similarity(told: Result) -> list[str]:
    """How its vectors follow people's judgements, without training."""
    mean, first = (100 * told["spearman"][name] for name in ("mean", "cls"))
    text = (
        f"As it is, without training, on the {told['rows']:,} dev pairs of STS-B: Spearman {mean:.1f} by the mean of its last states (what "
        f"`SentenceEncoder()` does), {first:.1f} by the state of [CLS]."
    )
    return [text, f"`{told['command']}`"]


def _trained(told: Result) -> list[str]:
    """The same after training."""
    values = _as_summary(told["spearman"])
    figure = f"Spearman {mean_and_deviation(values)} ({len(told['runs'])} seeds)"
    text = f'After training on the scored pairs of STS-B, as vectors of single texts (`SentenceEncoder(objective="scores")`): {figure}.'
    return [text, f"`{told['command']}`"]


def examples(folder: Path) -> dict[str, Any]:
    """What the model says to a few texts."""
    filler, pairs = MaskFiller(folder, precision="float32"), NextSentence(folder, precision="float32")
    masks = {text: [[c.token.strip(), c.score] for c in filler.fill(text, top_k=4).masks[0]] for text in MASKED}
    return {"masks": masks, "pairs": [[*pair, float(p)] for pair, p in zip(PAIRS, pairs.predict(PAIRS), strict=True)]}


def _examples(told: Result) -> list[str]:
    """The same as tables."""
    rows = [[text, ", ".join(f"{word} {score:.2f}" for word, score in found)] for text, found in told["masks"].items()]
    return [
        "## Examples",
        markdown(["text", "most probable words"], rows),
        markdown(["first", "second", "follows"], [[first, second, f"{p:.2f}"] for first, second, p in told["pairs"]]),
        f"`bertworks fill-mask TEXT --model {DEFAULT}` · `bertworks next-sentence FIRST SECOND --model {DEFAULT}`",
    ]


def draw_curve(runs: Result, path: Path) -> None:
    """Loss and accuracy on held-out text over the tokens read, both parts one after the other."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = DEFAULT  # the same bytes every time
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    panels = figure.subplots(1, 3)
    names = (
        ("masked_lm_loss", "masked-LM loss"),
        ("next_sentence_accuracy", "next-sentence accuracy"),
        ("distillation_cosine", "cosine to teacher"),
    )
    for axes, (key, title) in zip(panels, names, strict=True):
        before = 0
        for part, colour in zip(runs["parts"], ("#2563a8", "#b4551d"), strict=True):
            points = [((before + point["tokens"]) / 1e6, point[key]) for point in part["curve"]]
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label="512" if before else "128")
            before += part["tokens"]
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("million tokens", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(title="at up to … tokens", fontsize=7, title_fontsize=7, frameon=False)
    figure.savefig(path, metadata={"Date": None})
