"""Reports are whole by themselves, safe whatever texts hold, fit for everyone, and the same each time."""

import base64
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.estimators.reports import write_report
from bertworks.estimators.reports.charts.drawing import fitted
from bertworks.estimators.reports.rendering import escaped_for_markdown
from bertworks.estimators.reports.wording import in_one_line
from tests.estimators.reports.conftest import MakeRun
from tests.estimators.reports.documents import Element, html_of, markdown_of, page_of_markdown, tables_of
from tests.estimators.reports.finished_runs import HOSTILE, parts_of_a_run, write_run

Written = Callable[[str], Path]
SVG = "{http://www.w3.org/2000/svg}"
ATTACKS = [
    HOSTILE,
    "</p></blockquote><script>x</script>",
    "| a | b |\n| - | - |\n| c | d |",
    "```\n# x",
    "<!-- ",
    "&lt;b&gt; &amp;",
    "a\x00b\u202ec",
    "{{ 7 * 7 }} {% raw %}",
]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with the attacks in every place where data or names of the user are shown."""
    parts = parts_of_a_run(names=tuple(ATTACKS))
    metrics = parts["metrics.json"]
    one = metrics["baselines"]["majority class"]
    metrics["baselines"] = {attack: {**one, "note": attack} for attack in ATTACKS}
    metrics["mistakes"] = [{"row": a, "text": a, "pair": a, "label": a, "prediction": [a], "confidence": 0.5} for a in ATTACKS]
    parts["inspection.json"]["findings"] = [{"level": a, "title": a, "message": a, "examples": [a]} for a in ATTACKS]
    parts["accounting.json"]["training"]["dropped"] = dict.fromkeys(ATTACKS, 1)
    parts["config.toml"] = {attack: {attack: attack} for attack in ATTACKS}
    parts["machine.json"] = {attack: attack for attack in ATTACKS}
    run = write_run(tmp_path_factory.mktemp("attacked") / "run", parts)
    write_report(run)
    return run


@pytest.mark.parametrize("read", [html_of, markdown_of])
def test_texts_stay_texts_everywhere(attacked: Path, read: Callable[[Path], Element]) -> None:
    page = read(attacked)
    assert not page.all("script") + page.all("b") + page.all("iframe")
    assert len(page.all("img")) == 5
    assert all(link.attributes["href"].startswith("#") for link in page.all("a"))
    assert not [name for element in page.all("img") for name in element.attributes if name.startswith("on")]
    for attack in ATTACKS:
        assert page.plain.count(in_one_line(attack)) >= 15, attack
    assert len(page.all("table")) == 8 + len(ATTACKS), "each table of settings has an attack for its name"


def test_labels_stay_texts_in_pictures(attacked: Path) -> None:
    for picture in (attacked / "report").glob("*.svg"):
        tags = {element.tag.removeprefix(SVG) for element in ElementTree.parse(picture).iter()}
        assert not tags & {"script", "b", "a", "img", "image", "foreignObject"}
    drawn = ElementTree.parse(attacked / "report" / "confusion.svg")
    texts = ["".join(element.itertext()) for element in drawn.iter(f"{SVG}text")]
    for attack in ATTACKS:
        assert texts.count(fitted(attack, 1.6, 9.5)) == 2, "once in its row, once in its column"


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\\`*_{}[]()<>#+-.!|~$&=:1 \n"), max_size=30))
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    line = escaped_for_markdown(text)
    assert page_of_markdown(line).plain == in_one_line(text)
    table = page_of_markdown(f"| x |\n| - |\n| {line} |")
    assert tables_of(table) == [[["x"], [in_one_line(text)]]]


def test_the_page_needs_nothing_else(written: Written) -> None:
    text = (written("single") / "report.html").read_text(encoding="utf-8")
    page = html_of(written("single"))
    assert not page.all("link") + page.all("script") + page.all("iframe")
    sources = [e.attributes[name] for e in page.all("img") + page.all("source") for name in ("src", "srcset") if name in e.attributes]
    assert len(sources) == 10
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert not re.findall(r"url\(|@import|https?://", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    policy = next(meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes)
    assert policy.startswith("default-src 'none'")


def test_markdown_finds_its_pictures(written: Written) -> None:
    names = [image.attributes["src"] for image in markdown_of(written("single")).all("img")]
    files = [f"report/{path.name}" for path in (written("single") / "report").iterdir()]
    assert sorted(names) == sorted(files)
    embedded = [base64.b64decode(image.attributes["src"].partition(",")[2]) for image in html_of(written("single")).all("img")]
    assert embedded == [(written("single") / name).read_bytes() for name in names], "the light ones of the page, in its order"


def test_pictures_are_there_in_light_and_in_dark(written: Written) -> None:
    for picture in html_of(written("single")).all("picture"):
        (dark,), (light,) = picture.all("source"), picture.all("img")
        assert "prefers-color-scheme: dark" in dark.attributes["media"]
        drawn = [base64.b64decode(uri.partition(",")[2]) for uri in (dark.attributes["srcset"], light.attributes["src"])]
        assert drawn[0] != drawn[1]
        texts = [["".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter(f"{SVG}text")] for svg in drawn]
        assert texts[0] == texts[1] != []


def test_the_page_is_accessible(written: Written) -> None:
    page = html_of(written("single"))
    assert page.all("html")[0].attributes["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(len(image.attributes["alt"]) > 20 for image in page.all("img"))
    assert all(len(table.all("caption")) == 1 and table.all("caption")[0].plain for table in page.all("table"))
    assert all(cell.attributes["scope"] in ("row", "col") for cell in page.all("th"))
    targets = [f"#{heading.attributes['id']}" for heading in page.all("h2")]
    assert [link.attributes["href"] for link in page.all("a")] == targets
    assert [f"#{section.attributes['aria-labelledby']}" for section in page.all("section")] == targets
    assert any(meta.attributes.get("name") == "viewport" for meta in page.all("meta"))


def files_of(folder: Path) -> dict[str, bytes]:
    written = [folder / "report.html", folder / "report.md", *sorted((folder / "report").iterdir())]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in written}


def test_the_same_run_gives_the_same_bytes(make_run: MakeRun) -> None:
    run = make_run()
    write_report(run)
    first, before = files_of(run), dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        write_report(run)
    assert dict(matplotlib.rcParams) == before
    assert files_of(run) == first
    moved = run.parent / "elsewhere" / run.name
    moved.parent.mkdir()
    run.rename(moved)
    (moved / "report" / "stale.svg").write_text("left from an older report")
    write_report(moved)
    assert files_of(moved) == first


def test_nothing_heavy_and_no_global_state(make_run: MakeRun) -> None:
    code = f"""
import sys
from bertworks.estimators.reports import write_report
write_report({str(make_run())!r})
print([name for name in ("torch", "sklearn", "matplotlib.pyplot") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")
