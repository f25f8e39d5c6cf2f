"""Pictures are made, of any text, and hold what they should."""

import re
import struct
import warnings
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bertworks.explain.deletion import deletion_curve
from bertworks.explain.pictures.curves import curve_picture
from bertworks.explain.pictures.figure import to_bytes
from bertworks.explain.pictures.maps import head_grid, heat_map
from bertworks.explain.pictures.words import bar_chart, coloured_text, wrapped

ODD = ["[CLS]", "$x_1$", "<b>&", "\\alpha", "100%", "##ing", "_^{}", "a" * 60, "[SEP]"]
"""Tokens that mean something to a drawing library, or take much room."""


def attention(heads: int, length: int) -> Any:
    return np.random.default_rng(0).dirichlet(np.ones(length), size=(heads, length)).astype(np.float32)


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def texts_in(svg: bytes) -> set[str]:
    return {"".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}


def test_every_token_is_named_on_both_axes() -> None:
    figure = heat_map(attention(1, 9)[0], ODD, np.array([-1, 0, 0, 0, -1, 1, 1, 1, -1]), "a $title$")
    (axes, _) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ODD == [label.get_text() for label in axes.get_yticklabels()]
    assert len(axes.lines) == 2, "a line across and one down between the two texts"
    assert texts_in(to_bytes(figure, "svg")) >= {*ODD, "a $title$"}


def test_a_map_shows_its_values() -> None:
    values = attention(1, 12)[0]
    image = heat_map(values, ["x"] * 12, np.zeros(12, dtype=int), "").axes[0].images[0]
    assert np.array_equal(image.get_array(), values)


@pytest.mark.parametrize("length", [1, 2, 64, 65, 512])
def test_any_length(length: int) -> None:
    tokens = [f"word{i}" for i in range(length)]
    maps = attention(4, length)
    figure = heat_map(maps[0], tokens, np.zeros(length, dtype=int), "map")
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == tokens if length <= 64 else 30 <= len(names) <= 60
    width, height = size(to_bytes(figure, "png"))
    assert 400 < width < 2600
    assert 400 < height < 2600
    assert size(to_bytes(head_grid(maps, tokens, np.zeros(length, dtype=int), "grid"), "png"))[0] < 4000


def test_all_heads_stand_on_one_scale() -> None:
    heads = attention(5, 6)
    figure = head_grid(heads, list("abcdef"), np.zeros(6, dtype=int), "grid")
    assert len(figure.axes) == 5
    assert {float(axes.images[0].norm.vmax) for axes in figure.axes} == {float(heads.max())}
    assert {axes.texts[0].get_text() for axes in figure.axes} == {f"head {i}" for i in range(5)}


def test_words_and_bars() -> None:
    runs: list[tuple[str, int | None]] = []
    for number, word in enumerate(ODD):
        runs += [(word, number), ("\n ", None)]
    values = np.linspace(-1, 1, len(ODD))
    svg = to_bytes(coloured_text([runs, [("second", None)]], values, "title $", "notes"), "svg")
    shown = texts_in(svg)
    assert shown >= {*ODD[:7], "second", "title $", "notes", "+1.000", "−1.000".replace("−", "-")}
    assert texts_in(to_bytes(bar_chart([("$a$", 0.25), ("b", 0.75)], "bars"), "svg")) >= {"$a$", "b", "0.250", "0.750", "bars"}
    many = texts_in(to_bytes(bar_chart([(f"w{i}", i / 100) for i in range(80)], "bars"), "svg"))
    assert "bars (the 48 largest of 80)" in many
    assert {"w32", "w79"} <= many
    assert "w31" not in many


@given(
    words=st.lists(st.tuples(st.text(st.sampled_from("abc好'.")), st.sampled_from(["", " ", "\n\n", "  "])), max_size=30),
    columns=st.integers(4, 20),
)
def test_lines_hold_the_text_and_are_not_too_long(words: Sequence[tuple[str, str]], columns: int) -> None:
    runs: list[tuple[str, int | None]] = []
    for number, (word, gap) in enumerate(words):
        runs += [(word, number)] * bool(word) + [(gap, None)] * bool(gap)
    lines = list(wrapped(runs, columns))
    assert all(sum(cell_len(text) for text, _ in line) <= columns for line in lines)
    kept = "".join(text for line in lines for text, _ in line)
    assert re.sub(r"\s", "", kept) == re.sub(r"\s", "", "".join(run for run, _ in runs))


def test_the_curve() -> None:
    shares = np.random.default_rng(0).normal(size=20)
    curve = deletion_curve(shares, lambda sets: np.array([shares.sum() - shares[words].sum() for words in sets]), quantity="P($a$)")
    figure = curve_picture(curve)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["most important first"], curve.most_first)
    np.testing.assert_array_equal(lines["least important first"], curve.least_first)
    assert "P($a$)" in texts_in(to_bytes(figure, "svg"))


def test_characters_that_nothing_shows() -> None:
    """An SVG is well-formed whatever stands in the text, and shows a mark where there is something that it cannot show."""
    odd = "".join(map(chr, [*({*range(0x20)} - {9, 10, 13}), *range(0x7F, 0xA0), 0xD800, 0xFFFE, 0xFFFF]))
    tokens, values = [f"a{character}b" for character in odd], np.linspace(-1, 1, len(odd))
    runs: list[tuple[str, int | None]] = [(token, number) for number, token in enumerate(tokens)]
    maps, parts = attention(2, len(odd)), np.zeros(len(odd), dtype=int)
    curve = deletion_curve(values, lambda sets: np.array([values.sum() - values[words].sum() for words in sets]), quantity=f"P({odd})")
    for figure in (
        coloured_text([[*runs, (odd, None)]], values, odd, odd),
        bar_chart(list(zip(tokens, values, strict=True)), odd),
        heat_map(maps[0], tokens, parts, odd),
        head_grid(maps[:, :9, :9], tokens[:9], parts[:9], odd),
        curve_picture(curve),
    ):
        assert any("\ufffd" in text for text in texts_in(to_bytes(figure, "svg")))
        assert to_bytes(figure, "png").startswith(b"\x89PNG")


def test_the_same_picture_is_the_same_bytes() -> None:
    for kind in ("png", "svg"):
        one, other = (to_bytes(heat_map(attention(1, 5)[0], list("abcde"), np.zeros(5, dtype=int), "t"), kind) for _ in range(2))
        assert one == other


def test_drawing_leaves_no_trace() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_bytes(bar_chart([("a", 1.0)], "t"), "svg")
    assert dict(mpl.rcParams) == before


def test_characters_without_a_font_are_told_in_one_sentence() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = to_bytes(bar_chart([("\U00010a00\U00010a10", 1.0), ("\U00010a00", 0.5)], "t"), "png")
    assert content.startswith(b"\x89PNG")
    (told,) = [str(warning.message) for warning in caught]
    assert told.startswith("no font here draws 2 characters of the text")
