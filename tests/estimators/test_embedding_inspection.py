"""`inspect` of rows that vectors are trained on: planted faults are found where they are, and sound rows have none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import bertworks as bw
from bertworks.data.inspection import Finding
from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.estimators.embeddings.looking import inspect
from bertworks.nn.vector_losses import TextsOfStep, VectorLossOptions, vector_loss

Reviews = Callable[..., Any]
Find = Callable[..., dict[str, Finding]]


@pytest.fixture
def texts(reviews: Reviews) -> list[str]:
    return list(dict.fromkeys(reviews(200, seed=3, shortest=8)[0]))


@pytest.fixture
def scored(texts: list[str]) -> pandas.DataFrame:
    """Sound pairs with scores from 0 to 5."""
    scores = np.random.Generator(np.random.PCG64(0)).integers(0, 11, 60) / 2
    scores[:2] = 0, 5
    return pandas.DataFrame({"sentence1": texts[:60], "sentence2": texts[60:120], "score": scores})


@pytest.fixture
def partners(texts: list[str]) -> pandas.DataFrame:
    """Sound triplets."""
    return pandas.DataFrame({"anchor": texts[:60], "positive": texts[60:120], "negative": texts[120:180]})


@pytest.fixture
def find(tiny_bert: Path) -> Find:
    def found(data: Any, **options: Any) -> dict[str, Finding]:
        findings = inspect(data, model=tiny_bert, **options).inspection.findings
        titles = [finding.title for finding in findings]
        assert len(set(titles)) == len(titles), "no title twice"
        assert [finding.level for finding in findings] == sorted((f.level for f in findings), key=["error", "warning", "note"].index)
        return {finding.title: finding for finding in findings}

    return found


def test_sound_rows_have_no_findings(find: Find, scored: pandas.DataFrame, partners: pandas.DataFrame, texts: list[str]) -> None:
    assert find(scored) == {}
    assert find(partners) == {}
    assert find(partners[["anchor", "positive"]]) == {}
    assert find({"text": texts[:80]}) == {}
    assert find(scored, against=scored.assign(sentence1=texts[120:180], sentence2=texts[130:190]).iloc[:40]) == {}


# ---- scores


def test_one_score_for_all_rows(find: Find, scored: pandas.DataFrame) -> None:
    assert find(scored.assign(score=3.5))["One score for all rows"].level == "error"


def test_scores_that_hardly_differ(find: Find, scored: pandas.DataFrame) -> None:
    scores = np.full(60, 4.9)
    scores[:2] = 0, 5
    found = find(scored.assign(score=scores))
    assert set(found) == {"Scores that hardly differ"}
    assert "are 4.9, though they reach from 0 to 5" in found["Scores that hardly differ"].message


@pytest.mark.parametrize(("wrong", "others"), [(50.0, "0 to 5"), (-1.0, "0 to 5"), (1e6, "0 to 5")])
def test_scores_outside_of_the_scale(find: Find, scored: pandas.DataFrame, wrong: float, others: str) -> None:
    scored.loc[[7, 30], "score"] = wrong
    (finding,) = find(scored).values()
    assert (finding.level, finding.title, finding.rows) == ("warning", "Scores outside of the scale", (7, 30))
    assert f"from {others}, are far from" in finding.message
    assert f"{wrong:g}" in finding.message


@pytest.mark.parametrize(
    "scores",
    [
        np.linspace(0, 1, 60),
        np.linspace(-1, 1, 60),
        np.tile([0.0, 1.0], 30),
        np.r_[np.ones(57), np.zeros(3)],
        np.linspace(0, 100, 60),
        np.random.Generator(np.random.PCG64(1)).normal(3, 1, 60),
    ],
)
def test_usual_scores_are_not_outside(find: Find, scored: pandas.DataFrame, scores: Any) -> None:
    assert "Scores outside of the scale" not in find(scored.assign(score=scores))


def test_one_pair_with_two_scores(find: Find, scored: pandas.DataFrame) -> None:
    """In either order: the cosine does not know which text came first."""
    scored.loc[[3, 4], "score"] = 5.0, 1.0
    scored.loc[4, ["sentence1", "sentence2"]] = scored.loc[3, ["sentence2", "sentence1"]].tolist()
    scored.loc[[8, 9], "score"] = 3.0, 3.5
    scored.loc[9, ["sentence1", "sentence2"]] = scored.loc[8, ["sentence1", "sentence2"]].tolist()
    found = find(scored)
    assert set(found) == {"Same pair, different scores", "Duplicates"}
    assert found["Same pair, different scores"].rows == (3, 4)
    assert "rows 3 (5.0), 4 (1.0)" in found["Same pair, different scores"].examples[0]
    assert found["Duplicates"].rows == (4, 9)


def test_the_same_text_on_both_sides(find: Find, scored: pandas.DataFrame, partners: pandas.DataFrame) -> None:
    scored.loc[[5, 6], "sentence2"] = scored.loc[[5, 6], "sentence1"]
    scored.loc[[5, 6], "score"] = 5.0, 1.0
    found = find(scored)
    assert {title: (f.level, f.rows) for title, f in found.items()} == {
        "The same on both sides, but a low score": ("warning", (6,)),
        "The same on both sides": ("note", (5,)),
    }
    partners.loc[[5, 6], "positive"] = partners.loc[[5, 6], "anchor"]
    found = find(partners)
    assert {title: (f.level, f.rows) for title, f in found.items()} == {"The same on both sides": ("warning", (5, 6))}
    assert find(partners.assign(positive=partners["anchor"]))["The same on both sides"].level == "error"


def test_labels_that_are_no_scores_are_told_as_the_training_tells_them(find: Find, scored: pandas.DataFrame, tiny_bert: Path) -> None:
    labels = ["entailment", "neutral", "contradiction"] * 20
    found = find(scored.assign(score=labels))["Labels that are no scores"]
    assert (found.level, found.count) == ("error", 60)
    assert "entailment, neutral, contradiction" in found.message
    assert "--objective ranking" in found.message
    with pytest.raises(DataError, match="does not hold a number for each pair"):
        bw.train(scored.assign(score=labels), task="embeddings", model=tiny_bert)
    few = scored.astype({"score": object})
    few.loc[[11, 12], "score"] = "four", "?"
    found = find(few.astype({"score": str}))["Labels that are no scores"]
    assert (found.rows, found.examples) == ((11, 12), ("row 11: four", "row 12: ?"))
    assert "Mend these rows" in found.message
    assert "Labels that are no scores" not in find(scored.assign(score=labels), objective="ranking")


def test_scores_that_are_missing(find: Find, scored: pandas.DataFrame, tiny_bert: Path) -> None:
    scored.loc[[2, 5], "score"] = None
    found = find(scored)
    assert {title: (f.level, f.rows) for title, f in found.items()} == {"Missing labels": ("warning", (2, 5))}
    with pytest.raises(DataError, match=r"2 of 60 rows have no label in the column 'score' \(rows 2, 5"):
        bw.train(scored, task="embeddings", model=tiny_bert)


def test_scores_of_single_texts(find: Find, texts: list[str]) -> None:
    found = find({"text": texts[:60], "score": [i / 7 for i in range(60)]})
    assert found["Scores of single texts"].level == "error"


# ---- partners


def test_negatives_that_are_none(find: Find, partners: pandas.DataFrame) -> None:
    partners.loc[3, "negative"] = partners.loc[3, "positive"]
    partners.loc[4, "negative"] = partners.loc[4, "anchor"]
    partners.loc[7, "anchor"] = partners.loc[6, "anchor"]
    partners.loc[7, "negative"] = partners.loc[6, "positive"]
    found = find(partners)
    assert {title: (f.level, f.rows) for title, f in found.items()} == {
        "A negative that is the text or its partner": ("warning", (3, 4)),
        "A partner that is also a negative": ("warning", (7,)),
    }


def test_one_partner_for_many_texts(find: Find, partners: pandas.DataFrame) -> None:
    partners.loc[[1, 2], "positive"] = partners.loc[0, "positive"]
    found = find(partners)
    assert {title: (f.level, f.rows) for title, f in found.items()} == {"One partner for many texts": ("note", (0, 1, 2))}
    partners.loc[:20, "positive"] = "the good film"
    found = find(partners)
    assert (found["One partner for many texts"].level, found["One partner for many texts"].count) == ("warning", 21)


def test_likely_false_negatives_are_those_that_the_loss_takes_for_negatives(find: Find, partners: pandas.DataFrame) -> None:
    """Against the loss itself: rows of one group of texts, in whose step another's partner pulls at the vector of a row's text."""
    import torch

    pairs = partners[["anchor", "positive"]].copy()
    a, b, c, p, q = "the cat", "a dog", "some bird", "the soup was good", "it was a lovely soup and song"
    pairs.iloc[10:15] = [(a, p), (b, p), (a, q), (c, "the window"), (c, "the door")]
    found = find(pairs)
    assert set(found) == {"Likely false negatives", "One partner for many texts"}
    rows = [tuple(row) for row in pairs.iloc[10:15].itertuples(index=False)]
    flagged = []
    for number, row in enumerate(rows):
        linked = [other for other in rows if {*other} & {*row} or any({*other} & {*third} and {*third} & {*row} for third in rows)]
        same = {text: place for place, text in enumerate(dict.fromkeys(text for other in linked for text in other))}
        vectors = torch.randn(2 * len(linked), 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        step = TextsOfStep(
            torch.arange(2 * len(linked)),
            torch.ones(2 * len(linked)),
            False,
            torch.tensor([0, 1] * len(linked)),
            torch.tensor([same[text] for other in linked for text in other]),
            torch.zeros(2 * len(linked)),
        )
        vector_loss("ranking", vectors, step, VectorLossOptions()).backward()
        place = linked.index(row)
        alone = vectors.grad[2 * place]  # type: ignore[index]
        if alone.abs().max() > 1e-6:  # without a negative the loss of this text is 0
            flagged.append(10 + number)
    assert found["Likely false negatives"].rows == tuple(flagged) == (11, 12)


def test_partners_that_are_nearly_the_same(find: Find, partners: pandas.DataFrame) -> None:
    partners.loc[9, "positive"] = partners.loc[8, "positive"].upper() + " ."
    (finding,) = find(partners).values()
    assert (finding.title, finding.rows) == ("Nearly the same partner for different texts", (8, 9))


def test_many_negatives_of_one_pair_are_no_duplicates(find: Find, partners: pandas.DataFrame) -> None:
    partners.loc[1, ["anchor", "positive"]] = partners.loc[0, ["anchor", "positive"]].tolist()
    assert find(partners) == {}
    partners.loc[1, "negative"] = partners.loc[0, "negative"]
    assert find(partners)["Duplicates"].rows == (1,)


# ---- all rows


def test_empty_texts_are_counted_once_and_named(find: Find, scored: pandas.DataFrame, partners: pandas.DataFrame) -> None:
    for data, columns in ((scored, ("sentence1", "sentence2")), (partners, ("anchor", "positive"))):
        data.loc[3, columns[0]] = " "
        data.loc[[5, 6], columns[1]] = ""
        findings = inspect(data).inspection.findings
        assert [(f.title, f.rows, f.count) for f in findings if f.title == "Empty texts"] == [
            ("Empty texts", (3,), 1),
            ("Empty texts", (5, 6), 2),
        ]
        rows = inspect(data).inspection.rows
        assert rows == 57


def test_duplicates_and_what_cannot_be_read(find: Find, texts: list[str]) -> None:
    found = find({"text": [*texts[:40], texts[3], "the caf\u00c3\u00a9 was good and we liked it", "nan"]})
    assert found["Duplicates"].rows == (40,)
    assert found["Garbled characters"].rows == (41,)
    assert found["Placeholders for texts"].rows == (42,)


def test_lengths_are_those_of_each_text(scored: pandas.DataFrame, tiny_bert: Path) -> None:
    scored.loc[[4, 9], "sentence2"] = "the film was good " * 20, "a soup " * 50
    report = inspect(scored, model=tiny_bert)
    tokenizer = bw.Encoder(tiny_bert).tokenizer
    wanted = [len(tokenizer.encode(text)) for column in ("sentence1", "sentence2") for text in scored[column]]
    lengths = report.inspection.lengths
    assert lengths is not None
    assert (lengths.rows, lengths.longest, lengths.over_limit, lengths.limit) == (120, max(wanted), 2, 64)
    assert lengths.mean == pytest.approx(np.mean(wanted))
    (finding,) = [f for f in report.inspection.findings if f.title == "Longer than the model reads"]
    assert (finding.level, finding.rows) == ("note", (4, 9))
    assert "2 of 120 texts" in finding.message
    assert "in overlapping windows" in finding.message


def test_a_model_that_cuts_long_texts_is_warned_of(scored: pandas.DataFrame, tiny_bert: Path, tmp_path: Path) -> None:
    scored.loc[:9, "sentence2"] = "the film was good and the soup was cold " * 9
    for overflow, level, message in (("truncate", "warning", "The rest is not read"), ("error", "error", "A training stops at them")):
        folder = bw.SentenceEncoder(tiny_bert, overflow=overflow).save(tmp_path / overflow)  # type: ignore[arg-type]
        (finding,) = [f for f in inspect(scored, model=folder).inspection.findings if f.title == "Longer than the model reads"]
        assert (finding.level, finding.count) == (level, 10)
        assert message in finding.message


@pytest.mark.filterwarnings("ignore::bertworks.errors.ScriptWarning")
def test_scripts_that_the_tokenizer_does_not_know(scored: pandas.DataFrame, tiny_bert: Path) -> None:
    scored["sentence2"] = [f"обед был холодным, номер {number}" for number in range(60)]
    findings = {f.title: f for f in inspect(scored, model=tiny_bert).inspection.findings}
    unknown = findings["Unknown to the tokenizer"]
    assert "Cyrillic" in unknown.message
    tokenizer = bw.Encoder(tiny_bert).tokenizer
    both = [tokenizer.encode(text) for column in ("sentence1", "sentence2") for text in scored[column]]
    count, total = sum(e.unknown_tokens for e in both), sum(len(e) - 2 for e in both)
    assert f"{count:,} of {total:,} tokens" in unknown.message


def test_overlap_with_the_data_to_test_on(find: Find, scored: pandas.DataFrame, partners: pandas.DataFrame, texts: list[str]) -> None:
    other = scored.assign(sentence1=texts[120:180], sentence2=texts[130:190]).iloc[:40].reset_index(drop=True)
    other.loc[2, ["sentence1", "sentence2"]] = scored.loc[8, ["sentence2", "sentence1"]].tolist()
    other.loc[5, "sentence1"] = scored.loc[11, "sentence2"]
    other.loc[6, "score"] = 90.0
    found = find(scored, against=other)
    titles = {finding.rows for title, finding in found.items() if "that stand here too" in title and title.startswith("Texts")}
    assert titles == {(2,)}
    assert {finding.rows for title, finding in found.items() if title.startswith("Single texts")} == {(5,)}
    assert {finding.rows for title, finding in found.items() if title.startswith("Scores of")} == {(6,)}
    assert len(found) == 3
    pairs = partners[["anchor", "positive"]].iloc[[4, 5]]
    (finding,) = find(partners, against=pairs).values()
    assert (finding.count, "that stand here too" in finding.title) == (2, True)
    with pytest.raises(DataError, match="no column 'sentence1'"):
        find(scored, against=partners)


# ---- as a verb


def test_it_is_found_by_the_name_of_the_task(scored: pandas.DataFrame, tiny_bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    scored.to_csv(path, index=False)
    report = bw.inspect(path, task="embeddings", model=tiny_bert)
    assert report.inspection.columns == {"text": "sentence1", "pair": "sentence2", "label": "score", "unused": []}
    assert report.facts[-1] == "objective: scores"
    (command,) = report.next_steps
    assert command.startswith("bertworks train ")
    assert command.endswith(f"--task embeddings --text sentence1 --pair sentence2 --label score --model {tiny_bert}")
    assert report.to_dict()["findings"] == []
    assert bw.inspect(scored, task="embeddings", model=tiny_bert).next_steps == []
    done: list[tuple[int, int]] = []
    bw.inspect(scored, task="embeddings", model=tiny_bert, progress=lambda *seen: done.append(seen))
    assert done == [(60, 60)]
    with pytest.raises(SettingsError, match="no option 'kind' for the task 'embeddings'"):
        bw.inspect(scored, task="embeddings", kind="single")
    with pytest.raises(CheckpointError):
        bw.inspect(scored, task="embeddings", model=tmp_path / "none")


def test_a_saved_encoder_and_a_run_folder_are_models_too(scored: pandas.DataFrame, tiny_bert: Path, tmp_path: Path) -> None:
    folder = bw.SentenceEncoder(tiny_bert, max_tokens=10).save(tmp_path / "model")
    report = inspect(scored, model=folder)
    assert report.inspection.lengths is not None
    assert report.inspection.lengths.limit == 10
