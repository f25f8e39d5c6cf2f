"""Messages: one line that can be shown whatever is in it, and that survives the way to another process."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import BertworksError, CheckpointError, DataError, MissingExtraError, NotFittedError, SettingsError, nearest, one_line

anything = st.text(st.characters(), max_size=3000)


@given(text=anything)
def test_one_line_is_printable_and_bounded(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= 10 * 1300
    line.encode("utf-8")
    if text.isprintable() and len(text) <= 1200:
        assert line == text


def test_the_ends_of_a_long_message_are_kept() -> None:
    line = one_line("file.csv, line 3: " + "x" * 9999 + ". Mend the file")
    assert line.startswith("file.csv, line 3: x")
    assert line.endswith("x. Mend the file")
    assert " … " in line


@pytest.mark.parametrize("kind", [SettingsError, DataError, CheckpointError, NotFittedError, MissingExtraError])
def test_errors_travel(kind: type[BertworksError]) -> None:
    for error in (kind("a\x1bb\nc"), kind("first", ["one\ntwo", "three"])):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.exit_code) == (kind, str(error), kind.exit_code)
    assert str(kind("first", ["one\ntwo", "three"])) == "first\n  one two\n  three"
    assert str(kind("a\x1bb\nc")) == "a\\x1bb c"
    assert str(kind()) == ""


def test_no_nearest_name_is_sought_for_what_is_no_name() -> None:
    assert nearest("learing_rate", ["learning_rate"]) == " Did you mean 'learning_rate'?"
    assert nearest("x" * 101, ["x" * 101]) == ""
