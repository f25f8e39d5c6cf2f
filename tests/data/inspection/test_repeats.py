"""Findings about rows that repeat, here or in a second source."""

from .conftest import Findings, GoodRows

LONG = "We took the night train from the north with a teacher, a cook and two singers, and nobody slept before we saw the city"


def test_duplicates(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(200)
    texts[40], texts[90], texts[91] = texts[3], texts[3], f" {texts[8]}\n"
    labels[40] = labels[90] = labels[3]
    labels[91] = labels[8]
    found = findings(texts, labels, numbers=range(10, 210))
    assert (found["Duplicates"].level, found["Duplicates"].rows) == ("note", (50, 100, 101))
    assert "3 of 200 rows (1.5%)" in found["Duplicates"].message
    assert "(2 groups)" in found["Duplicates"].message
    assert found["Duplicates"].examples[0].startswith("rows 13, 50, 100: “")
    assert set(found) == {"Duplicates"}
    assert findings(texts[:40] * 2, labels[:40] * 2)["Duplicates"].level == "warning"


def test_the_same_text_with_different_labels(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(200)
    texts[40] = texts[41] = texts[3]
    labels[3], labels[40], labels[41] = "praise", "praise", "blame"
    found = findings(texts, labels)["Same text, different labels"]
    assert (found.level, found.rows) == ("warning", (3, 40, 41))
    assert "3 (praise), 40 (praise), 41 (blame)" in found.examples[0]
    tuples = [("a", "b"), ("b", "a")] + [("a",)] * 198
    assert "Same text, different labels" not in findings([texts[0], texts[0], *texts[2:40], *texts[42:]], tuples[:198])


def test_numbers_contradict_each_other_from_a_distance_on(findings: Findings, good_rows: GoodRows) -> None:
    texts, _ = good_rows(200)
    texts[40], texts[50] = texts[3], texts[4]
    numbers = [i % 51 / 10 for i in range(200)]  # from 0 to 5
    numbers[3], numbers[40], numbers[4], numbers[50] = 1.0, 2.0, 1.0, 3.5
    assert findings(texts, numbers)["Same text, different labels"].rows == (4, 50)


def test_near_duplicates(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(200)
    texts[10], texts[20], texts[30], texts[40] = LONG, f"{LONG} again.", LONG.upper(), LONG
    labels[10] = labels[20] = labels[30] = labels[40] = "praise"
    found = findings(texts, labels)
    assert (found["Near duplicates"].level, found["Near duplicates"].rows) == ("note", (20, 30))
    assert found["Duplicates"].rows == (40,)
    assert "Nearly the same text, different labels" not in found
    labels[20] = "blame"
    found = findings(texts, labels)
    assert found["Nearly the same text, different labels"].rows == (10, 20, 30)
    assert "Same text, different labels" not in found


def test_overlap(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(200)
    other, others = good_rows(50, seed=1)
    texts[10] = LONG
    other[5], other[7], other[9] = texts[3], texts[3], f"{LONG}, at last"
    found = findings(texts, labels, against=(other, others))
    exact, near = found["Texts of test.csv that stand here too"], found["Texts of test.csv that nearly stand here too"]
    assert (exact.level, exact.rows, near.level, near.rows) == ("warning", (5, 7), "note", (9,))
    assert "2 of 50 rows (4.0%) of test.csv" in exact.message
    assert exact.examples[0].startswith("row 5 of test.csv is row 3 here: “")
    assert near.examples[0].startswith("row 9 of test.csv is nearly row 10 here: “")
    assert set(found) == {exact.title, near.title}


def test_the_same_data_twice_are_no_error(findings: Findings, good_rows: GoodRows) -> None:
    """Who validates on the training data to see whether a model can learn them at all is warned, not stopped."""
    rows = good_rows(50)
    found = findings(*rows, against=rows)
    assert [finding.level for finding in found.values()] == ["warning"]


def test_pairs_are_repeated_as_a_whole(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(100)
    pairs = [(texts[0], text) for text in texts[1:]]
    assert "Duplicates" not in findings(pairs, labels[1:])
    assert findings([*pairs, pairs[4]], [*labels[1:], labels[5]])["Duplicates"].rows == (99,)
