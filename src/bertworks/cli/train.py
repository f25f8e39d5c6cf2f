"""`bertworks train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bertworks.cli import options
from bertworks.cli.options import with_training_settings
from bertworks.errors import SettingsError


def _model(*flags: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*flags, help=text, metavar=metavar, rich_help_panel="Model")


def _validation(*flags: str, text: str) -> Any:
    return typer.Option(*flags, help=text, rich_help_panel="Data")


@with_training_settings
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            help="CSV, TSV, JSONL, Parquet, CoNLL or SQuAD file, folder of splits or classes, or hub data set.", show_default=False
        ),
    ] = None,
    task: options.Task = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; by default the next free runs/NAME-N.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Go on with the run in this folder, with its own settings.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Train so many times and keep the best; prints mean ± sd.")] = 1,
    text: options.TextColumn = None,
    pair: options.PairColumn = None,
    label: options.LabelColumn = None,
    choices: options.ChoiceColumns = None,
    first_choice: options.FirstChoice = None,
    kind: Annotated[str, _validation("--kind", text="What labels are: auto, single, multi (several a row) or number.")] = "auto",
    split: options.Split = None,
    scheme: options.Scheme = None,
    transitions: Annotated[bool, _model("--transitions", text="Entities: learn which tags follow each other, too (a CRF).")] = False,
    max_answer_tokens: Annotated[
        int | None, _model("--max-answer-tokens", text="Answers: the longest that is given; 30 by default.")
    ] = None,
    objective: Annotated[
        str | None,
        _model("--objective", text="Embeddings: by what; seen from the data.", metavar="scores|ranking|simcse|distillation"),
    ] = None,
    teacher: Annotated[
        str | None,
        _model("--teacher", text="Finished model for this task whose scores are learnt, too; embeddings: whose vectors are imitated."),
    ] = None,
    teacher_share: Annotated[
        float | None, _model("--teacher-share", text="Share of the teacher's loss; 0.5 by default, 1 leaves the labels out.")
    ] = None,
    temperature: Annotated[
        float | None, _model("--temperature", text="What a teacher's scores are softened by; 2 by default, 1 leaves them as they are.")
    ] = None,
    distance: Annotated[
        str | None,
        _model("--distance", text="Embeddings: how far a teacher's vectors are; cosine by default.", metavar="cosine|squared"),
    ] = None,
    score_range: Annotated[
        tuple[float, float] | None,
        _model("--score-range", text="Embeddings: the scores of cosines 0 and 1; by default those of the data.", metavar="LOW HIGH"),
    ] = None,
    pooling: Annotated[str | None, _model("--pooling", text="Embeddings: mean, cls, max, last …; as the model has it.")] = None,
    layers_from: Annotated[
        int | None, _model("--layers-from", text="Embeddings: weigh the layers from this one on, 0 is the embedding; the last alone.")
    ] = None,
    dense: Annotated[
        int | None, _model("--dense", text="Embeddings: features of a dense layer after the pooling; as the model has it.")
    ] = None,
    activation: Annotated[
        str | None, _model("--activation", text="Embeddings: of --dense; tanh by default.", metavar="tanh|relu|gelu|silu|identity")
    ] = None,
    normalize: Annotated[
        bool | None,
        _model("--normalize/--no-normalize", text="Embeddings: whether vectors have the length 1; as the model has it."),
    ] = None,
    matryoshka: Annotated[
        list[int] | None, _model("--matryoshka", text="Embeddings: train the first so many features by themselves too; may be repeated.")
    ] = None,
    scale: Annotated[float | None, _model("--scale", text="Embeddings: factor on cosines in ranking; 20 by default.")] = None,
    pairs_per_text: Annotated[
        int | None, _model("--pairs-per-text", text="Few-shot: pairs of each kind that every text is in; 20 by default.")
    ] = None,
    inverse_penalty: Annotated[
        float | None, _model("--inverse-penalty", text="Few-shot: C of the logistic regression; 1 by default.")
    ] = None,
    symmetric: Annotated[bool, _model("--symmetric", text="Embeddings: partners have to find their texts, too.")] = False,
    validation: Annotated[str | None, _validation("--validation", text="Data to validate on: a file, folder or data set.")] = None,
    validation_split: Annotated[str | None, _validation("--validation-split", text="Part to validate on.")] = None,
    validation_fraction: Annotated[
        float,
        _validation("--validation-fraction", text="Share of the rows held out where nothing else is named to validate on; 0 for none."),
    ] = 0.1,
    shuffle_seed: options.ShuffleSeed = None,
    limit: options.Limit = None,
    on_bad_rows: options.OnBadRows = "error",
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    model: Annotated[
        str | None,
        _model("--model", "-m", text="Model folder or hub name; by default bertworks-mini, the English encoder that comes along."),
    ] = None,
    revision: Annotated[str | None, _model("--revision", text="Branch, tag or commit of a hub name.")] = None,
    overflow: Annotated[
        str | None,
        _model(
            "--overflow",
            text="Texts longer than the model reads: read in windows, or in part; window by default, truncate for choices, of a finished "
            "sentence encoder what it was saved with.",
            metavar="window|head_tail|truncate|error",
        ),
    ] = None,
    max_tokens: Annotated[int | None, _model("--max-tokens", text="Longest sequence; the model's limit by default.")] = None,
    stride: Annotated[int | None, _model("--stride", text="Overlap of windows in tokens.")] = None,
    class_weights: Annotated[
        str | None, _model("--class-weights", text="balanced, or a weight for each label: spam=5,ham=1.", metavar="WEIGHTS")
    ] = None,
    label_smoothing: Annotated[float, _model("--label-smoothing", text="Share of the target that is spread evenly.")] = 0.0,
    calibrate: Annotated[
        bool, _model("--calibrate/--no-calibrate", text="Scale probabilities by a temperature fitted on the validation data.")
    ] = True,
    new_tokens: Annotated[list[str] | None, _model("--new-token", text="Word to add to the vocabulary; may be repeated.")] = None,
    json: options.Json = False,
    **settings: Any,
) -> None:
    """Train a model on labelled texts: a classifier, or what --task says.

    The data are looked through first (see inspect). Everything goes into a run folder: settings, log, checkpoints,
    metrics, a report, and the model, which predict and evaluate take as it is. Ctrl-C saves the run, and --resume goes on with it.

    Several processes, on as many GPUs or CPUs, share the work: torchrun --nproc-per-node 2 --max-restarts 3 -m bertworks train
    reviews.csv --output runs/reviews. Begun again, such a command goes on with its run.

    Example: bertworks train reviews.csv --text review --label stars
    """
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.progress import TerminalProgress
    from bertworks.estimators.verbs.train import train as run
    from bertworks.training.distributed import is_first

    arguments = {k: v for k, v in locals().items() if k in _NAMES} | settings
    arguments = options.given(arguments, train)
    arguments.pop("json", None)
    if class_weights is not None:
        arguments["class_weights"] = parse_weights(class_weights)
    if resume is not None and data is not None:
        raise SettingsError("a run is resumed with its own data: leave out the data")
    report = run(**arguments, progress=TerminalProgress())
    if not is_first():
        return
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    if report.was_finished:
        show.heading(console, f"{report.folder} is finished already ({report.steps:,} steps)")
    if report.metrics is not None:
        show.print_metrics(console, f"validation ({report.metrics['rows']:,} rows)", report.metrics, report.headline)
        show.print_baselines(console, report.findings.get("baselines", {}), report.headline)
    if report.seeds:
        show.heading(console, f"{len(report.seeds)} seeds")
        show.lines(console, [f"seed {result.seed}: {report.headline} {result.score:.4f}" for result in report.seeds])
        spread = report.mean_and_deviation
        if spread is not None:
            show.lines(console, [f"mean ± sd: {spread[0]:.4f} ± {spread[1]:.4f}"])
    show.heading(console, f"{report.steps:,} steps in {report.seconds:,.0f} s")
    show.lines(console, [f"model: {report.model}", f"report: {report.folder / 'report.html'}", ""])
    show.lines(console, report.next_steps)


_NAMES = frozenset(train.__annotations__)


def parse_weights(text: str) -> str | dict[str, float]:
    """`balanced`, or `spam=5,ham=1` as a dictionary."""
    if "=" not in text:
        return text
    try:
        return {name.strip(): float(value) for name, value in (part.rsplit("=", 1) for part in text.split(","))}
    except ValueError:
        raise SettingsError(f"class weights are written as label=weight,label=weight, not '{text}'") from None
