"""A report is there whatever is missing, and says which file is damaged."""

import copy
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bertworks.errors import CheckpointError
from bertworks.estimators.reports import RunRecord, write_report
from bertworks.estimators.reports.blocks import Picture
from bertworks.estimators.reports.palettes import LIGHT
from bertworks.estimators.reports.sections import build
from tests.estimators.reports.conftest import MakeRun
from tests.estimators.reports.documents import html_of, markdown_of, tables_of, titles_of
from tests.estimators.reports.finished_runs import parts_of_a_run

FIELDS = {
    "metrics.json": "metrics",
    "accounting.json": "accounting",
    "inspection.json": "inspection",
    "machine.json": "machine",
    "model/bertworks.json": "model",
    "model/config.json": "config",
}
DRAWN = {
    "intervals": "comparison",
    "baselines": "comparison",
    "confusion": "confusion",
    "reliability": "reliability",
    "calibration": "reliability",
    "lengths": "lengths",
    "log.jsonl": "training",
}
"""The picture that a key is drawn in."""


def keys_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to every key; in lists only to those of the first entry."""
    inner = list(value.items()) if isinstance(value, dict) else [(0, value[0])] if isinstance(value, list) and value else []
    for key, content in inner:
        yield (*path, key)
        yield from keys_of(content, (*path, key))


def without(parts: dict[str, Any], path: tuple[Any, ...], *, null: bool) -> dict[str, Any]:
    """The parts without the entry at a path, or with nothing (null) in its place."""
    out = copy.deepcopy(parts)
    inner = out
    for key in path[:-1]:
        inner = inner[key]
    if null:
        inner[path[-1]] = None
    else:
        del inner[path[-1]]
    return out


@pytest.mark.parametrize("null", [False, True], ids=["absent", "null"])
@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_no_key_is_needed(kind: str, null: bool) -> None:
    parts = parts_of_a_run(kind)
    names = [*FIELDS, "log.jsonl"]
    paths = [path for name in names for path in keys_of(parts[name], (name,)) if len(path) > 1]
    assert len(paths) > 80
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in paths:
            some = without(parts, path, null=null)
            logs = {"": [line for line in some["log.jsonl"] if line is not None]}
            record = RunRecord("run", settings=parts["config.toml"], logs=logs, **{field: some[name] for name, field in FIELDS.items()})
            sections = build(record)
            assert len(sections) >= 8
            wanted = {DRAWN[key] for key in path if key in DRAWN} if kind == "single" and not null else set()
            for picture in (block for section in sections for block in section.blocks if isinstance(block, Picture)):
                if picture.name in wanted:
                    picture.draw(LIGHT)


@pytest.mark.parametrize("missing", ["metrics_json", "model__bertworks_json"])
def test_no_file_is_needed(make_run: MakeRun, missing: str) -> None:
    run = make_run(**{missing: None})
    write_report(run)
    titles = titles_of(html_of(run))
    assert (titles[0], titles[-1]) == ("In short", "How to go on")
    assert titles == titles_of(markdown_of(run))


def test_a_run_that_goes_on_has_a_report(make_run: MakeRun) -> None:
    parts = parts_of_a_run()
    others = {name.replace("/", "__").replace(".", "_"): None for name in parts if name not in ("config.toml", "log.jsonl")}
    run = make_run(**others)
    (run / "log.jsonl").write_text("\n".join(json.dumps(line) for line in parts["log.jsonl"][:26]) + '\n{"kind": "tra')
    write_report(run)
    page = html_of(run)
    assert "It got to step 44 of 60" in page.plain
    assert "step 40 are the best so far" in page.plain
    assert "bertworks train --resume reviews-1" in page.plain
    assert titles_of(page) == ["In short", "Training", "Settings", "Machine and versions", "How to go on"]


def test_a_run_without_validation_says_so(make_run: MakeRun) -> None:
    run = make_run(metrics_json={"headline": "accuracy", "validation": None, "steps": 5, "seconds": 2.0, "pairs": True})
    write_report(run)
    assert "Without validation data" in html_of(run).plain
    assert 'bertworks predict reviews-1 "a first text" "a second text"' in html_of(run).plain


def test_folders_that_are_no_runs(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    with pytest.raises(CheckpointError, match=r"'.*reviews-2' does not exist\. Did you mean '.*reviews-1'\?"):
        write_report(tmp_path / "reviews-2")
    with pytest.raises(CheckpointError, match=r"no run folder\. Did you mean '.*reviews-1'\?"):
        write_report(run / "model")
    with pytest.raises(CheckpointError, match="no run folder"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("metrics.json", "{", "metrics.json, line 1"),
        ("config.toml", "a = ", "config.toml' cannot be read"),
        ("log.jsonl", '{"step": 1}\n{"st\n{"step": 3}\n', "log.jsonl, line 2"),
        ("log.jsonl", '{"step": 1}\n{"loss": "\udcff"}\n{"step": 3}\n', "log.jsonl, line 2"),
        ("inspection.json", "[1]", "inspection.json holds"),
    ],
)
def test_damaged_files_are_named(make_run: MakeRun, file: str, content: str, told: str) -> None:
    run = make_run()
    (run / file).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CheckpointError, match=re.escape(told)):
        write_report(run)
    assert not (run / "report.html").exists()


def test_what_stands_in_the_way_is_named(make_run: MakeRun) -> None:
    run = make_run()
    (run / "report").write_text("a note of the user's")
    with pytest.raises(CheckpointError, match="it is a file"):
        write_report(run)
    assert (run / "report").read_text() == "a note of the user's"


@pytest.mark.parametrize("labels", [(2, True, "日本語", "عربي", "$x$"), ("only",)])
def test_labels_of_any_sort(make_run: MakeRun, labels: tuple[Any, ...]) -> None:
    run = make_run(names=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(run)
    names = [str(label) for label in labels]
    for tables in (tables_of(html_of(run)), tables_of(markdown_of(run))):
        rows = next(table for table in tables if "recall" in table[0])
        assert [row[0] for row in rows[1:]] == names
    texts = ["".join(e.itertext()).strip() for e in ElementTree.parse(run / "report" / "confusion.svg").iter() if e.tag.endswith("}text")]
    assert texts[: len(names)] == names, "columns"
    assert [text for text in texts[len(names) :] if text in names][: len(names)] == names, "rows"


def test_a_record_can_be_empty() -> None:
    assert [section.title for section in build(RunRecord("nothing"))] == ["In short", "How to go on"]
