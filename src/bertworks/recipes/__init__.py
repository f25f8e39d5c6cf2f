"""Recipes of pretraining: complete configurations, each value with its reason, to be shown, copied and changed."""

from importlib.resources import files

from bertworks.errors import SettingsError, nearest


def recipe_names() -> list[str]:
    """The names of all recipes.

    >>> "cpu-evening" in recipe_names()
    True
    """
    return sorted(entry.name.removesuffix(".toml") for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML of a recipe, with its comments. Raises `SettingsError` with the nearest name where there is none."""
    names = recipe_names()
    if name not in names:
        raise SettingsError(f"there is no recipe '{name}'.{nearest(name, names)} There are: {', '.join(names)}")
    return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def recipe_summary(name: str) -> str:
    """The first paragraph of a recipe's head.

    >>> recipe_summary("bert-paper")
    'BERT-base as in the paper (Devlin et al. 2019, section 3.1 and appendix A.2): the first 900,000 steps, at length 128.'
    """
    head = recipe_text(name).split("\n#\n", 1)[0]
    return " ".join(line.removeprefix("#").strip() for line in head.splitlines())
