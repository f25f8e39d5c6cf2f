"""An explanation as plain values that JSON can hold."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bertworks.batch import Array
from bertworks.explain.deletion import DeletionCurve
from bertworks.explain.question import Kind

if TYPE_CHECKING:
    from bertworks.explain.explanation import Explanation

_DIGITS = 6


def to_dict(explanation: "Explanation", kind: Kind, layer: int | None, head: int | None) -> dict[str, Any]:
    """What was read and answered, then what `kind` names; the attention maps themselves only where it names them. Where two texts
    are read apart, and no window was chosen, `attention` is a list with an entry for each text."""
    out: dict[str, Any] = {"texts": list(explanation.texts), "windows": explanation.windows}
    if explanation.truncated_tokens:
        out["truncated_tokens"] = explanation.truncated_tokens
    if explanation.answer is not None:
        out |= {
            "prediction": explanation.answer.prediction,
            "probabilities": explanation.answer.probabilities,
            "target": explanation.target,
        }
    out["words"] = [vars(word) for word in explanation.words]
    if explanation.answer is not None and kind in ("all", "attribution", "faithfulness"):
        out["attribution"] = _attribution(explanation)
    if explanation.answer is not None and kind in ("all", "faithfulness"):
        out["faithfulness"] = _curve(explanation.faithfulness)
    if kind in ("all", "cls", "attention", "rollout"):
        maps = [_attention(explanation, kind, layer, head, window) for window in explanation.shown]
        out["attention"] = maps[0] if len(maps) == 1 else maps
    return out


def _attribution(explanation: "Explanation") -> dict[str, Any]:
    found = explanation.attributions
    out: dict[str, Any] = {"of": found.score, "words": rounded(found.words), "baseline": found.baseline}
    out |= {"score": found.tokens.score, "baseline_score": found.tokens.baseline_score}
    out |= {"points": found.tokens.points, "relative_error": found.tokens.error}
    return out if found.warning is None else {**out, "warning": found.warning}


def _curve(curve: DeletionCurve) -> dict[str, Any]:
    return {
        "quantity": curve.quantity,
        "removed_words": curve.removed.tolist(),
        "most_important_first": rounded(curve.most_first),
        "least_important_first": rounded(curve.least_first),
        "random_orders": rounded(curve.random),
        "comprehensiveness": curve.comprehensiveness,
        "random_comprehensiveness": float(curve.random_comprehensiveness.mean()),
        "random_orders_beaten": curve.beaten,
        "faithful": curve.faithful,
        "sentence": curve.sentence,
    }


def _attention(explanation: "Explanation", kind: Kind, layer: int | None, head: int | None, window: int) -> dict[str, Any]:
    text = explanation.text_of(window)
    out: dict[str, Any] = {"window": window, **({} if text is None else {"text": text}), "tokens": explanation.tokens_of(window)}
    if kind == "rollout":
        out["rollout"] = rounded(explanation.rollout(window=window))
    else:
        out |= {"layer": explanation.layers - 1 if layer is None else layer, "head": "mean" if head is None else head}
        if kind == "attention":
            whole = head is None
            maps = explanation.heads(layer, window=window) if whole else explanation.attention(layer, head, window=window)
            out |= {"probabilities": rounded(maps), "head": "all" if whole else head}
        else:
            out["cls"] = [[name, round(value, _DIGITS)] for name, value in explanation.cls_attention(layer, head, window=window)]
    return out | {"largest_deviation": explanation.largest_deviation}


def rounded(values: Array) -> Any:
    """Nested lists of numbers with six digits after the point."""
    return np.round(np.asarray(values, dtype=np.float64), _DIGITS).tolist()
