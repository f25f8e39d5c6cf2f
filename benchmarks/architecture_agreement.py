"""Every architecture with every head beside `transformers`: how far outputs and gradients differ, and whether faults are noticed.

    python -m benchmarks.architecture_agreement            # a minute of one core
    python -m benchmarks.architecture_agreement --quick    # a few of the models and faults

Models, comparison and faults are those of `tests/reference`: random weights of standard deviation 0.5, random biases and gains,
pairs of unequal length in one batch, windows that really slide; ours in float32, theirs in float64. A cell is an architecture
with a head: all models of that kind (other shapes, either GELU), each by the kernel that trains (outputs and gradients) and by
the one that predicts (outputs). Beside them stands what `transformers` in float32 differs from itself in float64: rounding.

Every model is also saved here and its tensors compared bit by bit with those it was read from, and every fault in the tests'
lists is planted. Fails where a difference is above the tolerance, a bit changes, or a fault is not noticed.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers

from benchmarks import machine
from bertworks.architectures import Architecture
from bertworks.architectures.registry import ARCHITECTURES
from bertworks.inference import save_model
from tests.reference import test_family_faults, test_faults, test_gpt2, test_modernbert
from tests.reference.comparison import TOLERANCE, DifferentError, Pairs, Reference, compare, compared, differences, silent
from tests.reference.families import ALL_CASES, References
from tests.reference.test_checkpoints import same_bits, stored
from tests.reference.test_faults import Fault

ACTIVATIONS = ("gelu", "gelu_new")
FAULTS = (
    (test_faults, "", "gelu"),
    (test_family_faults, "", "gelu"),
    (test_modernbert, "modernbert ", "gelu"),
    (test_gpt2, "gpt2 ", "gelu_new"),
)
"""The tests with their lists, what they leave out of a case's name, and the activation where a case names none."""
ALSO_CALLED = {"causal_lm": "ForCausalLM"}
"""How the classes of a head end besides those that are compared."""

OURS = ("outputs", "outputs_in_inference", "gradients")
PEERS = ("peer_outputs", "peer_gradients")
"""What a cell compares; the peer's are those of `transformers` in float32, beside its own in float64."""

Cells = dict[str, dict[str, dict[str, Any]]]
"""By architecture and head."""


# ---- what is compared


def head_of(case: str) -> str:
    """The heads of a case, as one name."""
    return " + ".join(kind for kind, _ in ALL_CASES[case].heads.values()) or "bare"


def kinds_of(made: Reference) -> dict[str, Pairs]:
    """What a cell compares, by kind; our values first."""
    trained = compared(made, made.load())
    with torch.inference_mode():
        predicted = compared(made, made.load())
    outputs, gradients = divided(trained)
    own_outputs, own_gradients = divided(made.rounded)
    return {
        "outputs": outputs,
        "outputs_in_inference": predicted,
        "gradients": gradients,
        "peer_outputs": own_outputs,
        "peer_gradients": own_gradients,
    }


def divided(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Outputs and gradients."""
    outputs = [pair for pair in pairs if not pair[0].startswith("gradient")]
    return outputs, [pair for pair in pairs if pair[0].startswith("gradient")]


def summarize(pairs: Pairs) -> dict[str, Any]:
    """The largest difference as it is and as a share of what is allowed, and how large the numbers are (root mean square)."""
    numbers = sum(theirs.numel() for _, _, theirs in pairs)
    squares = sum(float(theirs.double().square().sum()) for _, _, theirs in pairs)
    return {
        "largest_difference": three_digits(max(float((ours - theirs).abs().max()) for _, ours, theirs in pairs)),
        "of_tolerance": three_digits(max(differences(pairs)[0].values())),
        "rms": three_digits((squares / numbers) ** 0.5),
        "numbers": numbers,
    }


def three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def measure_cells(references: References, cases: Iterable[str], problems: list[str]) -> tuple[Cells, dict[str, list[bool]]]:
    """All cells, and by architecture whether each model came back with the same bits."""
    gathered: dict[tuple[str, str], dict[str, Pairs]] = defaultdict(lambda: defaultdict(list))
    models: dict[tuple[str, str], list[str]] = defaultdict(list)
    same: dict[str, list[bool]] = defaultdict(list)
    for case in cases:
        for activation in ACTIVATIONS:
            made = references(case, activation)
            cell = made.load().architecture.name, head_of(case)
            models[cell].append(f"{case}, {activation}")
            same[cell[0]].append(comes_back(made))
            for kind, pairs in kinds_of(made).items():
                gathered[cell][kind] += pairs
                problems += [f"{case}, {activation}, {kind}: {line}" for line in differences(pairs)[1]]
            problems += [f"{case}, {activation}: a fault might not show in {part}" for part in silent(made.outputs, made.gradients)]
            problems += [] if same[cell[0]][-1] else [f"{case}, {activation}: other bits after saving"]
        machine.log(f"{case}: compared")
    cells: Cells = defaultdict(dict)
    for (name, head), kinds in gathered.items():
        cells[name][head] = {"models": models[name, head], **{kind: summarize(pairs) for kind, pairs in kinds.items()}}
    return cells, same


def comes_back(made: Reference) -> bool:
    """Whether a model that was read and saved holds the same tensors, bit by bit."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), made.load())
        return same_bits(stored(Path(folder)), stored(made.folder))


# ---- faults


def planted_faults() -> Iterator[tuple[str, str, str, Fault]]:
    """Name, case, activation and fault of all lists."""
    for tests, prefix, activation in FAULTS:
        for name, (short, fault) in tests.FAULTS.items():
            case = prefix + short
            if case in ALL_CASES:
                yield name, case, activation, fault
            else:  # it names its activation at its end
                yield name, *case.rsplit(" ", 1), fault


def is_noticed(made: Reference, fault: Fault) -> bool:
    """Whether the comparison fails once the fault is planted."""
    loaded = made.load()
    with pytest.MonkeyPatch.context() as patch:
        fault(loaded, patch)
        try:
            compare(made, loaded)
        except DifferentError:
            return True
    return False


# ---- files and classes


def file_of(architecture: Architecture) -> ModuleType:
    """The module that describes an architecture."""
    return sys.modules[architecture.table.__module__]


def lines_of(module: ModuleType) -> int:
    return len(Path(str(module.__file__)).read_text(encoding="utf-8").splitlines())


def used_by(module: ModuleType) -> dict[str, ModuleType]:
    """The other modules of the same folder that a module imports from."""
    values = vars(module).values()
    names = {value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "") for value in values}
    beside = f"{module.__name__.rpartition('.')[0]}."
    return {Path(str(sys.modules[n].__file__)).name: sys.modules[n] for n in sorted(names - {module.__name__}) if n.startswith(beside)}


def models_of_transformers(architecture: Architecture) -> list[str]:
    """The classes of the peer that have a head on this architecture's body."""
    module = sys.modules[getattr(transformers, architecture.body_class).__module__]
    found = [name for name in module.__all__ if issubclass(getattr(module, name), transformers.PreTrainedModel)]
    return [name for name in found if name != architecture.body_class and not name.endswith("PreTrainedModel")]


def not_here(architecture: Architecture) -> dict[str, str]:
    """Classes of the peer that no case compares, by head; by their own name where no architecture here has that head."""
    prefix = architecture.body_class.removesuffix("Model")
    compared_classes = {case.class_name for case in ALL_CASES.values()}
    bodies = sorted((a.body_class.removesuffix("Model") for a in ARCHITECTURES.values()), key=len, reverse=True)
    heads = {ending: head for head, ending in ALSO_CALLED.items()}
    for case in ALL_CASES:
        name = ALL_CASES[case].class_name
        heads[name.removeprefix(next(body for body in bodies if name.startswith(body)))] = head_of(case)
    missing = [name for name in models_of_transformers(architecture) if name not in compared_classes]
    return {heads.get(name.removeprefix(prefix), name): name for name in missing}


def uncompared(cells: Cells) -> list[str]:
    """Heads of architectures here that no case compares, alone or beside another. Transitions of tags are no part of `transformers`:
    what it reads of such a model is that of token classification."""
    heads = {name: {kind for head in own for kind in head.split(" + ")} for name, own in cells.items()}
    wanted = {
        name: {kind for kind, head in architecture.heads.items() if head.class_name} - {"tag_sequence"}
        for name, architecture in ARCHITECTURES.items()
    }
    return [f"{name} {kind}: not compared" for name, kinds in wanted.items() for kind in sorted(kinds - heads.get(name, set()))]


# ---- result


def describe(name: str, cells: Mapping[str, Any], same: list[bool], noticed: list[bool]) -> dict[str, Any]:
    """All about one architecture."""
    architecture = ARCHITECTURES[name]
    module = file_of(architecture)
    return {
        "heads": cells,
        "not_here": not_here(architecture),
        "round_trips": {"models": len(same), "same_bits": sum(same)},
        "faults": {"planted": len(noticed), "noticed": sum(noticed)},
        "file": {"name": Path(str(module.__file__)).name, "lines": lines_of(module), "uses": list(used_by(module))},
    }


def table(architectures: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as lines of text."""
    lines = [f"{'':13}{'head':30}{'models':>7}  outputs  in inference      rms   gradients      rms  of tolerance  (rounding)"]
    for name, found in architectures.items():
        for head, cell in found["heads"].items():
            outputs, inference, gradients = (cell[kind]["largest_difference"] for kind in OURS)
            sizes = [cell[kind]["rms"] for kind in ("outputs", "gradients")]
            figures = f"{outputs:>9.1e}{inference:>14.1e}{sizes[0]:>9.2f}{gradients:>12.1e}{sizes[1]:>9.2f}"
            ours, peer = (max(cell[kind]["of_tolerance"] for kind in kinds) for kinds in (OURS, PEERS))
            lines.append(f"{name:13}{head:30}{len(cell['models']):>7}{figures}{ours:>14.1%}{peer:>12.1%}")
        trips, faults, file = found["round_trips"], found["faults"], found["file"]
        lines.append(
            f"  same bits {trips['same_bits']}/{trips['models']}, faults noticed {faults['noticed']}/{faults['planted']}; "
            f"{file['name']} {file['lines']} lines, uses {', '.join(file['uses'])}"
        )
        lines += [f"  not here: {', '.join(found['not_here'].values())}"] if found["not_here"] else []
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.architecture_agreement", description="Every architecture with every head beside transformers."
    )
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1; the models are small)")
    machine.output_option(parser)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    transformers.utils.logging.disable_progress_bar()
    facts = machine.facts(gemm=False)
    problems: list[str] = []
    noticed: dict[str, list[bool]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        references = References(Path(folder))
        cells, same = measure_cells(references, list(ALL_CASES)[:: 6 if arguments.quick else 1], problems)
        for name, case, activation, fault in list(planted_faults())[:: 10 if arguments.quick else 1]:
            made = references(case, activation)
            found = noticed[made.load().architecture.name]
            found.append(is_noticed(made, fault))
            problems += [] if found[-1] else [f"{case}: not noticed: {name}"]
    machine.log("faults: planted")
    problems += [] if arguments.quick else uncompared(cells)
    architectures = {name: describe(name, cells[name], same[name], noticed[name]) for name in ARCHITECTURES if name in cells}
    shared = {name: module for found in architectures for name, module in used_by(file_of(ARCHITECTURES[found])).items()}
    result = {
        "command": machine.command_line("architecture_agreement", [], {"threads": arguments.threads, "quick": arguments.quick}),
        "tolerance": TOLERANCE,
        "activations": ACTIVATIONS,
        "architectures": architectures,
        "shared_lines": {name: lines_of(module) for name, module in sorted(shared.items())},
        "problems": problems,
        "machine": facts,
    }
    machine.write_result(machine.output_folder(arguments), "architecture_agreement", result)
    print(table(architectures))
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
