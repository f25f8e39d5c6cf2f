"""The page of an explanation: one HTML file that needs no other file and no network.

Attributions and the deletion curve stand in it as text; attention maps are embedded as bytes, and a small script draws
those that are looked at. What can be embedded is limited: see `MOST_BYTES`.
"""

import json
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from bertworks.batch import Array
from bertworks.errors import SettingsError
from bertworks.explain.deletion import DeletionCurve
from bertworks.explain.quantised import quantised
from bertworks.explain.question import Kind

if TYPE_CHECKING:
    from jinja2 import Environment

    from bertworks.explain.explanation import Explanation

MOST_BYTES = 12 << 20
"""Attention values in a page, a byte each (a third more as text). All layers and heads of 64 tokens take less than a
megabyte; of 512 tokens, three layers of twelve heads fit, and the others are left out, which the page says."""
_MOST_BYTES_IN_NOTEBOOKS = 4 << 20
_FRAME_HEIGHT = 720
_MOST_LABELS = 8
_STRONGEST = 10
_CHART = (620, 240, 44, 24)
"""Width, height, and the margins left and right of the curve, in pixels."""


def page(explanation: "Explanation", kind: Kind, layer: int | None, head: int | None, most_bytes: int = MOST_BYTES) -> str:
    """The whole page. Raises `SettingsError` where not even one map of a window fits."""
    asked = explanation.answer is not None
    with_words = asked and kind in ("all", "attribution", "faithfulness")
    curve = explanation.faithfulness if asked and kind in ("all", "faithfulness") else None
    windows = explanation.shown if kind in ("all", "attention", "cls", "rollout") else ()
    viewers = [_viewer(explanation, window, kind, layer, head, most_bytes // len(windows)) for window in windows]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            explanation=explanation,
            answer=_answer(explanation),
            words=_words(explanation) if with_words else None,
            curve=curve,
            chart=None if curve is None else _chart(curve),
            viewers=[(_heading(explanation, window), viewer, _as_script(viewer)) for window, viewer in zip(windows, viewers, strict=True)],
        )
    )


def framed(explanation: "Explanation") -> str:
    """The page in a frame of its own, for notebooks."""
    content = escape(page(explanation, "all", None, None, _MOST_BYTES_IN_NOTEBOOKS), quote=True)
    return f'<iframe srcdoc="{content}" sandbox="allow-scripts" style="width:100%;height:{_FRAME_HEIGHT}px;border:0"></iframe>'


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("bertworks.explain")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)


def _answer(explanation: "Explanation") -> dict[str, Any] | None:
    if explanation.answer is None:
        return None
    said, probabilities = explanation.answer.prediction, explanation.answer.probabilities
    told = ", ".join(map(str, said)) if isinstance(said, tuple | list) else str(said) if probabilities else f"{said:.4g}"
    ranked = sorted(probabilities.items(), key=lambda pair: -pair[1])
    return {"told": told or "no label", "ranked": ranked[:_MOST_LABELS], "more": len(ranked[_MOST_LABELS:])}


def _words(explanation: "Explanation") -> dict[str, Any]:
    """Running texts in runs, each word with its value and its share of the largest; and the strongest words."""
    values = explanation.attributions.words
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    texts = [
        [(run, None, 0.0) if number is None else (run, float(values[number]), float(values[number]) / largest) for run, number in runs]
        for runs in explanation.runs
    ]
    strongest = np.argsort(-np.abs(values), kind="stable")[:_STRONGEST]
    ranked = [(explanation.words[i].text, float(values[i]), float(values[i]) / largest) for i in strongest.tolist()]
    return {"texts": texts, "ranked": ranked, "found": explanation.attributions}


def _chart(curve: DeletionCurve) -> dict[str, Any]:
    """The curve as points of an SVG."""
    width, height, left, right = _CHART
    top, bottom = 12, height - 30
    every = np.concatenate([curve.most_first, curve.least_first, curve.random.ravel()])
    low, high = (0.0, 1.0) if every.min() >= 0 and every.max() <= 1 else (float(every.min()), float(every.max()))
    span = high - low or 1.0
    x = left + (width - left - right) * curve.removed / curve.words

    def points(values: Array, places: Array = x) -> str:
        y = bottom - (bottom - top) * (values - low) / span
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(places, y, strict=True))

    band = points(np.concatenate([curve.random.max(axis=0), curve.random.min(axis=0)[::-1]]), np.concatenate([x, x[::-1]]))
    steps = [low + span * part / 4 for part in range(5)]
    return {
        "size": _CHART,
        "bottom": bottom,
        "rows": [(f"{bottom - (bottom - top) * part / 4:.1f}", f"{step:.2g}") for part, step in enumerate(steps)],
        "columns": [(f"{left + (width - left - right) * share / 100:.1f}", f"{share}") for share in (0, 25, 50, 75, 100)],
        "most": points(curve.most_first),
        "least": points(curve.least_first),
        "random": points(curve.random.mean(axis=0)),
        "band": band,
        "dots": [point.split(",") for point in points(curve.most_first).split()],
    }


def _heading(explanation: "Explanation", window: int) -> str | None:
    """What stands above the maps of a window: of which text, and which of several windows it is."""
    text = explanation.text_of(window)
    names = explanation.names
    if explanation.windows == 1 or len({explanation.text_of(number) for number in range(explanation.windows)}) == explanation.windows:
        return None if text is None else f"The {' with '.join(names[number] for number in explanation.texts_of(window))}."
    where = "the text is" if text is None else "both texts are"
    of = "" if text is None else f" It is of the {names[text]}."
    return f"Window {window} of the {explanation.windows} in which {where} read (0 to {explanation.windows - 1}).{of}"


def _viewer(explanation: "Explanation", window: int, kind: Kind, layer: int | None, head: int | None, most_bytes: int) -> dict[str, Any]:
    """What the script draws: the tokens of a window, and as many of its maps as fit."""
    tokens = explanation.tokens_of(window)
    size = len(tokens) ** 2
    if size > most_bytes:
        raise SettingsError(f"a map of {len(tokens):,} tokens does not fit into a page: save arrays (.npz), or read smaller windows")
    chosen = explanation.layers - 1 if layer is None else layer
    maps: dict[str, Any] = {} if kind in ("attention", "cls") else {"rollout": quantised(explanation.rollout(window=window))}
    first = "rollout" if kind == "rollout" else f"{chosen}.{'mean' if head is None else head}"
    order = [] if kind == "rollout" else [chosen]
    order += [number for number in reversed(range(explanation.layers)) if number != chosen] if order and layer is None else []
    for number in order:
        embedded = _maps(explanation, window, number, head, most_bytes // size - len(maps))
        if not embedded and number != chosen:
            break
        maps |= embedded or {first: quantised(explanation.attention(number, head, window=window))}
    layers = {int(name.split(".")[0]) for name in maps if name != "rollout"}
    return {
        "tokens": tokens,
        "parts": explanation.parts_of(window).tolist(),
        "maps": {name: maps[name] for name in sorted(maps, key=lambda name: [int(x) if x.isdigit() else -1 for x in name.split(".")])},
        "first": first,
        "query": len(tokens) - 1 if explanation.classified_by_last else 0,
        "layers": sorted(layers),
        "left_out": [] if not order or layer is not None else [i for i in range(explanation.layers) if i not in layers],
    }


def _maps(explanation: "Explanation", window: int, layer: int, head: int | None, room: int) -> dict[str, dict[str, float | str]]:
    """One head of a layer, or the mean and all heads; nothing where there is no room for so many maps."""
    if head is not None:
        return {f"{layer}.{head}": quantised(explanation.attention(layer, head, window=window))} if room > 0 else {}
    heads = explanation.heads(layer, window=window)
    if room <= len(heads):
        return {}
    out = {f"{layer}.mean": quantised(heads.mean(axis=0))}
    return out | {f"{layer}.{number}": quantised(values) for number, values in enumerate(heads)}


def _as_script(values: Any) -> str:
    """JSON that can stand in a script element: no character of it can end the element."""
    text = json.dumps(values, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
