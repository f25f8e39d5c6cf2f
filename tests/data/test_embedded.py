import pytest

from bertworks.data.embedded import reviews


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_reviews_of_the_package(split: str) -> None:
    data = reviews(split)  # type: ignore[arg-type]
    assert (data.text_column, data.label_column, data.label_kind) == ("text", "label", "single")
    assert len(data) == data.accounting.rows > 0
    assert len(set(data.labels or ())) > 1
