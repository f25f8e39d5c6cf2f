"""`bertworks convert`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bertworks.cli import options


def convert(
    model: Annotated[str, typer.Argument(help="Model folder, run folder or hub name.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.", show_default=False)],
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="float32|float16|bfloat16", help="What the weights are rounded to in their file.")
    ] = "float32",
    max_shard_bytes: Annotated[
        int | None, typer.Option("--max-shard-bytes", help="Write several files where the weights are larger than so many bytes.")
    ] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a hub model.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the folder if it exists.")] = False,
    json: options.Json = False,
) -> None:
    """Write a model anew as a folder that transformers and sentence-transformers load: from PyTorch's older format, TensorFlow 1,
    shards, old names, another dtype.

    Example: bertworks convert uncased_L-12_H-768_A-12 -o bert-base --dtype float16
    """
    arguments: dict[str, Any] = {k: v for k, v in locals().items() if k != "json"}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.convert import convert as run

    report = run(**arguments)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    show.heading(console, f"{report.folder}: {report.architecture}, {report.parameters / 1e6:.1f} M parameters")
    show.lines(
        console, [f"{', '.join(report.classes)}; {report.tensors} tensors, {report.dtype}, {report.bytes / 2**20:.1f} MiB", *report.notes]
    )
