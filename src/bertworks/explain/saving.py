"""An explanation as a file, or on the screen."""

import io
import json
import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from bertworks.checkpoints.atomic import atomic_write
from bertworks.errors import SettingsError, nearest
from bertworks.explain.page import page
from bertworks.explain.question import Kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bertworks.explain.explanation import Explanation

SUFFIXES = (".html", ".png", ".svg", ".json", ".npz")


def save(explanation: "Explanation", path: Path, kind: Kind | None, layer: int | None, head: int | None) -> Path:
    """See `Explanation.save`."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingsError(f"'{path}': the suffix decides what is written; choose one of {', '.join(SUFFIXES)}")
    chosen = resolved_kind(explanation, kind, layer, head, picture=suffix in (".png", ".svg"))
    if suffix == ".html":
        content = page(explanation, chosen, layer, head).encode()
    elif suffix == ".json":
        content = json.dumps(explanation.to_dict(chosen, layer=layer, head=head), ensure_ascii=False, indent=1).encode()
    elif suffix == ".npz":
        content = _arrays(explanation, chosen, layer, head)
    else:
        from bertworks.explain.pictures.figure import to_bytes

        content = to_bytes(picture(explanation, chosen, layer, head), suffix[1:])
    atomic_write(path, content)
    return path


def resolved_kind(explanation: "Explanation", kind: Kind | None, layer: int | None, head: int | None, *, picture: bool) -> Kind:
    """What is meant where no kind is named. Raises `SettingsError` for one that is unknown or cannot be had."""
    if kind is not None and kind not in get_args(Kind):
        raise SettingsError(f"there is no kind '{kind}': choose {', '.join(get_args(Kind))}.{nearest(kind, get_args(Kind))}")
    explanation.require_map(layer, head)
    if kind in ("attribution", "faithfulness", "rollout") and (layer is not None or head is not None):
        raise SettingsError(f"{kind} has no layer and no head: leave out layer and head (--layer, --head), or choose attention or cls")
    bare = explanation.answer is None
    if kind is None:
        if not picture:
            return "all"
        return "attention" if bare or layer is not None or head is not None else "attribution"
    if bare and kind in ("attribution", "faithfulness"):
        raise SettingsError(f"{explanation.no_answer.reason}, so there is no {kind}: choose attention, cls or rollout")
    if picture and kind == "all":
        raise SettingsError(
            "a picture shows one thing: choose attribution, faithfulness, attention, cls or rollout, or write a page (.html)"
        )
    return kind


def picture(explanation: "Explanation", kind: Kind, layer: int | None, head: int | None) -> "Figure":
    """The picture of one kind."""
    from bertworks.explain.pictures import curves, maps, words

    tokens, parts = explanation.tokens, explanation.parts_of(explanation.window)
    number = explanation.layers - 1 if layer is None else layer
    place = f"layer {number}" if head is None else f"layer {number}, head {head}"
    window = f" · {named(explanation, explanation.window)}" if explanation.windows > 1 else ""
    if kind == "attribution":
        found = explanation.attributions
        notes = ". ".join([found.check, *([found.warning] if found.warning else [])])
        return words.coloured_text(explanation.runs, found.words, f"what speaks for {found.target}, and against", notes)
    if kind == "faithfulness":
        return curves.curve_picture(explanation.faithfulness)
    if kind == "rollout":
        return maps.heat_map(explanation.rollout(), tokens, parts, f"attention rollout through {explanation.layers} layers{window}")
    if kind == "cls":
        classified = tokens[-1 if explanation.classified_by_last else 0]
        mean = "" if head is not None else ", mean of all heads"
        return words.bar_chart(explanation.cls_attention(layer, head), f"what {classified} attends to · {place}{mean}{window}")
    if head is None:
        return maps.head_grid(explanation.heads(layer), tokens, parts, f"attention · {place}, all heads{window}")
    return maps.heat_map(explanation.attention(layer, head), tokens, parts, f"attention · {place}{window}")


def show(explanation: "Explanation") -> Path | None:
    """See `Explanation.show`."""
    notebook = sys.modules.get("IPython")
    shell = notebook.get_ipython() if notebook is not None else None
    if type(shell).__name__ == "ZMQInteractiveShell":
        sys.modules["IPython.display"].display(explanation)
        return None
    path = save(explanation, Path(tempfile.mkdtemp(prefix="bertworks-")) / "explanation.html", None, None, None)
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(path.as_uri())
    return path


def named(explanation: "Explanation", window: int) -> str:
    """What a window is called where there are several."""
    text, number = explanation.text_of(window), f"window {window} of {explanation.windows}"
    return number if text is None else f"{explanation.names[text]} ({number})"


def _arrays(explanation: "Explanation", kind: Kind, layer: int | None, head: int | None) -> bytes:
    """Arrays by name; texts as arrays of characters, so that no pickle is needed to read them."""
    words = explanation.words
    arrays: dict[str, Any] = {
        "words": np.array([word.text for word in words]),
        "word_spans": np.array([[word.part, word.start, word.end] for word in words]),
    }
    if explanation.answer is not None:
        arrays["labels"] = np.array(list(explanation.answer.probabilities))
        arrays["probabilities"] = np.array(list(explanation.answer.probabilities.values()))
        if kind in ("all", "attribution", "faithfulness"):
            arrays["attributions"] = explanation.attributions.words
        if kind in ("all", "faithfulness"):
            curve = explanation.faithfulness
            arrays |= {"removed_words": curve.removed, "most_important_first": curve.most_first}
            arrays |= {"least_important_first": curve.least_first, "random_orders": curve.random}
    for window in explanation.shown:
        prefix = "" if window == explanation.window else f"{explanation.names[explanation.text_of(window) or 0]} ".replace(" ", "_")
        arrays |= {prefix + name: values for name, values in _attention(explanation, kind, layer, head, window).items()}
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _attention(explanation: "Explanation", kind: Kind, layer: int | None, head: int | None, window: int) -> dict[str, Any]:
    """What there is to say of a window."""
    arrays: dict[str, Any] = {"tokens": np.array(explanation.tokens_of(window)), "parts": explanation.parts_of(window)}
    at: dict[str, int] = {"window": window}
    if kind in ("all", "attention"):
        numbers = range(explanation.layers) if layer is None else [layer]
        arrays |= {f"attention_{n}": explanation.heads(n, **at) if head is None else explanation.attention(n, head, **at) for n in numbers}
    if kind == "cls":
        arrays["cls_attention"] = np.array([value for _, value in explanation.cls_attention(layer, head, **at)])
    if kind in ("all", "rollout"):
        arrays["rollout"] = explanation.rollout(**at)
    return arrays
