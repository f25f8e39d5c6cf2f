"""The folder layout of sentence-transformers: which modules follow the encoder, their weights, and how texts are prepared.

`modules.json` lists the modules in order; each but the encoder has a folder of its own (`1_Pooling`, `2_Dense` …).
What the layout can say and bertworks cannot compute is refused by name.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bertworks.checkpoints.files import read_json
from bertworks.checkpoints.json_files import LARGEST_JSON
from bertworks.checkpoints.opening import read_file
from bertworks.errors import CheckpointError
from bertworks.spec import Activation, DenseStage, DropoutStage, NormStage, Pooling, Stage, UnitStage, VectorSpec

MODULES, PREPARATION, ENCODER_SETTINGS = "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"
POOLINGS: dict[str, Pooling] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_length",
    "weightedmean": "position_weighted_mean",
    "lasttoken": "last",
}
"""By the names of the layout, in the order in which several are put side by side."""
POOLING_KEYS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
"""The older keys, a truth value each."""
ACTIVATIONS: dict[str, Activation | None] = {
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.SiLU": "silu",
    "torch.nn.modules.linear.Identity": None,
}
_SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
_VECTOR = "sentence_embedding"
COPY = "copy or download the model again"


@dataclass(frozen=True)
class SentenceLayout:
    """What the files say."""

    spec: VectorSpec = field(default_factory=VectorSpec)
    folders: tuple[str | None, ...] = ()
    """The folder of each stage; None for one that starts anew."""
    layers_folder: str | None = None
    """The folder of the weights of layers."""
    widths: tuple[int, ...] = ()
    """Features that the pooling says it takes; empty where it does not say."""
    layers: int | None = None
    """Layers that the weighting of layers says the encoder has."""
    max_tokens: int | None = None
    lower_case: bool = False
    prompts: tuple[tuple[str, str], ...] = ()
    default_prompt: str | None = None
    similarity: str = "cosine"


def has_layout(folder: Path) -> bool:
    """Whether a model folder is in sentence-transformers' layout, and not that of one of its classifiers of pairs."""
    if not os.path.lexists(folder / MODULES):
        return False
    return not os.path.lexists(folder / PREPARATION) or read_json(folder / PREPARATION).get("model_type") != "CrossEncoder"


def read_layout(folder: Path) -> SentenceLayout:
    """The modules and settings of a folder in the layout. Raises `CheckpointError` where a file is damaged, or asks for what
    bertworks cannot compute."""
    layout = SentenceLayout()
    seen: list[str] = []
    for kind, path in _modules(folder):
        layout = _READERS[kind](folder, path, layout, seen)
        seen.append(kind)
    if "Pooling" not in seen:
        raise CheckpointError(f"{folder / MODULES} has no Pooling: it gives no vector for a text; known modules: {', '.join(_READERS)}")
    return _with_preparation(folder, layout)


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Kinds and folders of the modules, in order."""
    path = folder / MODULES
    try:
        found = json.loads(read_file(path, LARGEST_JSON).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON text that can be read ({error}); {COPY}") from error
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise CheckpointError(f"{path} is no list of modules; {COPY}")
    modules = []
    for module in found:
        where, kind = module.get("path"), str(module.get("type"))
        name = kind.rpartition(".")[2]
        if not kind.startswith("sentence_transformers.") or name not in _READERS:
            raise CheckpointError(f"{path}: the module '{kind:.100}' is not one that bertworks can compute; known: {', '.join(_READERS)}")
        plain = isinstance(where, str) and PurePosixPath(where).name == where == PureWindowsPath(where).name and where != ".."
        if where != "" and not plain:
            raise CheckpointError(
                f"{path} names the folder {where!r:.100}, which is no plain name: take the model from a source that you trust"
            )
        if module.get("kwargs"):
            raise CheckpointError(f"{path}: the module '{name}' takes arguments ('kwargs'), which bertworks does not know")
        modules.append((name, str(where)))
    return modules


def _settings(folder: Path, known: Mapping[str, Any], required: bool = True) -> dict[str, Any]:
    """The config.json of a module, whose keys must be `known`, each of the type of its default (None: any)."""
    path = folder / "config.json"
    if not required and not os.path.lexists(path):
        return dict(known)
    found = read_json(path)
    for key, value in found.items():
        if key not in known and value not in (None, False, {}, []):
            raise CheckpointError(f"{path}: bertworks does not know '{key:.60}' = {value!r:.60}; known: {', '.join(known)}")
        default = known.get(key)
        if default is not None and type(value) is not type(default):
            raise CheckpointError(f"{path}: '{key}' is {value!r:.60}, not {_word(default)}; {COPY}")
    return {**known, **{key: value for key, value in found.items() if key in known}}


def _word(value: object) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(type(value), "what it should be")


# ---- one reader for each kind of module


def _transformer(folder: Path, path: str, layout: SentenceLayout, seen: list[str]) -> SentenceLayout:
    if seen:
        raise CheckpointError(f"{folder / MODULES}: the Transformer must be the first module, and the only one of its kind")
    if path:
        raise CheckpointError(
            f"{folder}: its encoder lies in '{path}', as in 2020 and before: load and save it once with a newer sentence-transformers"
        )
    return layout


def _layer_weights(folder: Path, path: str, layout: SentenceLayout, seen: list[str]) -> SentenceLayout:
    _require_before_pooling(folder, "WeightedLayerPooling", seen)
    known = {"embedding_dimension": None, "word_embedding_dimension": None, "layer_start": 4, "num_hidden_layers": 12}
    found = _settings(folder / path, known)
    if read_json(folder / "config.json").get("output_hidden_states") is not True:
        raise CheckpointError(
            f"{folder}: it weighs layers (WeightedLayerPooling), but config.json lacks output_hidden_states: true, without which "
            "sentence-transformers leaves that out. Set it where the weighting is meant, or take the module out of modules.json"
        )
    start, layers = found["layer_start"], found["num_hidden_layers"]
    if not 0 <= start <= layers:
        raise CheckpointError(f"{folder / path / 'config.json'}: layer_start is {start}, but there are layers 0 to {layers}; {COPY}")
    return replace(layout, spec=replace(layout.spec, layers_from=start), layers_folder=path, layers=layers)


def _pooling(folder: Path, path: str, layout: SentenceLayout, seen: list[str]) -> SentenceLayout:
    _require_before_pooling(folder, "Pooling", seen)
    known: dict[str, Any] = {"embedding_dimension": None, "word_embedding_dimension": None, "pooling_mode": None, "include_prompt": True}
    found, file = _settings(folder / path, known | dict.fromkeys(POOLING_KEYS.values(), False)), folder / path / "config.json"
    names = found["pooling_mode"]
    if names is None:
        names = [name for name, key in POOLING_KEYS.items() if found[key]] or ["mean"]
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name in POOLINGS for name in names):
        raise CheckpointError(f"{file}: unknown pooling {names!r:.80}; known: {', '.join(POOLINGS)}")
    width = found["embedding_dimension"] or found["word_embedding_dimension"]
    if width is not None and (type(width) is not int or width < 1):
        raise CheckpointError(f"{file}: embedding_dimension must be a whole number above 0, not {width!r:.60}; {COPY}")
    spec = replace(layout.spec, pooling=tuple(POOLINGS[name] for name in names), pools_prompt=found["include_prompt"])
    return replace(layout, spec=spec, widths=() if width is None else (width,))


def _require_before_pooling(folder: Path, kind: str, seen: list[str]) -> None:
    if "Transformer" not in seen or {"Pooling", kind} & set(seen):
        raise CheckpointError(f"{folder / MODULES}: the module {kind} does not stand where it can be computed; {COPY}")


def _staged(make: Callable[[Path], Stage]) -> Callable[[Path, str, SentenceLayout, list[str]], SentenceLayout]:
    def read(folder: Path, path: str, layout: SentenceLayout, seen: list[str]) -> SentenceLayout:
        if "Pooling" not in seen:
            raise CheckpointError(f"{folder / MODULES}: '{path}' stands before the Pooling, where bertworks cannot compute it")
        stage = make(folder / path)
        return replace(layout, spec=replace(layout.spec, stages=(*layout.spec.stages, stage)), folders=(*layout.folders, path))

    return read


_NAMES = {"module_input_name": _VECTOR, "module_output_name": None}


def _check_names(folder: Path, found: Mapping[str, Any]) -> None:
    for name in _NAMES:
        if found[name] not in (_VECTOR, None):
            raise CheckpointError(f"{folder / 'config.json'}: {name} is '{found[name]!s:.60}', but bertworks changes '{_VECTOR}' alone")


def _dense(folder: Path) -> Stage:
    known = {"in_features": 0, "out_features": 0, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}
    found = _settings(folder, {**known, "use_residual": False, **_NAMES})
    _check_names(folder, found)
    name = found["activation_function"]
    if name not in ACTIVATIONS:
        raise CheckpointError(f"{folder / 'config.json'}: unknown activation '{name:.100}'; known: {', '.join(ACTIVATIONS)}")
    if found["in_features"] < 1 or found["out_features"] < 1:
        raise CheckpointError(f"{folder / 'config.json'}: in_features and out_features must be above 0; {COPY}")
    return DenseStage(found["in_features"], found["out_features"], ACTIVATIONS[name], found["bias"], found["use_residual"])


def _norm(folder: Path) -> Stage:
    return NormStage(_settings(folder, {"dimension": 0})["dimension"])


def _dropout(folder: Path) -> Stage:
    probability = _settings(folder, {"dropout": None})["dropout"]
    if not isinstance(probability, int | float) or not 0 <= probability < 1:
        raise CheckpointError(f"{folder / 'config.json'}: dropout must be at least 0 and below 1, not {probability!r:.60}; {COPY}")
    return DropoutStage(float(probability))


def _unit(folder: Path) -> Stage:
    _check_names(folder, _settings(folder, _NAMES, required=False))
    return UnitStage()


_READERS: dict[str, Callable[[Path, str, SentenceLayout, list[str]], SentenceLayout]] = {
    "Transformer": _transformer,
    "WeightedLayerPooling": _layer_weights,
    "Pooling": _pooling,
    "Dense": _staged(_dense),
    "LayerNorm": _staged(_norm),
    "Dropout": _staged(_dropout),
    "Normalize": _staged(_unit),
}


# ---- how texts are prepared

_ENCODER_KEYS = ("max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name")
_TEXT_ONLY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}


def _with_preparation(folder: Path, layout: SentenceLayout) -> SentenceLayout:
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("sentence_*_config.json"))[:1]:
        found = read_json(path)
        usual = {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings", "modality_config": _TEXT_ONLY}
        for key, value in found.items():
            known = key in _ENCODER_KEYS and value == usual.get(key, value)
            if not known and value not in (None, False, {}, []):
                raise CheckpointError(f"{path}: bertworks does not know '{key:.60}' = {value!r:.100}")
    limit = found.get("max_seq_length")
    if limit is None:
        limit = _tokenizer_limit(folder)
    if limit is not None and (type(limit) is not int or limit < 1):
        raise CheckpointError(f"{folder}: max_seq_length must be a whole number above 0, not {limit!r:.60}; {COPY}")
    about = read_json(folder / PREPARATION) if os.path.lexists(folder / PREPARATION) else {}
    if about.get("model_type") not in (None, "SentenceTransformer"):
        raise CheckpointError(
            f"{folder / PREPARATION}: it is a {about['model_type']!s:.60}, not a model that gives one vector for each text"
        )
    prompts = about.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise CheckpointError(f"{folder / PREPARATION}: 'prompts' must give each name a text; {COPY}")
    default, similarity = about.get("default_prompt_name"), about.get("similarity_fn_name") or "cosine"
    if default is not None and default not in prompts:
        raise CheckpointError(
            f"{folder / PREPARATION}: there is no prompt '{default!s:.60}'; it has {', '.join(prompts) or 'none'}; {COPY}"
        )
    if similarity not in _SIMILARITIES:
        raise CheckpointError(f"{folder / PREPARATION}: unknown similarity '{similarity!s:.60}'; known: {', '.join(_SIMILARITIES)}")
    return replace(
        layout,
        max_tokens=limit,
        lower_case=found.get("do_lower_case") is True,
        prompts=tuple((name, text or "") for name, text in prompts.items()),
        default_prompt=default,
        similarity=similarity,
    )


def _tokenizer_limit(folder: Path) -> int | None:
    """`model_max_length` of the tokenizer, where it is a real one (1e30 stands for none)."""
    path = folder / "tokenizer_config.json"
    limit = read_json(path).get("model_max_length") if os.path.lexists(path) else None
    return int(limit) if isinstance(limit, int | float) and 0 < limit < 1e9 else None
