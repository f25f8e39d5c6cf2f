"""`bertworks recipe list` and `bertworks recipe show`."""

from typing import Annotated

import typer

from bertworks.cli import options

app = typer.Typer(
    help="Recipes of pretraining: list them, or write one into a file of your own.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def list_recipes(json: options.Json = False) -> None:
    """List the recipes.

    Example: bertworks recipe list
    """
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.recipes import recipe_names, recipe_summary

    found = {name: recipe_summary(name) for name in recipe_names()}
    if json:
        show.print_json(found)
        return
    console = Console()
    for name, summary in found.items():
        show.named(console, name, summary)
    show.lines(console, ["", "bertworks recipe show NAME > my.toml"])


def show_recipe(name: Annotated[str, typer.Argument(help="Name of the recipe.", show_default=False)]) -> None:
    """Show a recipe, with the reason for each of its values: a configuration for pretrain, to be changed.

    Example: bertworks recipe show cpu-evening > my.toml
    """
    from bertworks.recipes import recipe_text

    typer.echo(recipe_text(name), nl=False)


for _name, _command in (("list", list_recipes), ("show", show_recipe)):
    app.command(_name, help="\n\n".join(" ".join(part.split()) for part in (_command.__doc__ or "").split("\n\n")))(_command)
