"""`bertworks <verb>`: the commands, and what their errors look like."""

import os
import re
import sys
import warnings
from typing import Annotated, Any

import typer

from bertworks import __version__
from bertworks.cli.answer import answer
from bertworks.cli.compare import compare
from bertworks.cli.convert import convert
from bertworks.cli.corpus import app as corpus
from bertworks.cli.demo import demo
from bertworks.cli.doctor import doctor
from bertworks.cli.embed import embed
from bertworks.cli.evaluate import evaluate
from bertworks.cli.explain import explain
from bertworks.cli.features import features
from bertworks.cli.fill_mask import fill_mask
from bertworks.cli.generate import generate
from bertworks.cli.inspect import inspect
from bertworks.cli.mine import mine
from bertworks.cli.next_sentence import next_sentence
from bertworks.cli.predict import predict
from bertworks.cli.pretrain import pretrain
from bertworks.cli.probe import probe
from bertworks.cli.rank import rank
from bertworks.cli.recipe import app as recipe
from bertworks.cli.report import report
from bertworks.cli.search import search
from bertworks.cli.studies import cross_validate, learning_curve, tune
from bertworks.cli.tokenizer import app as tokenizer
from bertworks.cli.train import train
from bertworks.cli.zero_shot import zero_shot
from bertworks.errors import BertworksError, BertworksWarning, Interrupted, nearest

_EPILOG = "Options of a command: bertworks COMMAND --help"

app = typer.Typer(
    name="bertworks",
    help="Train, evaluate and use small language-understanding models of the BERT family, on the machine you have.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    demo,
    inspect,
    train,
    evaluate,
    compare,
    tune,
    cross_validate,
    learning_curve,
    predict,
    embed,
    search,
    rank,
    mine,
    zero_shot,
    answer,
    features,
    fill_mask,
    next_sentence,
    generate,
    explain,
    report,
    pretrain,
    probe,
    convert,
    doctor,
):
    app.command(help="\n\n".join(" ".join(part.split()) for part in (_command.__doc__ or "").split("\n\n")))(_command)
app.add_typer(tokenizer, name="tokenizer")
app.add_typer(corpus, name="corpus")
app.add_typer(recipe, name="recipe")

_UsageError: Any = typer.BadParameter.__mro__[1]
"""The base of all errors about arguments, which typer does not name."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bertworks {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line and leaves the process with an exit code.

    0: done. 1: a bug, with its traceback. 2: wrong arguments or settings. 3: data. 4: a model folder. 5: an extra is
    not installed. 6: training cannot go on. 130: stopped by Ctrl-C. 141: nobody reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to stop
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of a command line; errors are told in one line on standard error."""
    command: Any = typer.main.get_command(app)
    warnings.showwarning = _show_warning
    command.rich_markup_mode = None  # the list of commands in plain text: drawing it would take as long as all else
    try:
        with command.make_context("bertworks", arguments) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except Interrupted as stopped:
        return _tell(str(stopped), stopped.exit_code)
    except BertworksError as error:
        return _tell(f"error: {error}", error.exit_code)
    except typer.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _tell("stopped", Interrupted.exit_code)
    except _UsageError as error:
        return _tell(_usage(error, command, arguments), 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has no reader
        return 141


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
    """One line; a warning of another library with its place, as Python writes it."""
    ours = issubclass(category, BertworksWarning)
    typer.echo(f"warning: {message}" if ours else warnings.formatwarning(message, category, filename, lineno, line).rstrip(), err=True)


def _tell(message: str, code: int) -> int:
    typer.echo(message, err=True)
    return code


def _usage(error: Any, command: Any, arguments: list[str]) -> str:
    """One line about a wrong argument, with the nearest right name and where to read on."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    context = error.ctx
    path = context.command_path if context is not None else " ".join(["bertworks", *(a for a in arguments[:1] if a in command.commands)])
    wrong = getattr(error, "option_name", None)
    message = error.message or error.format_message()
    if wrong and "such option" in message:
        known = [name for parameter in context.command.params for name in parameter.opts]
        return f"error: no such option: {wrong}.{nearest(wrong, known).replace(chr(39), '')} See: {path} --help"
    unknown = re.match(r"No such command '(.*?)'", message)
    if unknown:
        group = command if context is None else context.command
        return f"error: no such command: {unknown[1]}.{nearest(unknown[1], group.commands).replace(chr(39), '')} See: {path} --help"
    line = " ".join(error.format_message().split())
    return f"error: {line[:1].lower()}{line[1:].rstrip('.')}. See: {path} --help"
