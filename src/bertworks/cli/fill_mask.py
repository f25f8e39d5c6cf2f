"""`bertworks fill-mask`."""

from typing import Annotated, Any

import typer

from bertworks.cli import options
from bertworks.cli.texts import piped_lines
from bertworks.errors import SettingsError

_TOP_K = 5


def fill_mask(
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts with [MASK] (or <mask>) where a word is wanted; without any, lines of standard input."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model folder, run folder or hub name; by default the encoder of bertworks.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="How many candidates to show for each mask.")] = _TOP_K,
    candidates: Annotated[
        list[str] | None,
        typer.Option("--candidates", metavar="WORDS", help="Choose among these words only: good,bad,rather fine; may be repeated."),
    ] = None,
    likelihood: Annotated[
        bool, typer.Option("--likelihood", help="Instead, how probable the model finds each token of texts without masks.")
    ] = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Fill in what is masked in a text, by a pretrained model.

    Each mask is answered by itself; "filled" is the text with all of them filled one after the other, the surest first.

    Examples: bertworks fill-mask "The soup was [MASK]." · bertworks fill-mask "He [MASK] the door." --candidates opened,closed
    """
    idle = [flag for flag, given in (("--candidates", candidates), ("--top-k", top_k != _TOP_K)) if given]
    if likelihood and idle:
        raise SettingsError(f"--likelihood judges texts as they are: leave out {', '.join(idle)}")
    nothing = 'there is nothing to fill: give a text in quotes ("The soup was [MASK].") or pipe some in'
    lines = texts or piped_lines(nothing)
    numbers = [number for number, line in enumerate(lines) if texts or line.strip()]
    rows = [lines[number] for number in numbers]
    from bertworks.cli.output import print_json
    from bertworks.estimators.mask_filler import MaskFiller

    filler = MaskFiller(model, device=device, precision=precision, threads=threads)  # type: ignore[arg-type]
    if likelihood:
        for judged in filler.likelihood(rows, first_row=numbers):
            if json:
                print_json(judged.to_dict())
            else:
                _print_likelihood(judged)
        return
    words = None if not candidates else [word.strip() for some in candidates for word in some.split(",") if word.strip()]
    for number, filled in enumerate(filler.fill(rows, top_k=top_k, candidates=words, first_row=numbers)):
        if json:
            print_json(filled.to_dict())
            continue
        if number:
            typer.echo()
        _print_filled(filled)


def _print_filled(filled: Any) -> None:
    typer.echo(filled.filled)
    for number, mask in enumerate(filled.masks, 1):
        if len(filled.masks) > 1:
            typer.echo(f"  mask {number}")
        for candidate in mask:
            score = f"{candidate.score:.4f}" if candidate.score >= 0.001 else f"{candidate.score:.0e}"
            typer.echo(f"  {score:>6}  {candidate.token}")


def _print_likelihood(judged: Any) -> None:
    typer.echo(judged.text)
    typer.echo(f"  pseudo-log-likelihood {judged.pseudo_log_likelihood:.2f}, pseudo-perplexity {judged.pseudo_perplexity:.1f}")
    for token, logarithm in zip(judged.tokens, judged.log_probabilities, strict=True):
        typer.echo(f"  {logarithm:8.2f}  {token}")
