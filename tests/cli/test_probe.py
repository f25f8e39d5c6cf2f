"""`bertworks probe` and `bertworks recipe`."""

import tomllib
from pathlib import Path

from bertworks.recipes import recipe_text

from .conftest import Bertworks, review_rows


def write_glue(folder: Path) -> None:
    for name, count, seed in (("train", 32, 0), ("dev", 16, 1)):
        (folder / "SST-2").mkdir(parents=True, exist_ok=True)
        rows = [f"{text}\t{label}" for text, label in review_rows(count, seed)]
        (folder / f"SST-2/{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n", encoding="utf-8")


def test_probe_shows_a_table_and_what_was_skipped(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    write_glue(work / "glue")
    arguments = ("probe", encoder, "--data", "glue", "--precision", "float32", "--threads", "1", "-o", "probed")
    shown = bertworks(*arguments)
    assert shown.code == 0, shown.err
    row = next(line.split() for line in shown.out.splitlines() if line.strip().startswith("sst2"))
    assert row[-4:] == ["83.2", "85.9", "89.7", "89.6"]
    assert "skipped: cola: no folder cola in glue" in shown.out
    found = bertworks(*arguments, "--json").json
    assert f"{100 * found['summary'][0]['model']['mean']:.2f}" == row[2]
    assert found["settings"]["batch_size"] == 32
    assert bertworks("train", "--resume", "probed").error.endswith("(bertworks probe …)")


def test_probe_says_what_is_wrong(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    write_glue(work / "glue")
    assert bertworks("probe", encoder).code == 2
    wrong = bertworks("probe", encoder, "--data", "glue", "--tasks", "sst2,coal")
    assert wrong.code == 2
    assert "Did you mean 'cola'?" in wrong.error
    assert bertworks("probe", encoder, "--data", "glue", "--tasks", "rte").code == 3
    assert bertworks("probe", "no-model", "--data", "glue").code == 4
    assert not (work / "runs").exists()


def test_a_recipe_is_shown_as_it_stands(bertworks: Bertworks) -> None:
    shown = bertworks("recipe", "show", "cpu-evening")
    assert shown.out == recipe_text("cpu-evening")
    assert tomllib.loads(shown.out)["training"]["minutes"] > 0
    listed = bertworks("recipe", "list", "--json").json
    assert set(listed) >= {"bert-paper", "cramming", "cpu-evening", "continue"}
    assert bertworks("recipe", "list").out.count("\n") >= len(listed)
    assert "Did you mean 'cramming'?" in bertworks("recipe", "show", "craming").error
