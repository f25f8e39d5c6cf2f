"""The house: imports go downwards only, torch and its like stay in their rooms, what is imported is declared."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bertworks"

FLOORS = {
    **dict.fromkeys(("batch", "spec", "checkpoints", "errors", "accounting", "pretrained", "recipes"), 0),
    **dict.fromkeys(("tokenization", "data"), 1),
    **dict.fromkeys(("nn", "_native"), 2),
    **dict.fromkeys(("architectures",), 3),
    **dict.fromkeys(("tasks", "evaluation"), 4),
    **dict.fromkeys(("training", "inference", "explain"), 5),
    **dict.fromkeys(("estimators",), 6),
    **dict.fromkeys(("cli", "serving", "studio"), 7),
}
TORCH = ("torch", "safetensors.torch")
TORCH_ROOMS = ("nn", "training", "inference", "explain", "checkpoints.legacy")
PEERS = ("transformers", "sentence_transformers", "onnxruntime", "openvino")
SCIKIT_LEARN_ROOM = "bertworks.evaluation.baselines"
IMPORT_NAMES = {"scikit_learn": "sklearn", "faiss_cpu": "faiss"}
"""Packages that are imported by another name."""
UNDECLARED_EXTRAS = {"dev", "test"}
"""Extras that a user does not install: what the package imports must be declared elsewhere."""


@dataclass(frozen=True)
class Import:
    """One import: in which module and line it stands, and the full name of what it brings."""

    module: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: imports {self.name}"


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def room(name: str) -> str | None:
    """`bertworks.nn.encoder` → `nn`; None outside the package and for the package itself."""
    parts = name.split(".")
    return parts[1] if parts[0] == "bertworks" and len(parts) > 1 else None


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, at its top, inside a function or by name through `import_module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(module, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: len(module.split(".")) - node.level + is_package] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (Import(module, node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield Import(module, node.lineno, node.args[0].value)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def all_imports() -> list[Import]:
    found = []
    for module, path in modules():
        found += imports_of(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    return found


def upward(one: Import) -> bool:
    """Whether an import leads to a floor above its own, or through the roof: the package's public names."""
    here = room(one.module)
    if here is None or here == "__main__" or not within(one.name, "bertworks"):
        return False
    there = room(one.name)
    if there == "__version__":
        return False
    return there not in FLOORS or FLOORS[there] > FLOORS[here]


def misplaced_torch(one: Import) -> bool:
    return within(one.name, *TORCH) and not within(one.module, *(f"bertworks.{place}" for place in TORCH_ROOMS))


def prints(source: str) -> list[int]:
    """The lines that call print()."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def declared() -> set[str]:
    """The import names of all declared run-time dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if extra not in UNDECLARED_EXTRAS]
    requirements = sum(extras, project["dependencies"])
    names = {re.split(r"[^\w.-]", requirement)[0].lower().replace("-", "_") for requirement in requirements}
    return {IMPORT_NAMES.get(name, name) for name in names}


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module, _ in modules()} - {None, "__main__"}
    assert not rooms - set(FLOORS), "give the new room a floor, in DESIGN and in FLOORS above"


def test_imports_go_downwards_only() -> None:
    assert not [str(one) for one in all_imports() if upward(one)]


def test_rooms_of_one_floor_do_not_need_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for one in all_imports():
        here, there = room(one.module), room(one.name)
        if here in FLOORS and there in FLOORS and here != there:
            graph.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"rooms import each other in a circle: {' → '.join(reversed(error.args[1]))}")


def test_torch_stays_in_its_rooms() -> None:
    assert not [str(one) for one in all_imports() if misplaced_torch(one)]


def test_peers_are_never_imported() -> None:
    assert not [str(one) for one in all_imports() if within(one.name, *PEERS)]


def test_scikit_learn_stays_in_baselines() -> None:
    """It is a dependency, but a slow one to import: only inside the functions that train a baseline."""
    found = [one for one in all_imports() if within(one.name, "sklearn")]
    assert not [str(one) for one in found if one.module != SCIKIT_LEARN_ROOM]
    source = next(path for module, path in modules() if module == SCIKIT_LEARN_ROOM).read_text(encoding="utf-8")
    outside = {node.lineno for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)}
    assert found
    assert not [str(one) for one in found if one.line in outside]


def test_what_is_imported_is_declared() -> None:
    known = declared() | set(sys.stdlib_module_names) | {"bertworks"}
    assert not [str(one) for one in all_imports() if one.name.split(".")[0] not in known]


def test_only_the_command_line_prints() -> None:
    found = {module: prints(path.read_text(encoding="utf-8")) for module, path in modules() if room(module) != "cli"}
    assert not {module: lines for module, lines in found.items() if lines}


@pytest.mark.parametrize(
    ("source", "module", "is_package", "names"),
    [
        ("import torch.nn as nn, os", "bertworks.tasks.a", False, ["torch.nn", "os"]),
        ("def f():\n    from torch import nn", "bertworks.tasks.a", False, ["torch.nn"]),
        ("from bertworks import cli", "bertworks.nn.a", False, ["bertworks.cli"]),
        ("from . import b", "bertworks.nn.a", False, ["bertworks.nn.b"]),
        ("from .b import c", "bertworks.nn", True, ["bertworks.nn.b.c"]),
        ("from ..training import loop", "bertworks.nn.a", False, ["bertworks.training.loop"]),
        ("importlib.import_module('bertworks.cli.main')", "bertworks.nn.a", False, ["bertworks.cli.main"]),
    ],
)
def test_the_reader_of_imports(source: str, module: str, is_package: bool, names: list[str]) -> None:
    assert [one.name for one in imports_of(source, module, is_package=is_package)] == names


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        ("bertworks.nn.a", "bertworks.training.loop", True),
        ("bertworks.nn.a", "bertworks.TextClassifier", True),
        ("bertworks.nn.a", "bertworks.unheard_of", True),
        ("bertworks.nn.a", "bertworks", True),
        ("bertworks.training.a", "bertworks.nn.b", False),
        ("bertworks.nn.a", "bertworks.nn.b", False),
        ("bertworks.cli.a", "bertworks.__version__", False),
        ("bertworks", "bertworks.cli", False),
        ("bertworks.nn.a", "numpy", False),
    ],
)
def test_the_judge_of_floors(module: str, name: str, wrong: bool) -> None:
    assert upward(Import(module, 1, name)) is wrong


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        ("bertworks.estimators.a", "torch.nn", True),
        ("bertworks.checkpoints.folder", "safetensors.torch.load_file", True),
        ("bertworks.checkpoints.legacy", "torch", False),
        ("bertworks.nn", "torch", False),
        ("bertworks.tasks.a", "torchvision", False),
    ],
)
def test_the_judge_of_torch(module: str, name: str, wrong: bool) -> None:
    assert misplaced_torch(Import(module, 1, name)) is wrong


def test_the_finder_of_prints() -> None:
    assert prints("x = 1\nif x:\n    print(x)\nconsole.print(x)") == [3]
