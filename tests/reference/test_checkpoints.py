"""Model folders go from `transformers` to us and back with the same bits, in every layout that such folders come in."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.checkpoints import open_tensors, write_tensors
from bertworks.errors import CheckpointError
from bertworks.inference import LoadedModel, load_model, save_model
from bertworks.inference.models import resize_vocabulary
from bertworks.nn.inputs import model_inputs
from tests.reference.comparison import CASES, CPU, DifferentError, Reference, compare, forward, make_batch, untied
from tests.reference.families import FAMILY_CASES

Make = Callable[[str], Reference]
Arrays = dict[str, np.ndarray[Any, Any]]


def stored(folder: Path) -> Arrays:
    with open_tensors(folder) as files:
        return {name: files[name].copy() for name in files}


def rewritten(made: Reference, folder: Path, change: Callable[[str], str | None]) -> Path:
    """The folder with its tensors under other names, or left out."""
    folder.mkdir()
    (folder / "config.json").write_bytes((made.folder / "config.json").read_bytes())
    tensors = {new: values for name, values in stored(made.folder).items() if (new := change(name)) is not None}
    write_tensors(folder / "model.safetensors", tensors)
    return folder


def from_folder(made: Reference, folder: Path) -> LoadedModel:
    return load_model(folder, made.case.heads)


def same_bits(a: Mapping[str, np.ndarray[Any, Any]], b: Mapping[str, np.ndarray[Any, Any]]) -> bool:
    return a.keys() == b.keys() and all(a[name].dtype == b[name].dtype and a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("case", [*CASES, *FAMILY_CASES])
def test_there_and_back_gives_the_same_bits(reference: Make, tmp_path: Path, case: str) -> None:
    made = reference(case)
    save_model(tmp_path, made.load())
    assert same_bits(stored(tmp_path), stored(made.folder))
    again = from_folder(made, tmp_path)
    assert same_bits(again.model.arrays(), made.load().model.arrays())


@pytest.mark.parametrize("case", [*CASES, *FAMILY_CASES])
def test_transformers_loads_what_is_saved_here(reference: Make, tmp_path: Path, case: str) -> None:
    import transformers

    made = reference(case)
    loaded = made.load()
    loaded.model.initialize(seed=8)  # weights of our own
    save_model(tmp_path, loaded)
    class_ = getattr(transformers, made.case.class_name)
    theirs, info = class_.from_pretrained(tmp_path, output_loading_info=True, attn_implementation="eager")
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    parameters = untied(loaded, {name: p.detach().numpy() for name, p in theirs.named_parameters(remove_duplicate=False)})
    assert same_bits(loaded.table.save(loaded.model.arrays()), parameters)
    batch = make_batch()
    with torch.no_grad():
        expected = made.case.computed_by(theirs.eval(), batch)
        for name, values in forward(loaded, model_inputs(batch, CPU), batch).items():
            torch.testing.assert_close(values, expected[name], atol=1e-5, rtol=1e-5)


def test_the_saved_config_names_the_class(reference: Make, tmp_path: Path) -> None:
    for case in [*CASES, *FAMILY_CASES]:
        made = reference(case)
        save_model(tmp_path / case, made.load())
        config = json.loads((tmp_path / case / "config.json").read_text())
        assert config["architectures"] == [made.case.class_name]
        assert config["dtype"] == "float32"


@pytest.mark.parametrize(
    ("layout", "change"),
    [
        (
            "gamma and beta",
            lambda name: re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name)),
        ),
        ("without the prefix", lambda name: name.removeprefix("bert.")),
        ("with constants of old versions", lambda name: name),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_old_names(reference: Make, tmp_path: Path, layout: str, change: Callable[[str], str]) -> None:
    made = reference("pretraining")
    folder = rewritten(made, tmp_path / "old", change)
    if "constants" in layout:
        constants = {"bert.embeddings.position_ids": np.arange(40)[None]}
        write_tensors(folder / "model.safetensors", {**stored(folder), **constants})
    else:
        assert stored(folder).keys() != stored(made.folder).keys()
    assert compare(made, from_folder(made, folder))


def test_a_bare_body_with_the_prefix(reference: Make, tmp_path: Path) -> None:
    made = reference("bare")
    assert compare(made, from_folder(made, rewritten(made, tmp_path / "with", lambda name: f"bert.{name}")))


@pytest.mark.parametrize("tied", [True, False])
def test_a_written_decoder_must_be_the_embedding(reference: Make, tmp_path: Path, tied: bool) -> None:
    made = reference("masked_lm")
    tensors = stored(made.folder)
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] + np.float32(0 if tied else 1)
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].copy()
    folder = rewritten(made, tmp_path / "tied", lambda name: name)
    write_tensors(folder / "model.safetensors", tensors)
    if tied:
        assert compare(made, from_folder(made, folder))
    else:
        with pytest.raises(CheckpointError, match=r"not tied .*decoder\.weight"):
            from_folder(made, folder)


@pytest.mark.parametrize("case", ["masked_lm", "pretraining", "roberta masked_lm", "distilbert masked_lm", "electra-generator masked_lm"])
def test_a_decoder_that_equals_the_embedding_is_saved_as_tied(reference: Make, tmp_path: Path, case: str) -> None:
    """A folder whose config.json says that the two are not tied, with a decoder that equals the embedding all the same."""
    import transformers

    made = reference(case)
    class_, batch = getattr(transformers, made.case.class_name), make_batch()
    theirs = class_.from_pretrained(made.folder, attn_implementation="eager")
    theirs.config.tie_word_embeddings = False
    theirs.get_output_embeddings().weight = torch.nn.Parameter(theirs.get_input_embeddings().weight.detach().clone())
    theirs.save_pretrained(tmp_path / "untied")
    save_model(tmp_path / "ours", load_model(tmp_path / "untied", made.case.heads))
    again, info = class_.from_pretrained(tmp_path / "ours", output_loading_info=True, attn_implementation="eager")
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    with torch.no_grad():
        before, after = (made.case.computed_by(model.eval(), batch) for model in (theirs, again))
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, atol=0, rtol=0)


def test_shards(reference: Make, tmp_path: Path) -> None:
    made = reference("pretraining")
    folder = rewritten(made, tmp_path / "shards", lambda name: name)
    write_tensors(folder / "model.safetensors", stored(made.folder), max_shard_bytes=60_000)
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert compare(made, from_folder(made, folder))


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_bin(reference: Make, tmp_path: Path, zipped: bool) -> None:
    made = reference("pretraining")
    (tmp_path / "config.json").write_bytes((made.folder / "config.json").read_bytes())
    state = {name: torch.from_numpy(values) for name, values in stored(made.folder).items()}
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert compare(made, from_folder(made, tmp_path))


def test_everything_that_does_not_fit_is_listed_at_once(reference: Make, tmp_path: Path) -> None:
    made = reference("masked_lm")
    tensors = stored(made.folder)
    del tensors["bert.encoder.layer.1.attention.self.key.bias"]
    del tensors["cls.predictions.transform.dense.weight"]
    tensors["bert.embeddings.word_embeddings.weight"] = tensors["bert.embeddings.word_embeddings.weight"][:-1].copy()
    tensors["bert.encoder.layer.3.output.dense.bias"] = np.zeros(60, dtype=np.float32)
    tensors["something.else"] = np.zeros(3, dtype=np.float32)
    folder = rewritten(made, tmp_path / "broken", lambda name: name)
    write_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(CheckpointError) as caught:
        from_folder(made, folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "5 tensors" in message
    for part in [
        r"missing +encoder\.layer\.1\.attention\.self\.key\.bias",
        r"missing +cls\.predictions\.transform\.dense\.weight",
        r"wrong shape embeddings\.word_embeddings\.weight: \[96, 60\] in the file, config.json says \[97, 60\]",
        r"unexpected +encoder\.layer\.3\.output\.dense\.bias \[60\]",
        r"unexpected +something\.else \[3\]",
    ]:
        assert re.search(part, message), part


def test_a_long_list_is_cut_with_its_count(reference: Make, tmp_path: Path) -> None:
    made = reference("bare")
    with pytest.raises(CheckpointError, match=r"and \d+ more"):
        from_folder(made, rewritten(made, tmp_path / "broken", lambda name: name if "layer" not in name else None))


def test_a_head_is_new_only_where_that_was_asked_for(reference: Make) -> None:
    made = reference("masked_lm")
    with pytest.raises(CheckpointError, match="missing"):
        load_model(made.folder, {"label": ("sequence_classification", 3)})
    loaded = load_model(made.folder, {"label": ("sequence_classification", 3)}, new_heads=True, seed=4)
    new = {"heads.label.output.weight", "heads.label.output.bias", "encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}
    assert set(loaded.report.new) == new
    text = str(loaded.report)
    assert re.search(r"loaded (\d+)/\1 tensors", text)
    assert "head of another task" in text
    again = load_model(made.folder, {"label": ("sequence_classification", 3)}, new_heads=True, seed=4)
    other = load_model(made.folder, {"label": ("sequence_classification", 3)}, new_heads=True, seed=5)
    weight = "heads.label.output.weight"
    assert same_bits(loaded.model.arrays(), again.model.arrays())
    assert not np.array_equal(loaded.model.arrays()[weight], other.model.arrays()[weight])
    assert loaded.model.arrays()[weight].std() == pytest.approx(0.02, rel=0.2)
    assert not loaded.model.arrays()["heads.label.output.bias"].any()


def test_a_head_of_another_size_is_new_too(reference: Make) -> None:
    made = reference("sequence_classification")
    with pytest.raises(CheckpointError, match=r"wrong shape classifier\.weight"):
        load_model(made.folder, {"label": ("sequence_classification", 3)})
    loaded = load_model(made.folder, {"label": ("sequence_classification", 3)}, new_heads=True)
    assert set(loaded.report.new) == {"heads.label.output.weight", "heads.label.output.bias"}


def test_a_missing_body_is_never_new(reference: Make, tmp_path: Path) -> None:
    made = reference("bare")
    folder = rewritten(made, tmp_path / "broken", lambda name: None if name.endswith("layer.0.output.dense.weight") else name)
    with pytest.raises(CheckpointError, match=r"1 tensors? .*\n.*layer\.0\.output\.dense\.weight"):
        load_model(folder, {"label": ("sequence_classification", 3)}, new_heads=True)


@pytest.mark.parametrize("size", [110, 90])
@pytest.mark.parametrize(
    "case", ["pretraining", "roberta masked_lm", "distilbert masked_lm", "albert pretraining", "electra-generator masked_lm"]
)
def test_resizing_the_vocabulary(reference: Make, tmp_path: Path, case: str, size: int) -> None:
    import transformers

    made = reference(case)
    loaded = made.load()
    before = loaded.model.arrays()
    resize_vocabulary(loaded, size)
    after = loaded.model.arrays()
    kept = min(size, 97)
    for name, values in after.items():
        if name in ("encoder.embeddings.token.weight", "heads.words.bias"):
            assert len(values) == size
            assert np.array_equal(values[:kept], before[name][:kept])
            for row in values[kept:]:
                np.testing.assert_allclose(row, before[name].mean(axis=0), rtol=1e-5, atol=1e-6)
        else:
            assert np.array_equal(values, before[name]), name
    save_model(tmp_path, loaded)
    theirs, info = getattr(transformers, made.case.class_name).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    batch = make_batch()
    batch = replace(batch, input_ids=np.minimum(batch.input_ids, kept - 1))
    with torch.no_grad():
        expected = made.case.computed_by(theirs.eval(), batch)
        for name, values in forward(loaded, model_inputs(batch, CPU), batch).items():
            torch.testing.assert_close(values, expected[name], atol=1e-4, rtol=1e-4)


def test_another_seed_is_another_model(reference: Make) -> None:
    made = reference("bare")
    loaded = made.load()
    loaded.model.initialize(seed=1)
    with pytest.raises(DifferentError):
        compare(made, loaded)
