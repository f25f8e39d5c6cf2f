"""From a model folder to the vectors of texts: all at once, or chunk by chunk."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from jaxtyping import Float, Shaped

from bertworks.accounting import Accounting
from bertworks.architectures import read_description
from bertworks.batch import Array
from bertworks.checkpoints.hub import resolve
from bertworks.checkpoints.sentence_layout import ACTIVATIONS, SentenceLayout, has_layout, read_layout
from bertworks.errors import SettingsError, nearest
from bertworks.estimators.embeddings import folder as folders
from bertworks.estimators.embeddings.quantization import feature_ranges, to_bits, to_int8
from bertworks.estimators.stored_task import check_fit
from bertworks.estimators.task_estimator import TaskEstimator, model_path
from bertworks.inference import LoadedModel
from bertworks.inference.vector_models import load_vector_model
from bertworks.nn.machine import Precision, choose
from bertworks.spec import Activation, DenseStage, Pooling, UnitStage, VectorSpec
from bertworks.tasks.embedding import HEAD, SentenceEmbedding
from bertworks.tasks.embedding_objective import ObjectiveName
from bertworks.tokenization import Overflow, Tokenizer

VectorDtype = Literal["float32", "float16", "int8", "binary"]
Vectors = Shaped[Array, "rows features"]
_TEXTS_AT_ONCE = 2048


class VectorEncoder(TaskEstimator):
    """What of a `SentenceEncoder` makes vectors."""

    settings_table = "embeddings"
    _write_model = staticmethod(folders.write_model)
    _read_model = staticmethod(folders.read_model)

    overflow: Overflow | None  # type: ignore[assignment]
    objective: ObjectiveName | None
    pooling: Pooling | Sequence[Pooling] | None
    layers_from: int | None
    dense: int | None
    activation: Activation | Literal["identity"] | None
    normalize: bool | None
    prompt: str | None
    dimensions: int | None
    device: str
    precision: Precision
    token_budget: int | None
    threads: int | None
    seed: int
    _wanted_width: int | None = None
    """Features that vectors are to have, where nothing says how they come to them: those of a teacher."""
    _added: tuple[str, ...] = ()
    """What was added to the model for their sake, in lines."""

    # ---- the model

    def _ready(self) -> SentenceEmbedding:
        """The task, of the model as it was trained or, where there is nothing to be trained, as it is."""
        if getattr(self, "task_", None) is None and self.objective is None:
            self._adopt_as_it_is()
        task: SentenceEmbedding = self._require("task_")
        return task

    def _adopt_as_it_is(self) -> None:
        """Takes the model as its folder has it, with what the parameters change of it."""
        if self.new_tokens:
            raise SettingsError("new_tokens have to be learnt: choose an objective, or leave them out")
        folder = self._folder()
        task, loaded = self._read(folder, seed=self.seed)
        tokenizer = Tokenizer.load(folder)
        check_fit(folder, loaded, tokenizer, task)
        self._adopt(loaded, tokenizer, task, choose(self.device, self.precision, self.token_budget, self.threads, training=False))

    def _folder(self) -> Path:
        path = resolve(self.model, revision=self.revision)
        return model_path(path)

    def _read(self, folder: Path, **options: Any) -> tuple[SentenceEmbedding, LoadedModel]:
        if self.overflow is not None and self.overflow not in get_args(Overflow):
            known = get_args(Overflow)
            raise SettingsError(f"overflow must be one of {', '.join(known)}, not {self.overflow!r}.{nearest(str(self.overflow), known)}")
        stored = read_layout(folder) if has_layout(folder) else SentenceLayout()
        spec = read_description(folder)[2]
        hidden = spec.hidden
        layout, new = self._changed(stored, hidden, len(spec.layers))
        changed, layout = layout, _of_width(layout, hidden, self._wanted_width)
        added = f"a linear layer is added: from {changed.spec.width(hidden)} features to the teacher's {self._wanted_width}"
        self._added = () if layout is changed else (added,)
        limit = spec.max_tokens
        task = folders.with_layout(folders.stored_settings(folder), layout, limit)
        given: dict[str, Any] = {"overflow": self.overflow, "stride": self.stride}
        task = replace(task, **{name: value for name, value in given.items() if value is not None})
        task = replace(task, max_tokens=task.max_tokens if self.max_tokens is None else self._limited(limit))
        loaded = load_vector_model(folder, HEAD, layout, new=new, **options)
        return task, loaded

    def _changed(self, stored: SentenceLayout, hidden: int, layers: int) -> tuple[SentenceLayout, bool]:
        """The layout with what the parameters say of it, and whether its modules start anew."""
        stages = stored.spec.stages
        if self.normalize is not None and self.normalize != stored.spec.is_unit:
            kept = stages[:-1] if stored.spec.is_unit else (*stages, UnitStage())
            names = stored.folders[:-1] if stored.spec.is_unit else (*stored.folders, "")
            stored = replace(stored, spec=replace(stored.spec, stages=kept), folders=names)
        if self.pooling is None and self.layers_from is None and self.dense is None:
            return stored, False
        chosen = (self.pooling,) if isinstance(self.pooling, str) else tuple(self.pooling or stored.spec.pooling)
        known = get_args(Pooling)
        wrong = [name for name in chosen if name not in known]
        if wrong or not chosen:
            hint = nearest(str(wrong[0]), known) if wrong else ""
            raise SettingsError(f"pooling must be one or several of {', '.join(known)}, not {self.pooling!r}.{hint}")
        if self.dense is not None and not (isinstance(self.dense, int) and self.dense > 0):
            raise SettingsError(f"dense is the width of a layer, a whole number above 0, not {self.dense!r}")
        if self.layers_from is not None and not (isinstance(self.layers_from, int) and 0 <= self.layers_from <= layers):
            raise SettingsError(f"layers_from is a layer from 0, the embedding, to {layers}, the last, not {self.layers_from!r}")
        dense = () if self.dense is None else (DenseStage(hidden * len(chosen), self.dense, self._activation()),)
        unit = (UnitStage(),) if stored.spec.is_unit else ()
        spec = VectorSpec(chosen, self.layers_from, stored.spec.pools_prompt, (*dense, *unit))
        return replace(stored, spec=spec, folders=("",) * len(spec.stages), layers_folder=None, layers=None), True

    def _activation(self) -> Activation | None:
        """That of the dense layer; None is the identity."""
        if self.activation in (None, "identity"):
            return None
        known = [*(name for name in ACTIVATIONS.values() if name is not None), "identity"]
        if self.activation not in known:
            hint = nearest(str(self.activation), known)
            raise SettingsError(f"activation must be one of {', '.join(known)}, not {self.activation!r}.{hint}")
        return self.activation  # type: ignore[return-value]

    @property
    def width(self) -> int:
        """Features of a vector."""
        self._ready()
        return folders.vector_spec(self.loaded_).width(self.loaded_.model.spec.hidden)

    # ---- vectors

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        prompt: str | None = None,
        dtype: VectorDtype = "float32",
        dimensions: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """The vectors of texts, `[texts, features]`; of one text, `[features]`.

        `prompt` is the name of a prompt of the model, or a text, that is put before each text; None is the model's default
        prompt, if it has one. `dimensions` keeps so many features from the first on (of models trained for that: Kusupati et
        al. 2022), and gives vectors of length 1 again where the whole have it. `dtype` "int8" needs `calibrate` first, and
        "binary" gives bytes of eight signs each (`quantization.py`). `progress` is called with the number of texts done.

        Raises `DataError` for texts that are none, or too long where `overflow` is "error".
        """
        return self.encode_with_accounting(texts, prompt=prompt, dtype=dtype, dimensions=dimensions, progress=progress)[0]

    def encode_with_accounting(self, texts: str | Iterable[str], **options: Any) -> tuple[Vectors, Accounting]:
        """What `encode` gives, and what became of the texts: how many were read in windows, or not wholly."""
        if isinstance(texts, str):
            vectors, seen = self.encode_with_accounting([texts], **options)
            return vectors[0], seen
        seen, done = Accounting(), 0
        parts: list[Array] = []
        whole: Array | None = None
        count = len(texts) if isinstance(texts, Sized) else None  # then there is one copy of the vectors, not two
        for part, of_part in self.encode_stream(texts, **options):
            seen += of_part
            if count is None:
                parts.append(part)
                continue
            whole = np.empty((count, *part.shape[1:]), dtype=part.dtype) if whole is None else whole
            whole[done : done + len(part)] = part
            done += len(part)
        if whole is not None:
            return whole, seen
        return (np.concatenate(parts) if parts else self._no_vectors(**options)), seen

    def _no_vectors(self, *, dtype: VectorDtype = "float32", dimensions: int | None = None, **options: Any) -> Vectors:
        size = self._size(dimensions)
        kinds: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "binary": np.uint8}
        return np.zeros((0, -(-size // 8) if dtype == "binary" else size), dtype=kinds[dtype])

    def encode_stream(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = None,
        dtype: VectorDtype = "float32",
        dimensions: int | None = None,
        progress: Callable[[int], None] | None = None,
        chunk: int = _TEXTS_AT_ONCE,
        first_row: int = 0,
    ) -> Iterator[tuple[Vectors, Accounting]]:
        """Vectors as the texts come, `chunk` of them at a time, each with what became of its texts: memory does not grow with
        their number. The options are those of `encode`; `first_row` is the number of the first text in messages."""
        task = self._ready()
        size = self._size(dimensions)
        if dtype not in get_args(VectorDtype):
            raise SettingsError(
                f"dtype must be one of {', '.join(get_args(VectorDtype))}, not {dtype!r}.{nearest(str(dtype), get_args(VectorDtype))}"
            )
        if dtype == "int8":
            self._ranges(size)
        if chunk < 1:
            raise SettingsError(f"chunk is a number of texts, at least 1, not {chunk}")
        return self._chunks(
            task, iter(texts), task.prompt(self.prompt if prompt is None else prompt), dtype, size, progress, chunk, first_row
        )

    def _chunks(
        self,
        task: SentenceEmbedding,
        texts: Iterator[str],
        prompt: str,
        dtype: VectorDtype,
        size: int,
        progress: Callable[[int], None] | None,
        chunk: int,
        first_row: int,
    ) -> Iterator[tuple[Vectors, Accounting]]:
        done = 0
        while some := list(islice(texts, chunk)):
            batch, seen = task.encode(some, self.tokenizer_, prompt, first_row=first_row + done)
            vectors = task.cut(task.vectors(self._scores(batch)[HEAD], batch), size)
            done += len(some)
            yield self._stored(vectors, dtype), seen
            if progress is not None:
                progress(len(some))

    def _stored(self, vectors: Float[Array, "rows width"], dtype: VectorDtype) -> Vectors:
        if dtype == "int8":
            return to_int8(vectors, *self._ranges(vectors.shape[1]))
        return to_bits(vectors) if dtype == "binary" else vectors.astype(dtype)

    def _size(self, dimensions: int | None) -> int:
        wanted = self.dimensions if dimensions is None else dimensions
        if wanted is not None and not (isinstance(wanted, int) and 1 <= wanted <= self.width):
            raise SettingsError(f"dimensions must be a whole number from 1 to {self.width}, the vectors' own, not {wanted!r}")
        return wanted or self.width

    def calibrate(self, texts: Iterable[str], *, prompt: str | None = None, dimensions: int | None = None) -> Self:
        """Takes the range of each feature, that int8 divides, from the vectors of a sample of texts; saved with the model."""
        return self.use_ranges(*feature_ranges(self.encode(list(texts), prompt=prompt, dimensions=dimensions)))

    def use_ranges(self, lows: Float[Array, "width"], highs: Float[Array, "width"]) -> Self:
        """Takes the range of each feature as it was measured before."""
        self._ready()
        self.task_ = replace(self.task_, lows=tuple(map(float, lows)), highs=tuple(map(float, highs)))
        return self

    @property
    def is_calibrated(self) -> bool:
        """Whether the ranges are known that int8 needs."""
        return self._ready().lows is not None

    @property
    def ranges(self) -> tuple[Float[Array, "width"], Float[Array, "width"]]:
        """The lowest and the highest value of each feature, as `calibrate` found them. Raises `SettingsError` where it did not."""
        return self._ranges(len(self._ready().lows or ()))

    def _ranges(self, size: int) -> tuple[Float[Array, "width"], Float[Array, "width"]]:
        lows, highs = self.task_.lows, self.task_.highs
        if lows is None or highs is None or len(lows) != size:
            have = "has no ranges" if lows is None else f"was calibrated for {len(lows)} features, not {size}"
            raise SettingsError(f"int8 vectors need each feature's range, but the encoder {have}: call calibrate(sample of texts) first")
        return np.array(lows, dtype=np.float32), np.array(highs, dtype=np.float32)


def _of_width(layout: SentenceLayout, hidden: int, width: int | None) -> SentenceLayout:
    """The layout whose vectors have so many features: by a linear layer before what gives them the length 1, where they have others."""
    spec = layout.spec
    if width is None or spec.width(hidden) == width:
        return layout
    place = max(number for number, stage in enumerate(spec.stages) if isinstance(stage, UnitStage)) if spec.is_unit else len(spec.stages)
    layer = DenseStage(spec.width(hidden), width, None)
    stages = (*spec.stages[:place], layer, *spec.stages[place:])
    names = (*layout.folders[:place], None, *layout.folders[place:])
    return replace(layout, spec=replace(spec, stages=stages), folders=names)
