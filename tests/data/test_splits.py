import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data.splits import parse_split
from bertworks.data.table import read_table
from bertworks.errors import DataError

ROWS = {"train": 37, "test": 205}
DATA = datasets.DatasetDict(
    {name: datasets.Dataset.from_dict({"text": [f"{name} {i}" for i in range(rows)]}) for name, rows in ROWS.items()}
)


def theirs(spec: str) -> list[str]:
    """The rows that `datasets` takes."""
    instructions = datasets.ReadInstruction.from_spec(spec).to_absolute(ROWS)
    return [text for one in instructions for text in DATA[one.splitname]["text"][one.from_ : one.to]]


bound = st.none() | st.integers(-250, 250)
percent = st.none() | st.integers(-100, 100)


def written(name: str, start: int | None, stop: int | None, unit: str) -> str:
    return f"{name}[{'' if start is None else f'{start}{unit}'}:{'' if stop is None else f'{stop}{unit}'}]"


parts = st.one_of(
    st.sampled_from(["train", "test"]),
    st.builds(written, st.sampled_from(["train", "test"]), bound, bound, st.just("")),
    st.builds(written, st.sampled_from(["train", "test"]), percent, percent, st.just("%")),
)


@settings(deadline=None)
@given(spec=st.lists(parts, min_size=1, max_size=3).map(" + ".join))
def test_takes_the_rows_that_datasets_takes(spec: str) -> None:
    expected = theirs(spec)
    if expected:
        assert read_table(DATA, split=spec).data["text"].to_pylist() == expected
    else:
        with pytest.raises(DataError, match="holds no row"):
            read_table(DATA, split=spec)


def test_whole_percents() -> None:
    spec = "test[:33%](pct1_dropremainder)"
    assert read_table(DATA, split=spec).data["text"].to_pylist() == theirs(spec)
    with pytest.raises(DataError, match="at least 100 rows"):
        read_table(DATA, split="train[:33%](pct1_dropremainder)")


def test_a_slice_needs_no_name() -> None:
    assert [part.name for part in parse_split("[:5]+[-2:]")] == ["", ""]
    assert parse_split("[:1_000]")[0].stop == 1000


@pytest.mark.parametrize(
    "spec", ["", "train[", "train[3]", "train[::2]", "train test", "train++test", "(closest)", "train[:5](closest)", "train[:5%](up)"]
)
def test_not_a_split(spec: str) -> None:
    with pytest.raises(DataError, match="split"):
        parse_split(spec)


def test_refuses_a_mix_of_rows_and_percent() -> None:
    with pytest.raises(DataError, match="mixes rows and percent"):
        parse_split("train[10%:500]")
    with pytest.raises(DataError, match="100 %"):
        parse_split("train[:101%]")
