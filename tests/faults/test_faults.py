"""Every wrong input gets the right error: one line that names the place and the way out, and nothing is left behind."""

from pathlib import Path

import pytest

from bertworks.errors import BertworksError, CheckpointError
from tests.faults import document, world
from tests.faults.case import Case, Outcome, provoke
from tests.faults.cases import GROUPS

CASES = [pytest.param(group, case, id=f"{group}: {case.title}") for group, cases in GROUPS.items() for case in cases]
_SHOWN: dict[tuple[str, str], str] = {}
"""The rows of the documentation, as the tests saw them."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return world.build(tmp_path_factory.mktemp("faults") / "world")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A working folder of its own."""
    return world.copy(made, tmp_path / "work")


@pytest.mark.parametrize(("group", "case"), CASES)
def test_case(group: str, case: Case, folder: Path) -> None:
    outcome = provoke(case, folder)
    _SHOWN[group, case.title] = document.row(case, outcome)
    assert outcome.code == case.error.exit_code, outcome.message
    assert outcome.error in (None, case.error)
    assert case.names in outcome.message
    assert case.advises in outcome.message
    assert case.table or "\n" not in outcome.message
    assert "Traceback" not in outcome.message
    assert set(outcome.left) <= set(case.leaves)
    assert all(line.isprintable() for line in outcome.message.splitlines())


def test_titles_are_unique_within_a_group() -> None:
    for cases in GROUPS.values():
        titles = [case.title for case in cases]
        assert len(set(titles)) == len(titles)


def test_the_documentation_says_what_is_said() -> None:
    if len(_SHOWN) < len(CASES):
        pytest.skip("only some of the cases were run")
    written = document.PATH.read_text(encoding="utf-8")
    absent = [row for row in _SHOWN.values() if row not in written]
    assert not absent, "write it anew: python -m tests.faults"
    assert written.count("\n| ") == len(_SHOWN) + len(GROUPS) + document.HEAD.count("\n| ")


def test_a_pickle_is_never_run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap in the pickles of the cases would make a folder; here it is seen to be a trap, and not to be sprung."""
    import pickle

    from tests.faults.folder_cases import Trap

    work = world.copy(made, tmp_path / "work")
    pickles = [case for cases in GROUPS.values() for case in cases if "pickle" in case.title]
    assert len(pickles) == 2
    for number, case in enumerate(pickles):
        assert "trap" not in provoke(case, world.copy(made, tmp_path / str(number))).left
    monkeypatch.chdir(work)
    pickle.loads(pickle.dumps(Trap()))
    assert (work / "trap").is_dir()


def test_what_is_judged(folder: Path) -> None:
    """A case that goes wrong otherwise than it says is noticed."""

    class OtherError(BertworksError):
        exit_code = 9

    case = Case("x", "bertworks trian", OtherError, "", "")
    assert provoke(case, folder).code == 2
    left = provoke(Case("x", "Path('left').mkdir(); bw.load('./nowhere')", OtherError, "", ""), folder)
    assert left == Outcome(CheckpointError, 4, "no model folder ./nowhere. This folder has encoder, left, model, pairs, tags", ("left",))
    with pytest.raises(ZeroDivisionError):
        provoke(Case("x", "1 / 0", OtherError, "", ""), folder)
