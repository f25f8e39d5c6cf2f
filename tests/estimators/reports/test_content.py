"""What a report says is what the files of the run say, in both formats."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bertworks.estimators.reports import read_run, write_report
from tests.estimators.reports.conftest import MakeRun
from tests.estimators.reports.documents import html_of, markdown_of, tables_of, titles_of
from tests.estimators.reports.finished_runs import mistakes, parts_of_a_run

KINDS = ("single", "multi", "number")
Written = Callable[[str], Path]


@pytest.mark.parametrize("kind", KINDS)
def test_both_formats_have_the_same_sections_in_order(written: Written, kind: str) -> None:
    titles = titles_of(html_of(written(kind)))
    assert titles == titles_of(markdown_of(written(kind)))
    labels = {"single": ["Classes", "Confusion", "Calibration"], "multi": ["Labels"], "number": []}[kind]
    ending = ["Training", "Mistakes", "Settings", "Machine and versions", "How to go on"]
    assert titles == ["In short", "Accounting", "Data", "Metrics", *labels, *ending]


@pytest.mark.parametrize("kind", KINDS)
def test_both_formats_have_the_same_tables(written: Written, kind: str) -> None:
    from_html = [[cell for row in table for cell in row] for table in tables_of(html_of(written(kind)))]
    from_markdown = [
        [re.sub(r"\((.* to .*)\)", r"\1", cell) for row in table for cell in row] for table in tables_of(markdown_of(written(kind)))
    ]
    for one, other in zip(from_html, from_markdown, strict=True):
        assert one == other[-len(one) :]  # facts have no line of names in HTML, and an empty one in Markdown
        assert not any(other[: -len(one)])


def numbers_in(cell: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", cell)]


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_files(written: Written, kind: str) -> None:
    run = written(kind)
    stored = json.loads((run / "metrics.json").read_text())
    columns = [stored["validation"], *stored["baselines"].values()]
    names = {"R²": "r2", "Spearman correlation": "spearman", "Pearson correlation": "pearson"}
    seen = set()
    for row in next(table for table in tables_of(markdown_of(run)) if table[0][0] == "metric")[1:]:
        name = names.get(row[0], row[0].removesuffix(" ↓").lower().replace(" ", "_"))
        seen.add(name)
        for cell, values in zip(row[1:], columns, strict=True):
            wanted = [values[name], *values["intervals"].get(name, [])] if name in values else []
            assert numbers_in(cell) == pytest.approx(wanted, abs=6e-5)
    numbers = {name for name, value in stored["validation"].items() if isinstance(value, float | int)} - {"rows"}
    assert seen == numbers - ({"micro_f1"} if kind == "single" else set())
    exact = {float(data.attributes["value"]) for data in html_of(run).all("data")}
    assert exact >= {columns[0][name] for name in seen}, "the page holds the numbers themselves, not rounded"
    for row in stored["validation"].get("per_class", []) + stored["validation"].get("per_label", []):
        assert exact >= {value for key, value in row.items() if key != "label"}


def test_the_verdict_names_what_matters(written: Written) -> None:
    stored = json.loads((written("single") / "metrics.json").read_text())
    told = html_of(written("single")).all("main")[0].all("p")[0].plain
    assert told.startswith("This model sorts texts into 3 classes: negative, neutral, positive. It learnt from 1,797 rows")
    best = stored["baselines"]["TF-IDF + logistic regression"]
    wanted = [values[key] for values in (stored["validation"], best) for key in ("accuracy",)]
    ends = [end for values in (stored["validation"], best) for end in values["intervals"]["accuracy"]]
    assert {f"{number:.4f}" for number in wanted + ends} <= set(re.findall(r"\d\.\d{4}", told))


def test_accounting_is_complete(written: Written) -> None:
    stored = json.loads((written("single") / "accounting.json").read_text())
    table = {row[0]: [numbers_in(cell)[0] for cell in row[1:]] for row in tables_of(markdown_of(written("single")))[0][1:]}
    for place, part in enumerate(("training", "validation")):
        counts = {name: value for name, value in stored[part].items() if isinstance(value, int) and name != "padding_tokens"}
        assert sorted(counts.values()) == sorted(row[place] for name, row in table.items() if name != "padding" and ":" not in name)
    assert table["padding"] == [0.0, 0.0]
    assert table["rows not used: empty text"] == [3, 0]


def test_settings_are_complete(written: Written) -> None:
    tables = tables_of(markdown_of(written("single")))
    rows = {row[0]: row[1] for table in tables if table[0] == ["setting", "value"] for row in table[1:]}
    assert rows.keys() == {name for values in parts_of_a_run()["config.toml"].values() for name in values}
    assert rows["learning_rate"] == "0.0001"
    assert rows["new_tokens"] == '["zorblax"]'


def test_mistakes_are_quoted_in_part(written: Written) -> None:
    page = html_of(written("single"))
    quoted = [quote.all("p")[0].plain for quote in page.all("blockquote")]
    assert len(quoted) == len(mistakes("single"))
    assert quoted[0] == "The soup was cold. The bill was not."
    assert max(map(len, quoted)) <= 400
    assert quoted[-1].endswith("…")
    assert "Texts are cut after 400 characters" in page.plain


def test_thresholds_stand_beside_their_labels(written: Written) -> None:
    table = next(table for table in tables_of(markdown_of(written("multi"))) if "threshold" in table[0])
    assert [(row[0], float(row[-1])) for row in table[1:]] == [("negative", 0.4), ("neutral", 0.5), ("positive", 0.6)]


def test_many_classes_are_a_table_of_pairs(make_run: MakeRun) -> None:
    names = tuple(f"class {i}" for i in range(31))
    run = make_run(names=names)
    write_report(run)
    assert not (run / "report" / "confusion.svg").exists()
    table = next(table for table in tables_of(markdown_of(run)) if "taken for" in table[0])
    matrix = json.loads((run / "metrics.json").read_text())["validation"]["confusion"]
    counts = [int(row[2]) for row in table[1:]]
    assert counts == sorted((n for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j), reverse=True)[: len(counts)]
    for label, taken_for, rows, share in table[1:]:
        confused = matrix[names.index(label)]
        assert confused[names.index(taken_for)] == int(rows)
        assert numbers_in(share)[0] == pytest.approx(100 * int(rows) / sum(confused), abs=0.051)


def test_several_seeds(make_run: MakeRun) -> None:
    parts = parts_of_a_run()
    metrics = {**parts["metrics.json"], "mean": 0.9, "standard_deviation": 0.02}
    metrics["seeds"] = [{"seed": i, "folder": f"seed-{i}", "accuracy": score} for i, score in enumerate((0.88, 0.92, 0.9))]
    logs = {f"seed-{i}__log_jsonl": parts["log.jsonl"] for i in range(3)}
    run = make_run(metrics_json=metrics, log_jsonl=None, **logs)
    write_report(run)
    strong = [row.plain for row in html_of(run).all("tr") if row.attributes.get("class") == "strong"]
    assert "1 0.9200 seed-1" in strong
    assert "0.9000 ± 0.0200" in markdown_of(run).plain
    assert read_run(run).kept_training == "seed-1"


def test_the_kept_step_is_the_first_of_the_best(make_run: MakeRun) -> None:
    lines = [{"kind": "validation", "step": step, "accuracy": value} for step, value in ((5, 0.7), (10, 0.9), (15, 0.9))]
    assert read_run(make_run(log_jsonl=lines, model__bertworks_json=None)).kept_step == 10
    losses = [{"kind": "validation", "step": step, "loss": value} for step, value in ((5, 0.7), (10, 0.5), (15, 0.6))]
    assert read_run(make_run(log_jsonl=losses, model__bertworks_json=None, metrics_json={"headline": "loss"})).kept_step == 10


def test_a_temperature_that_was_not_judged(make_run: MakeRun) -> None:
    parts = parts_of_a_run()
    del parts["metrics.json"]["calibration"]["after"]
    run = make_run(metrics_json=parts["metrics.json"])
    write_report(run)
    page = markdown_of(run)
    assert "What that brings cannot be told" in page.plain
    assert not any("without" in table[0] for table in tables_of(page))


def test_a_temperature_of_one_is_none(make_run: MakeRun) -> None:
    parts = parts_of_a_run()
    confidence = {"log_loss": 0.4, "expected_calibration_error": 0.03}
    parts["metrics.json"]["calibration"] = {"temperature": 1.0, "before": confidence, "after": confidence}
    run = make_run(metrics_json=parts["metrics.json"])
    write_report(run)
    page = markdown_of(run)
    assert "The confidences are left as they are" in page.plain
    assert not any("without" in table[0] for table in tables_of(page))
    assert "The step that was kept was chosen" in page.plain
