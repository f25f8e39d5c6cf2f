"""Pictures and their colours: readable, of any sizes, thinned without a shift."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from bertworks.estimators.reports.blocks import Picture
from bertworks.estimators.reports.charts.confusion import draw_confusion
from bertworks.estimators.reports.charts.drawing import Drawing, render
from bertworks.estimators.reports.charts.lengths import draw_lengths
from bertworks.estimators.reports.charts.training import Curves, Mark, draw_training, thinned
from bertworks.estimators.reports.palettes import DARK, LIGHT, Palette, components, contrast_ratio, readable_ink

PALETTES = [LIGHT, DARK]
MACHADO = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""What is seen of linear RGB with each kind of colour blindness (Machado et al. 2009, table 1, severity 1)."""


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
def test_texts_stand_out(palette: Palette) -> None:
    """At least 4.5 for texts (WCAG 2.2, criterion 1.4.3), on the page and on boxes."""
    for ink, ground in itertools.product(("ink", "muted", "accent", "contrast"), ("surface", "raised")):
        assert contrast_ratio(components(getattr(palette, ink)), components(getattr(palette, ground))) >= 4.5, (ink, ground)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
@pytest.mark.parametrize("blindness", MACHADO)
def test_model_and_baseline_differ_for_everyone(palette: Palette, blindness: str) -> None:
    seen = []
    for colour in (palette.accent, palette.contrast):
        linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in components(colour)])
        mixed = np.clip(np.array(MACHADO[blindness]) @ linear, 0, 1)
        seen.append(np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055))
    assert np.abs(seen[0] - seen[1]).max() > 0.25


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
def test_counts_can_be_read_on_every_shade(palette: Palette, share: float) -> None:
    low, high = np.array(components(palette.raised)), np.array(components(palette.accent))
    ground = tuple(low + share * (high - low))
    assert contrast_ratio(components(readable_ink(ground)), ground) >= 4.5


def test_luminance_is_that_of_the_standard() -> None:
    """Contrasts with white as WCAG's own tools give them."""
    for colour, ratio in (("#767676", 4.54), ("#0000ff", 8.59), ("#ff0000", 4.0)):
        assert contrast_ratio(components(colour), (1, 1, 1)) == pytest.approx(ratio, abs=0.006)


def drawn(picture: Picture, palette: Palette = LIGHT) -> tuple[Drawing, list[str]]:
    """A drawing and its texts."""
    drawing = render(picture, palette)
    return drawing, ["".join(e.itertext()).strip() for e in ElementTree.fromstring(drawing.svg).iter() if e.tag.endswith("}text")]


@pytest.mark.parametrize("labels", [1, 2, 7, 30])
def test_confusion_of_any_size(labels: int) -> None:
    cells = [[100 * i + j for j in range(labels)] for i in range(labels)]
    names = [f"name {i}" for i in range(labels)]
    drawing, texts = drawn(Picture("confusion", "", "", lambda palette: draw_confusion(palette, cells, names)))
    assert [text for text in texts if text.startswith("name")] == names * 2
    assert sorted(text for text in texts if text[0].isdigit()) == sorted(f"{n:,}" for row in cells for n in row if n)
    viewed = [float(number) for number in ElementTree.fromstring(drawing.svg).attrib["viewBox"].split()]
    assert (drawing.width, drawing.height) == pytest.approx((viewed[2] * 96 / 72, viewed[3] * 96 / 72), abs=1)


def test_a_limit_beyond_the_texts_is_pointed_at() -> None:
    lengths = {"edges": [0, 10, 20, 500], "counts": [5, 9, 1], "median": 12, "limit": 128, "unit": "tokens"}
    _, texts = drawn(Picture("lengths", "", "", lambda palette: draw_lengths(palette, lengths)))
    assert {"limit 128 →", "median 12", "up to 500"} <= set(texts)
    assert "30" not in texts, "the last bar has no scale"
    _, texts = drawn(Picture("lengths", "", "", lambda palette: draw_lengths(palette, {**lengths, "limit": 16})))
    assert "limit 16" in texts


@pytest.mark.parametrize("curves", [Curves([(1, 2.0)], [], []), Curves([], [(3, 0.5)], []), Curves([(1, 1.0)], [(9, 0.5)], [(1, 1e-4)])])
@pytest.mark.parametrize("mark", [None, Mark(9, "kept")])
def test_curves_of_few_points(curves: Curves, mark: Mark | None) -> None:
    _, texts = drawn(Picture("training", "", "", lambda palette: draw_training(palette, {"": curves}, "", "accuracy", mark)))
    assert ("training loss" in texts) == bool(curves.loss)
    assert any(text.startswith("kept: step 9") for text in texts) == (mark is not None)


@pytest.mark.parametrize(("points", "most"), [(1000, 100), (101, 100), (777, 10)])
def test_thinning_keeps_means_and_order(points: int, most: int) -> None:
    values = np.random.default_rng(0).normal(size=points)
    thin = thinned([(float(step), float(value)) for step, value in enumerate(values)], most)
    assert len(thin) == most
    steps = [step for step, _ in thin]
    assert steps == sorted(set(steps))
    sizes = np.diff([round(i * points / most) for i in range(most + 1)])
    assert np.average([value for _, value in thin], weights=sizes) == pytest.approx(values.mean())
