"""The model card: README.md of a model folder, as the hub shows it. It names no folder of this machine and quotes no data."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertworks.checkpoints.atomic import atomic_write
from bertworks.estimators.reports.blocks import Block, Points, Prose, Section
from bertworks.estimators.reports.judgement import notices
from bertworks.estimators.reports.public_names import base_model, data_name, estimator_settings, is_hub_name, shipped_base, without_folders
from bertworks.estimators.reports.rendering import to_markdown
from bertworks.estimators.reports.run_record import RunRecord, read_model
from bertworks.estimators.reports.sections.calibration import about_calibration
from bertworks.estimators.reports.sections.closing import as_written
from bertworks.estimators.reports.sections.data import accounting, label_table
from bertworks.estimators.reports.sections.metrics import metric_names, metrics_table, optimism, per_label_table
from bertworks.estimators.reports.sections.verdict import purpose, quality, rows
from bertworks.estimators.reports.snippets import use
from bertworks.estimators.reports.wording import facts_table, mapping, metric_name, number, percent
from bertworks.estimators.runs import model_name

CARD = "README.md"
_PIPELINES = {
    "text_classification": "text-classification",
    "tagging": "token-classification",
    "question_answering": "question-answering",
    "sentence_embedding": "sentence-similarity",
    "multiple_choice": "multiple-choice",
}
"""What the hub calls our tasks."""
_METRICS: dict[str, tuple[str, dict[str, str] | None]] = {
    "accuracy": ("accuracy", None),
    "macro_f1": ("f1", {"average": "macro"}),
    "micro_f1": ("f1", {"average": "micro"}),
    "conlleval_f1": ("seqeval", None),
    "weighted_f1": ("f1", {"average": "weighted"}),
    "f1": ("f1", None),
    "exact_match": ("accuracy", None),
    "matthews_correlation": ("matthews_correlation", None),
    "spearman": ("spearmanr", None),
    "pearson": ("pearsonr", None),
    "mean_squared_error": ("mse", None),
    "mean_absolute_error": ("mae", None),
    "r2": ("r_squared", None),
}
"""What the hub calls our metrics, and with which arguments; others are only in the text."""
_HIDDEN_SETTINGS = ("model", "revision", "device", "threads", "checkpoint_minutes", "checkpoint_steps", "log_steps")
"""Settings that are about a machine, not about the model."""

_DATA_SETTINGS = {"split": "part", "text": "column of the text", "pair": "column of the second text", "label": "column of the label"}
_LONG_TEXTS = {"window": "longer texts are read in overlapping windows, whose scores are averaged", "error": "it refuses longer texts"}
_ALWAYS_ANSWERS = {
    "single": "It knows only the labels above, and gives every text one of them, also a text that has nothing to do with them.",
    "multi": "It knows only the labels above.",
    "number": "It gives every text a number, also a text that has nothing to do with those it was trained on.",
}


def write_model_card(
    model_folder: str | Path,
    run: RunRecord | None = None,
    *,
    name: str | None = None,
    language: str | None = None,
    license: str | None = None,
) -> Path:
    """Writes README.md into a model folder; returns its path.

    `run` is what `read_run` read from the run's folder; without one the card tells what the model folder itself knows.
    `name` is the model's name, by default the run's, or the folder's. `language` (as "en") and `license` (as
    "apache-2.0") are the hub's identifiers, and are left out where they are not known.

    Raises `CheckpointError` where a file in the folder is damaged, or it cannot be written to.
    """
    folder = Path(model_folder)
    if run is None:
        run = read_model(folder, name or model_name(folder))
    title = name or run.name
    facts = front_matter(run, title, language or _text(run.about.get("language")), license)
    text = to_markdown("card.md.jinja", title=title, opening=_opening(run), sections=_sections(run))
    atomic_write(folder / CARD, f"---\n{facts}\n---\n\n{text}".encode())
    return folder / CARD


def front_matter(run: RunRecord, name: str, language: str | None, license: str | None) -> str:
    """What the hub reads of a card, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    pipeline = _pipeline(run)
    source = mapping(run.settings.get("data")).get("source")
    data = data_name(source)
    results = [
        EvalResult(
            task_type=pipeline or "other",
            dataset_type=str(source) if is_hub_name(source) else re.sub(r"\W+", "-", data).strip("-"),
            dataset_name=data,
            dataset_split="validation",
            metric_type=_METRICS[metric][0],
            metric_name=_capitalized(metric_name(metric)),
            metric_value=number(run.validation[metric]),
            metric_args=_METRICS[metric][1],
        )
        for metric in metric_names(run)
        if metric in _METRICS
    ]
    family = _text(run.config.get("model_type"))
    facts = ModelCardData(
        language=language,
        license=license,
        library_name="sentence-transformers" if run.gives_vectors else "transformers" if pipeline else "bertworks",
        tags=["bertworks", *(["sentence-similarity", "feature-extraction"] if run.gives_vectors else []), *([family] if family else [])],
        base_model=base_model(run),
        datasets=[str(source).partition(":")[0]] if is_hub_name(source) else None,
        pipeline_tag=pipeline,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=name,
        eval_results=results or None,
    )
    if not results:
        facts.pop("model_name")
    return facts.to_yaml(line_break="\n")


def _pipeline(run: RunRecord) -> str | None:
    return _PIPELINES.get(str(run.model.get("task")))


def _capitalized(name: str) -> str:
    return name[:1].upper() + name[1:]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _opening(run: RunRecord) -> list[Block]:
    base = base_model(run) or shipped_base(run)
    made = f"It is {base}, fine-tuned" if base else "It was fine-tuned"
    version = run.model.get("bertworks")
    made += f" with bertworks {version}." if version else " with bertworks."
    text = " ".join(part for part in (purpose(run), made, rows(run), quality(run)) if part)
    reader = "sentence-transformers" if run.gives_vectors else "transformers"
    both = [Prose(f"The folder is in Hugging Face's layout: bertworks and {reader} both read it.")] if _pipeline(run) else []
    return [Prose(text), *both]


def _sections(run: RunRecord) -> list[Section]:
    found: list[tuple[str, list[Block]]] = [
        ("How to use it", use(run)),
        ("Training data", _training_data(run)),
        ("Evaluation", _evaluation(run)),
        ("Calibration", about_calibration(run)),
        ("Accounting", [*section.blocks] if (section := accounting(run)) else []),
        ("Settings", _settings(run)),
        ("Limits", [Points(_limits(run))]),
    ]
    return [Section(title, title, blocks) for title, blocks in found if blocks]


def _training_data(run: RunRecord) -> list[Block]:
    data = mapping(run.settings.get("data"))
    facts: list[tuple[str, Any]] = [("data", data_name(data.get("source")))] if data else []
    facts += [(title, without_folders(data[key])) for key, title in _DATA_SETTINGS.items() if data.get(key) is not None]
    if run.training_rows is not None:
        facts.append(("rows to train on", f"{run.training_rows:,}"))
    if run.validation_rows is not None:
        facts.append(("rows to validate on", f"{run.validation_rows:,}{_how_held_out(data)}"))
    labels = label_table(run)
    blocks: list[Block] = [facts_table("What it was trained on", facts)] if facts else []
    return [*blocks, labels] if labels is not None else blocks


def _how_held_out(data: Mapping[str, Any]) -> str:
    if data.get("validation") is not None:
        return f", from {data_name(data['validation'])}"
    if data.get("validation_split") is not None:
        return f", the part {data['validation_split']}"
    share, seed = number(data.get("validation_fraction")), number(data.get("validation_seed"))
    if share is None:
        return ""
    return f", {percent(share, 0)} held out at random" + (f" with seed {seed:.0f}" if seed is not None else "")


def _evaluation(run: RunRecord) -> list[Block]:
    if not metric_names(run):
        return []
    table = per_label_table(run)
    chosen = [] if run.is_few_shot else [Prose(optimism(run))]  # which keeps what it learnt last
    return [metrics_table(run), *chosen, *([table] if table is not None else [])]


def _settings(run: RunRecord) -> list[Block]:
    values = {**estimator_settings(run), **mapping(run.about.get("training")), **mapping(run.settings.get("training"))}
    public = {name: without_folders(value) for name, value in values.items() if name not in _HIDDEN_SETTINGS and value is not None}
    facts = as_written(public)
    return [facts_table("How it was trained", facts, ("setting", "value"))] if facts else []


def _limits(run: RunRecord) -> list[str]:
    found = [f"{notice.title}. {notice.text}" for notice in notices(run)]
    if run.kind in _ALWAYS_ANSWERS:
        found.append(_ALWAYS_ANSWERS[run.kind])
    if run.chooses:
        found.append("It always chooses one, also where none is right.")
    limit = number(run.task_settings.get("max_tokens"))
    if limit is not None:
        how = _LONG_TEXTS.get(str(run.task_settings.get("overflow")), "of longer texts only a part is read")
        how = "longer contexts are read in overlapping windows" if run.answers_questions else how
        found.append(f"It reads {limit:,.0f} tokens at once; {how}.")
    found.append("Texts of another language, source or time than those it was trained on may be answered worse than these figures say.")
    return found
