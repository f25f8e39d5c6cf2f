"""The tasks of a probe, and the settings that are the same for every model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bertworks.errors import SettingsError, nearest

SETTINGS: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 1e-4,
    "schedule": "linear",
    "warmup": 0.1,
    "weight_decay": 0.01,
    "max_gradient_norm": 1.0,
    "dropout": 0.1,
}
"""Of every fine-tuning: batch size and learning rate from those that Turc et al. (2019) chose from for small models, the rest
from Devlin et al. (2019, appendix A.3), with the clipping of their code."""
MAX_TOKENS = 128
"""Longest sequence, as in Turc et al. (2019); what is longer is cut, and counted."""
FEATURE_ROWS = 1200
"""Training texts of the probe of frozen features."""

Held = Literal["dev", "test"]


@dataclass(frozen=True)
class ProbeTask:
    """A task: where its data are looked for, how long it is trained, and what is told of it."""

    name: str
    folders: tuple[str, ...]
    """Names of its folder, in small letters without signs."""
    text: tuple[str, ...]
    """Names of the column of the text, the best first; in small letters."""
    label: tuple[str, ...]
    metrics: tuple[str, ...]
    """What the table shows; `f1` is that of the label in `positive`."""
    pair: tuple[str, ...] = ()
    """Names of the column of the second text; none for single texts."""
    kind: Literal["single", "number"] = "single"
    epochs: float | None = None
    """Passes over the training data; None trains no more than a logistic regression on frozen features."""
    held: Held = "dev"
    """The file that is evaluated on."""
    positive: tuple[str, ...] = ()
    """What the label may be called whose F1 is told."""


_FIRST, _SECOND = ("sentence1", "#1 string", "premise", "text1", "text_a"), ("sentence2", "#2 string", "hypothesis", "text2", "text_b")
TASKS = (
    ProbeTask("sst2", ("sst2",), ("sentence", "text"), ("label", "sentiment"), ("accuracy",), epochs=3),
    ProbeTask(
        "mrpc",
        ("mrpc",),
        _FIRST,
        ("label", "quality", "paraphrase", "is_paraphrase"),
        ("accuracy", "f1", "matthews_correlation"),
        pair=_SECOND,
        epochs=5,
        positive=("1", "equivalent", "paraphrase", "yes", "true"),
    ),
    ProbeTask(
        "stsb",
        ("stsb", "stsbenchmark"),
        _FIRST,
        ("score", "label", "similarity_score", "similarity"),
        ("spearman", "pearson"),
        pair=_SECOND,
        kind="number",
        epochs=5,
    ),
    ProbeTask("rte", ("rte",), _FIRST, ("label", "entailment"), ("accuracy",), pair=_SECOND, epochs=5),
    ProbeTask(
        "cola", ("cola",), ("sentence", "text"), ("label", "acceptability", "acceptable", "judgment"), ("matthews_correlation",), epochs=5
    ),
    ProbeTask(
        "agnews-features", ("agnews",), ("description", "text"), ("label", "category", "class"), ("accuracy", "macro_f1"), held="test"
    ),
)
"""In the order of the table. SST-2, with eight times the rows of the next largest, gets fewer passes."""

Published = dict[tuple[str, str], float]
PUBLISHED: dict[str, Published] = {
    name: {
        ("cola", "matthews_correlation"): figures[0],
        ("sst2", "accuracy"): figures[1],
        ("mrpc", "f1"): figures[2],
        ("mrpc", "accuracy"): figures[3],
        ("stsb", "pearson"): figures[4],
        ("stsb", "spearman"): figures[5],
        ("rte", "accuracy"): figures[6],
    }
    for name, figures in {
        "BERT-Tiny": (0.0, 83.2, 81.1, 71.1, 74.3, 73.6, 57.2),
        "BERT-Mini": (0.0, 85.9, 81.1, 71.8, 75.4, 73.3, 57.9),
        "BERT-Small": (27.8, 89.7, 83.4, 76.2, 78.8, 77.0, 61.8),
        "BERT-Medium": (38.0, 89.6, 86.6, 81.6, 80.4, 78.4, 62.2),
    }.items()
}
"""What the miniatures of Turc et al. (2019) reached on GLUE's test sets, in percent, by task and metric: the table of
github.com/google-research/bert. Each figure is of the best of 20 settings (batch size and learning rate), 4 epochs."""
SHAPES = {"BERT-Tiny": "2/128", "BERT-Mini": "4/256", "BERT-Small": "4/512", "BERT-Medium": "8/512"}
"""Layers and hidden size of the miniatures."""


def chosen_tasks(names: Sequence[str] | None) -> list[ProbeTask]:
    """The tasks of these names, in the order of the table; all where none is named. Raises `SettingsError` for an unknown one.

    >>> [task.name for task in chosen_tasks(["rte", "sst2"])]
    ['sst2', 'rte']
    """
    known = [task.name for task in TASKS]
    for name in names or ():
        if name not in known:
            raise SettingsError(f"there is no probing task '{name}'.{nearest(name, known)} There are: {', '.join(known)}")
    return [task for task in TASKS if not names or task.name in names]
