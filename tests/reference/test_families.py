"""The other families equal `transformers`, forward and backward, with every head."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.architectures import architecture_of
from bertworks.batch import PackedBatch
from bertworks.checkpoints import open_tensors, write_tensors
from bertworks.checkpoints.table import Table
from bertworks.errors import CheckpointError
from bertworks.inference import LoadedModel, load_model, save_model
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model
from tests.architectures.published import PUBLISHED
from tests.reference.comparison import CPU, Reference, compare, silent
from tests.reference.families import FAMILY_CASES

Make = Callable[[str, str], Reference]
SHOWN_TWICE = [case for case in FAMILY_CASES if case.split()[0] in ("roberta", "distilbert", "albert", "electra-generator")]


PREFIXES = {"roberta": "roberta.", "distilbert": "distilbert.", "albert": "albert.", "electra-generator": "electra."}


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_outputs_and_gradients_are_the_references(reference: Make, case: str) -> None:
    made = reference(case, "gelu")
    assert compare(made, made.load())


@pytest.mark.parametrize("case", SHOWN_TWICE)
def test_another_activation_stands_where_the_reference_has_it(reference: Make, case: str) -> None:
    made = reference(case, "gelu_new")
    assert compare(made, made.load())


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_the_comparison_means_something(reference: Make, case: str) -> None:
    made = reference(case, "gelu")
    assert not silent(made.outputs, made.gradients)
    assert made.gradients


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("roberta bare", "next_sentence"),
        ("distilbert bare", "next_sentence"),
        ("electra-generator bare", "next_sentence"),
        ("albert bare", "replaced_token_detection"),
    ],
)
def test_a_head_that_a_family_lacks(reference: Make, case: str, kind: str) -> None:
    with pytest.raises(CheckpointError, match=f"has no head for {kind}; it has heads for: masked_lm, .*multiple_choice"):
        load_model(reference(case, "gelu").folder, {"head": (kind, 2)}, new_heads=True)  # type: ignore[dict-item]


def test_names_and_shapes_of_published_models_are_the_references() -> None:
    """Full sizes, without weights: what our tables save is what the reference's classes hold, and so for every head."""
    import transformers

    for name, config in PUBLISHED.items():
        architecture = architecture_of(config, name)
        named = transformers.AutoConfig.for_model(**config)
        for kind, head in [(None, None), *((k, h) for k, h in architecture.heads.items() if h.class_name)]:
            class_name = architecture.class_name([] if kind is None else [kind])
            if kind == "next_sentence":
                continue  # the reference has it beside another head only
            with torch.device("meta"):
                theirs = getattr(transformers, class_name)(named)
                spec = architecture.encoder(config)
                spec = spec if kind is None or architecture.heads[kind].needs_pooler else replace(spec, pooler=None)
                ours = Model(spec, {} if head is None else {"head": head.spec(config, spec, 1 if kind == "multiple_choice" else 2)})
            table = architecture.table(spec) + (Table() if head is None else head.table("heads.head."))
            shapes = {n: p.shape for n, p in ours.named_parameters()}
            saved = table.save({n: np.broadcast_to(np.zeros((), dtype="V0"), tuple(shape)) for n, shape in shapes.items()})
            again = {tie.theirs for tie in table.ties}
            expected = {n.removeprefix(architecture.prefix): tuple(t.shape) for n, t in theirs.state_dict().items()}
            if kind == "tag_sequence":  # the reference reads all but these, whose names are those of another package
                expected |= {"crf.transitions": (2, 2), "crf.start_transitions": (2,), "crf.end_transitions": (2,)}
            assert {n: a.shape for n, a in saved.items()} == {n: s for n, s in expected.items() if n not in again}, (name, kind)


OLD = {  # what old versions stored besides: second names of tied weights, and constants
    "roberta masked_lm": {
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
        "roberta.embeddings.position_ids": None,
        "roberta.embeddings.token_type_ids": None,
    },
    "distilbert masked_lm": {
        "vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight",
        "distilbert.embeddings.position_ids": None,
    },
    "albert pretraining": {
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
        "albert.embeddings.position_ids": None,
    },
    "electra-generator masked_lm": {
        "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight",
        "electra.embeddings.position_ids": None,
    },
}


def with_more(made: Reference, folder: Path, more: Mapping[str, str | None], change: float = 0.0) -> LoadedModel:
    """The model of a folder that holds more tensors: copies of others (with `change` added), or constants."""
    folder.mkdir()
    shutil.copy(made.folder / "config.json", folder)
    with open_tensors(made.folder) as files:
        tensors = {name: files[name].copy() for name in files}
    assert not set(more) & set(tensors)
    added = {name: np.arange(40)[None] if of is None else tensors[of] + np.float32(change) for name, of in more.items()}
    write_tensors(folder / "model.safetensors", tensors | added)
    return load_model(folder, made.case.heads)


@pytest.mark.parametrize("case", OLD)
def test_files_of_old_versions(reference: Make, tmp_path: Path, case: str) -> None:
    made = reference(case, "gelu")
    assert compare(made, with_more(made, tmp_path / "old", OLD[case]))
    for number, (name, of) in enumerate(OLD[case].items()):
        if of is not None:
            with pytest.raises(CheckpointError, match=f"not tied +{name}"):
                with_more(made, tmp_path / f"untied {number}", {name: of}, change=1)


@pytest.mark.parametrize("case", [case for case in FAMILY_CASES if case.split()[0] in PREFIXES and case.endswith(("bare", "pretraining"))])
def test_a_body_with_and_without_its_prefix(reference: Make, tmp_path: Path, case: str) -> None:
    made = reference(case, "gelu")
    prefix = PREFIXES[case.split()[0]]
    shutil.copy(made.folder / "config.json", tmp_path)
    with open_tensors(made.folder) as files:
        tensors = {name.removeprefix(prefix) if prefix in name else prefix + name: files[name].copy() for name in files}
        other = {n.removeprefix(prefix) if n.split(".")[1] in ("predictions", "sop_classifier") else n: v for n, v in tensors.items()}
    write_tensors(tmp_path / "model.safetensors", other)
    assert compare(made, load_model(tmp_path, made.case.heads))


@pytest.mark.parametrize("family", ["roberta", "distilbert", "albert", "electra-generator"])
def test_a_classifier_is_made_of_a_pretrained_model(reference: Make, family: str) -> None:
    made = reference(f"{family} masked_lm", "gelu")
    loaded = load_model(made.folder, {"label": ("sequence_classification", 3)}, new_heads=True)
    new = {name for name, _ in loaded.model.named_parameters() if name.startswith(("heads.", "encoder.pooler."))}
    assert set(loaded.report.new) == new
    assert set(loaded.report.ignored) == {"the head of another task"}


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_padding_on_any_side_has_no_position(reference: Make, tmp_path: Path, family: str) -> None:
    """As the reference numbers positions, by the tokens that are no padding: left, right, within, and where the mask shows or hides
    what it should not."""
    import transformers

    made = reference(f"{family} bare", "gelu")
    loaded = made.load()
    loaded.model.initialize(seed=8)
    save_model(tmp_path, loaded)
    theirs = getattr(transformers, made.case.class_name).from_pretrained(tmp_path, attn_implementation="eager").eval()
    padding = theirs.config.pad_token_id
    ids = np.random.default_rng(6).integers(2, 97, (5, 9))
    ids[0, :4] = ids[1, 6:] = ids[2, 3:5] = ids[4, :2] = padding
    mask = (ids != padding).astype(np.int64)
    mask[3, 2:4] = 0
    mask[4, 1] = 1
    batch = PackedBatch.from_padded(ids, mask, padding_id=padding)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state[torch.from_numpy(mask).bool()]
        torch.testing.assert_close(loaded.model.encoder(model_inputs(batch, CPU)).hidden, expected, atol=1e-5, rtol=1e-5)
        plain = loaded.model.encoder(model_inputs(PackedBatch.from_padded(ids, mask), CPU)).hidden
    assert not torch.allclose(plain, expected, atol=1e-2), "positions do not matter here"
