"""`FeatureExtractor`: what a frozen encoder sees in texts, as numbers for another model to learn from."""

import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from jaxtyping import Float, Int

from bertworks.accounting import Accounting
from bertworks.batch import Array, PackedBatch, ragged_positions
from bertworks.checkpoints.hub import resolve
from bertworks.data.sampler import cut_by_tokens
from bertworks.errors import SettingsError, nearest
from bertworks.estimators.rows import text_rows
from bertworks.estimators.stored_task import check_fit
from bertworks.estimators.task_estimator import model_path
from bertworks.inference import LoadedModel, load_model
from bertworks.inference.states import compute_states
from bertworks.nn.machine import Precision, choose
from bertworks.tokenization import Encoding, Overflow, Tokenizer
from bertworks.tokenization.encoding import best_places

Combine = Literal["concat", "sum", "mean"]
Pool = Literal["mean", "cls", "max"]
_TEXTS_AT_ONCE = 512
_TEXTS_OF_TOKENS_AT_ONCE = 32
"""Of texts whose tokens' vectors are all given: fewer, since they have hundreds each."""


@dataclass(frozen=True)
class TokenFeatures:
    """The features of a text token by token, special tokens left out; of a token that several windows show, those of the
    window that shows most around it."""

    tokens: list[str]
    """As the vocabulary writes them."""
    offsets: Int[Array, "tokens 2"]
    """The characters of the text that each stands for."""
    vectors: Float[Array, "tokens width"]

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values of each token, as `--json` has them."""
        each = zip(self.tokens, self.offsets.tolist(), self.vectors.tolist(), strict=True)
        return [{"token": token, "start": start, "end": end, "features": vector} for token, (start, end), vector in each]


class FeatureExtractor:
    """Hidden states of a frozen encoder as features (Devlin et al. 2019, section 5.3), and a scikit-learn transformer.

    - `model`: a model folder, a finished run, a hub name, or None for the default encoder; `revision` of a hub name;
    - `layers`: which states, as one number or several: 0 is the embedding, 1 the first layer, -1 the last;
    - `combine`: how several layers become one vector: "concat", "sum" or "mean". The paper's best were the last four,
      concatenated: `layers=(-4, -3, -2, -1)`;
    - `pooling`: how the tokens of a text become one vector: "mean" and "max" of all, or the first token's, "cls";
    - `overflow`, `max_tokens`, `stride`: of long texts, as in `TextClassifier`; features of windows are merged by their token
      counts (of "max", by the largest);
    - `device`, `precision`, `threads`: the machine.

    Learnt: nothing. `accounting_` is what became of the texts of the last call.

    >>> from bertworks import FeatureExtractor
    >>> FeatureExtractor(layers=(-4, -3, -2, -1)).transform(["A fine day."]).shape
    (1, 1024)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        layers: int | Sequence[int] = -1,
        combine: Combine = "concat",
        pooling: Pool = "mean",
        overflow: Overflow = "window",
        max_tokens: int | None = None,
        stride: int | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.revision = revision
        self.layers = layers
        self.combine = combine
        self.pooling = pooling
        self.overflow = overflow
        self.max_tokens = max_tokens
        self.stride = stride
        self.device = device
        self.precision = precision
        self.threads = threads

    # ---- scikit-learn's conventions

    def fit(self, texts: Any = None, targets: Any = None) -> Self:
        """Loads the encoder; nothing is learnt. Raises `SettingsError` for parameters that make no sense."""
        self._loaded()
        return self

    def fit_transform(self, texts: Iterable[str], targets: Any = None) -> Float[Array, "rows width"]:
        """`fit`, then `transform`."""
        return self.fit(texts, targets).transform(texts)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name (`deep` is scikit-learn's; there is nothing nested here)."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters; raises `SettingsError` for one that does not exist."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise SettingsError(f"FeatureExtractor has no setting '{name}'.{nearest(name, known)}")
            setattr(self, name, value)
        self.__dict__.pop("_kept", None)
        return self

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the features: layer and number in it."""
        loaded, _ = self._loaded()
        numbers, hidden = self._layers(loaded), loaded.model.spec.hidden
        blocks = [f"layer{number}" for number in numbers] if self.combine == "concat" else [self.combine]
        return np.array([f"{block}_{i}" for block in blocks for i in range(hidden)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        utils = sys.modules["sklearn.utils"]
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(),
            input_tags=utils.InputTags(string=True, two_d_array=False),
            requires_fit=False,
        )

    # ---- use

    def transform(self, texts: Iterable[str]) -> Float[Array, "rows width"]:
        """The features of texts, in float32. Raises `DataError` for what is no text, or too long where `overflow` is "error"."""
        parts = list(self.stream(text_rows(texts)))
        width = len(self.get_feature_names_out())
        return np.concatenate(parts) if parts else np.zeros((0, width), dtype=np.float32)

    def stream(self, texts: Iterable[str]) -> Iterator[Float[Array, "some width"]]:
        """The features of any number of texts, some hundreds at a time: memory does not grow with their number."""
        self.accounting_ = Accounting()
        rest, done = iter(texts), 0
        while some := list(islice(rest, _TEXTS_AT_ONCE)):
            yield self._pooled(some, done)
            done += len(some)

    def tokens(self, texts: Iterable[str]) -> list[TokenFeatures]:
        """The features of texts token by token; all are kept in memory (`stream_tokens` gives them one by one).

        Raises `DataError` for what is no text, or too long where `overflow` is "error".
        """
        return list(self.stream_tokens(text_rows(texts)))

    def stream_tokens(self, texts: Iterable[str]) -> Iterator[TokenFeatures]:
        """The features of any number of texts token by token, text for text: memory does not grow with their number. Errors are those
        of `tokens`."""
        self.accounting_ = Accounting()
        rest, done = iter(texts), 0
        while some := list(islice(rest, _TEXTS_OF_TOKENS_AT_ONCE)):
            yield from self._of_tokens(some, done)
            done += len(some)

    def _of_tokens(self, rows: list[str], first_row: int) -> list[TokenFeatures]:
        encoded, batch = self._encode(rows, first_row=first_row)
        states = self._states(batch)
        starts, out, at = batch.offsets.tolist(), [], 0
        for windows in encoded:
            places = [(windows[number], place, starts[at + number] + place) for number, place in best_places(windows)]
            at += len(windows)
            spans = np.array([window.offsets[place] for window, place, _ in places], dtype=np.int64).reshape(-1, 2)
            tokens = [window.tokens[place] for window, place, _ in places]
            out.append(TokenFeatures(tokens, spans, states[[token for _, _, token in places]]))
        return out

    # ---- inside

    def _loaded(self) -> tuple[LoadedModel, Tokenizer]:
        if "_kept" not in self.__dict__:
            for name, choices in (("combine", Combine), ("pooling", Pool)):
                if getattr(self, name) not in get_args(choices):
                    hint = nearest(str(getattr(self, name)), get_args(choices))
                    raise SettingsError(f"{name} is one of {', '.join(get_args(choices))}, not {getattr(self, name)!r}.{hint}")
            folder = model_path(resolve(self.model, revision=self.revision))
            loaded, tokenizer = load_model(folder), Tokenizer.load(folder)
            check_fit(folder, loaded, tokenizer)
            self._layers(loaded)
            self._kept = loaded, tokenizer, choose(self.device, self.precision, threads=self.threads, training=False)
        return self._kept[:2]

    def _layers(self, loaded: LoadedModel) -> list[int]:
        """Numbers of the states, 0 being the embedding."""
        count = len(loaded.model.spec.layers) + 1
        numbers = [self.layers] if isinstance(self.layers, int) else list(self.layers)
        wrong = [number for number in numbers if isinstance(number, bool) or not isinstance(number, int) or not -count <= number < count]
        if wrong or not numbers:
            what = f"layer {wrong[0]!r} does not exist" if wrong else "no layer is named"
            raise SettingsError(f"{what}: layers go from 0, the embedding, to {count - 1}, or from -1, the last, to {-count}")
        return [number % count for number in numbers]

    def _encode(self, rows: list[str], *, first_row: int) -> tuple[list[list[Encoding]], PackedBatch]:
        loaded, tokenizer = self._loaded()
        limit = loaded.model.spec.max_tokens
        max_tokens = limit if self.max_tokens is None else self.max_tokens
        if not 0 < max_tokens <= limit:
            raise SettingsError(f"max_tokens is {self.max_tokens}, but the model reads from 1 to {limit} tokens at once")
        encoded = tokenizer.encode_batch(rows, max_tokens=max_tokens, overflow=self.overflow, stride=self.stride, first_row=first_row)
        windows = [window for row in encoded for window in row]
        groups = np.repeat(np.arange(len(rows)), [len(row) for row in encoded])
        batch = PackedBatch.from_sequences([w.ids for w in windows], [w.segment_ids for w in windows], groups=groups)
        seen = Accounting(rows=len(rows), sequences=len(windows), tokens=batch.tokens)
        seen.windowed_rows = sum(len(row) > 1 for row in encoded)
        seen.truncated_rows = sum(row[0].truncated_tokens > 0 for row in encoded)
        seen.truncated_tokens = sum(row[0].truncated_tokens for row in encoded)
        seen.unknown_tokens = sum(window.unknown_tokens for window in windows)
        self.accounting_ += seen
        return encoded, batch

    def _states(self, batch: PackedBatch) -> Float[Array, "tokens width"]:
        """The layers asked for of every token, combined."""
        loaded, machine = self._loaded()[0], self._kept[2]
        numbers = self._layers(loaded)
        model = loaded.model.to(machine.torch_device).compute_in(machine.dtype)
        width = model.spec.hidden * (len(numbers) if self.combine == "concat" else 1)
        out = np.zeros((batch.tokens, width), dtype=np.float32)
        for part in cut_by_tokens(batch.lengths, machine.token_budget):
            states = compute_states(model, batch.take(part), device=machine.torch_device, hidden_states=True).hidden_states
            chosen = [states[number] for number in numbers]
            lengths = batch.lengths[part]
            rows = np.repeat(batch.offsets[part], lengths) + ragged_positions(lengths)
            out[rows] = np.concatenate(chosen, axis=1) if self.combine == "concat" else np.sum(chosen, axis=0)
        return out / np.float32(len(numbers)) if self.combine == "mean" else out

    def _pooled(self, rows: list[str], first_row: int) -> Float[Array, "rows width"]:
        _, batch = self._encode(rows, first_row=first_row)
        if not rows:
            return np.zeros((0, len(self.get_feature_names_out())), dtype=np.float32)
        states = self._states(batch)
        begins = np.flatnonzero(np.diff(batch.groups, prepend=-1))  # the first window of each text
        tokens = np.add.reduceat(batch.lengths, begins).astype(np.float32)[:, None]
        if self.pooling == "max":
            return np.maximum.reduceat(states, batch.offsets[begins], axis=0)
        if self.pooling == "cls":
            weighted = states[batch.offsets[:-1]] * batch.lengths[:, None]
            return (np.add.reduceat(weighted, begins, axis=0) / tokens).astype(np.float32)
        return np.add.reduceat(states, batch.offsets[begins], axis=0) / tokens
