"""Checkpoints that TensorFlow wrote: read to the bit, computed as `transformers` computes them, and refused where damaged."""

import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForPreTraining

import bertworks as bw
from bertworks.checkpoints import open_tensors
from bertworks.checkpoints.crc32c import crc32c, unmasked
from bertworks.checkpoints.tensor_bundle import TensorBundle
from bertworks.checkpoints.tensorflow import modern
from bertworks.errors import CheckpointError
from bertworks.inference import load_model
from bertworks.inference.models import save_model
from bertworks.tokenization import Tokenizer
from tests.checkpoints import tensor_bundles as bundles
from tests.checkpoints.tensorflow_variables import CONFIG, STEP, VOCABULARY, Array, variables

FOLDER = Path(__file__).parent / "tensorflow"
INDEX, DATA = "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(FOLDER, tmp_path / "uncased_L-2_H-12_A-3"))


def read_all(folder: Path) -> None:
    with open_tensors(folder) as files:
        for name in files:
            files.read(name)


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_all(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what TensorFlow wrote


def test_every_variable_is_read_to_the_bit() -> None:
    bundle = TensorBundle(FOLDER / INDEX)
    drawn = variables() | {"global_step": np.int64(STEP)}
    assert set(bundle.entries) == set(drawn)
    for name, array in drawn.items():
        assert bundle.array(name).dtype == array.dtype
        assert bundle.array(name).shape == array.shape
        assert bundle.array(name).tobytes() == array.tobytes()
        assert not bundle.array(name).flags.writeable


def test_tensors_have_the_names_and_the_layout_of_today() -> None:
    drawn = variables()
    with open_tensors(FOLDER) as files:
        kernel = drawn["bert/encoder/layer_1/intermediate/dense/kernel"]
        assert kernel.shape == (12, 20)
        assert files.shapes["bert.encoder.layer.1.intermediate.dense.weight"] == (20, 12)
        np.testing.assert_array_equal(files["bert.encoder.layer.1.intermediate.dense.weight"], kernel.T)
        np.testing.assert_array_equal(files["cls.seq_relationship.weight"], drawn["cls/seq_relationship/output_weights"])
        assert files.dtypes["global_step"] == "int64"
        assert files.paths == (FOLDER / INDEX,)
    with pytest.raises(CheckpointError, match="closed"):
        files["global_step"]


def reference() -> BertForPreTraining:
    """The model of `transformers`, its weights set one by one from the drawn variables."""
    drawn = variables()
    model = BertForPreTraining(BertConfig(**CONFIG)).eval()
    modules = dict(model.named_modules())

    def put(module: str, parameter: str, array: Array) -> None:
        getattr(modules[module], parameter).data.copy_(torch.tensor(array))

    def dense(module: str, scope: str) -> None:
        put(module, "weight", drawn[f"{scope}/kernel"].T)
        put(module, "bias", drawn[f"{scope}/bias"])

    def norm(module: str, scope: str) -> None:
        put(module, "weight", drawn[f"{scope}/gamma"])
        put(module, "bias", drawn[f"{scope}/beta"])

    for kind in ("word", "position", "token_type"):
        put(f"bert.embeddings.{kind}_embeddings", "weight", drawn[f"bert/embeddings/{kind}_embeddings"])
    norm("bert.embeddings.LayerNorm", "bert/embeddings/LayerNorm")
    for i in range(2):
        ours, theirs = f"bert.encoder.layer.{i}", f"bert/encoder/layer_{i}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            dense(f"{ours}.{part}", f"{theirs}/{part.replace('.', '/')}")
        dense(f"{ours}.intermediate.dense", f"{theirs}/intermediate/dense")
        dense(f"{ours}.output.dense", f"{theirs}/output/dense")
        norm(f"{ours}.attention.output.LayerNorm", f"{theirs}/attention/output/LayerNorm")
        norm(f"{ours}.output.LayerNorm", f"{theirs}/output/LayerNorm")
    dense("bert.pooler.dense", "bert/pooler/dense")
    dense("cls.predictions.transform.dense", "cls/predictions/transform/dense")
    norm("cls.predictions.transform.LayerNorm", "cls/predictions/transform/LayerNorm")
    put("cls.predictions", "bias", drawn["cls/predictions/output_bias"])
    put("cls.seq_relationship", "weight", drawn["cls/seq_relationship/output_weights"])
    put("cls.seq_relationship", "bias", drawn["cls/seq_relationship/output_bias"])
    return model


def test_the_whole_model_computes_what_transformers_computes(tmp_path: Path) -> None:
    model = reference()
    encoder = bw.Encoder(FOLDER, device="cpu", precision="float32")
    encoded = encoder.tokenizer.encode("a b c", "t r")
    ids, segments = torch.tensor([encoded.ids.tolist()]), torch.tensor([encoded.segment_ids.tolist()])
    with torch.no_grad():
        states, logits = model.bert(ids, token_type_ids=segments), model(ids, token_type_ids=segments)
    output = encoder("a b c", "t r")
    np.testing.assert_allclose(output.last_hidden_state, states.last_hidden_state.numpy(), atol=1e-5)
    np.testing.assert_allclose(output.pooler_output, states.pooler_output.numpy(), atol=1e-5)
    follows = bw.NextSentence(FOLDER, device="cpu", precision="float32").predict([("a b c", "t r")])
    np.testing.assert_allclose(follows, logits.seq_relationship_logits.softmax(-1)[:, 0].numpy(), atol=1e-5)

    masked = encoder.tokenizer.encode("a [MASK] c").ids.tolist()
    with torch.no_grad():
        scores = model(torch.tensor([masked])).prediction_logits[0, masked.index(encoder.tokenizer.mask_id)].softmax(-1)
    found = bw.MaskFiller(FOLDER, device="cpu", precision="float32").fill("a [MASK] c", top_k=3).masks[0]
    np.testing.assert_allclose([one.score for one in found], scores.topk(3).values.numpy(), atol=1e-5)

    loaded = load_model(FOLDER, {"mlm": ("masked_lm", len(VOCABULARY)), "nsp": ("next_sentence", 2)})
    assert loaded.report.ignored == {"the state of the optimizer": tuple(_optimizer_names())}
    save_model(tmp_path, loaded)
    again = BertForPreTraining.from_pretrained(tmp_path).eval()
    for name, parameter in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], parameter), name


def _optimizer_names() -> list[str]:
    with open_tensors(FOLDER) as files:
        return [name.removeprefix("bert.") for name in files if "adam" in name or name == "global_step"]


def test_a_classifier_is_trained_from_it_and_saved_as_a_folder_of_today(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts, labels = ["a e i", "n r t"] * 6, ["x", "y"] * 6
    model = bw.TextClassifier(FOLDER, epochs=1, device="cpu", precision="float32", progress=True).fit(texts, labels)
    told = " ".join(capsys.readouterr().err.split())
    assert "not used: 93 tensors (the state of the optimizer)" in told
    assert "nothing says whether vocab.txt is cased; taken as uncased" in told
    model.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "bert"
    assert list(bw.load(tmp_path / "saved", device="cpu", precision="float32").predict(texts)) == list(model.predict(texts))


def test_case_is_taken_from_the_vocabulary_and_can_be_said(folder: Path) -> None:
    assert Tokenizer.load(folder).encode("A B").ids.tolist() == Tokenizer.load(folder).encode("a b").ids.tolist()
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    told = Tokenizer.load(folder)
    assert told.notes == ()
    assert told.encode("A B").ids.tolist() != told.encode("a b").ids.tolist()


@pytest.mark.parametrize(
    ("theirs", "today"),
    {
        "output_weights": "classifier.weight",
        "output_bias": "classifier.bias",
        "cls/squad/output_weights": "qa_outputs.weight",
        "cls/squad/output_bias": "qa_outputs.bias",
        "cls/predictions/transform/LayerNorm/gamma": "cls.predictions.transform.LayerNorm.weight",
        "bert/embeddings/token_type_embeddings": "bert.embeddings.token_type_embeddings.weight",
        "electra/embeddings_project/kernel": "electra.embeddings_project.weight",
        "discriminator_predictions/dense_1/bias": "discriminator_predictions.dense_prediction.bias",
        "discriminator_predictions/dense/kernel": "discriminator_predictions.dense.weight",
    }.items(),
)
def test_names(theirs: str, today: str) -> None:
    assert modern(theirs) == today


def test_config_json_goes_before_bert_config_json(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, "model_type": "bert", "hidden_size": 24}))
    with pytest.raises(CheckpointError, match="wrong shape"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "words"), [({"hidden_size": "12"}, "'hidden_size' must be"), ({"hidden_act": "no"}, "unknown activation")]
)
def test_a_wrong_description_is_named(folder: Path, change: dict[str, object], words: str) -> None:
    (folder / "bert_config.json").write_text(json.dumps({**CONFIG, **change}))
    with pytest.raises(CheckpointError, match=f"{folder.name}: bert_config.json: {words}"):
        load_model(folder)


# ---- which checkpoint


def several(folder: Path) -> None:
    for name in (INDEX, DATA):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        for step in (1000, 2000):
            (folder / name.replace("bert_model.ckpt", f"model.ckpt-{step}")).write_bytes(content)


@pytest.mark.parametrize("before", ["", "/home/me/out/", "C:\\\\out\\\\"])
def test_of_several_checkpoints_the_one_that_is_named(folder: Path, before: str) -> None:
    several(folder)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{before}model.ckpt-1000"\nall_model_checkpoint_paths: "model.ckpt-2000"\n')
    assert open_tensors(folder).paths == (folder / "model.ckpt-1000.index",)


@pytest.mark.parametrize("content", [None, b"", b'model_checkpoint_path: "model.ckpt-3000"\n', b"\xff\xfe\x00"])
def test_of_several_checkpoints_none_is_guessed(folder: Path, content: bytes | None) -> None:
    several(folder)
    if content is not None:
        (folder / "checkpoint").write_bytes(content)
    told = refused(folder)
    assert "holds several checkpoints (model.ckpt-1000, model.ckpt-2000): keep one, or name it in a file 'checkpoint'" in told


def test_other_formats_go_before(folder: Path) -> None:
    save_model(folder, load_model(folder))
    with open_tensors(folder) as files:
        assert files.paths == (folder / "model.safetensors",)


def test_an_index_of_something_else_is_no_checkpoint(folder: Path) -> None:
    (folder / INDEX).rename(folder / "vectors.index")
    assert f"whose index {INDEX} is missing: copy it too" in refused(folder)


# ---- damage


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


WHOLE = b"\0" * 24
DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    f"{INDEX} is no index of a TensorFlow checkpoint, or is cut short (0 bytes)": lambda data: b"",
    f"{INDEX} is no index of a TensorFlow checkpoint, or is cut short (2,000 bytes)": lambda data: data[:2000],
    f"{INDEX} is no index of a TensorFlow checkpoint, or is cut short (4,6": lambda data: flipped(data, len(data) - 1),
    f"{INDEX} is a Git LFS pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\n",
    f"{INDEX} is larger than": lambda data: data.rjust(5_000_000, b"\0"),
    "(a number without an end)": lambda data: data[:-48] + b"\xff" * 40 + data[-8:],
    "(a block lies outside of it)": lambda data: data[:-48] + b"\0\x08" + b"\xff\xff\xff\xff\x0f" * 2 + data[-36:],
    "(a checksum differs)": lambda data: flipped(data, 100),
    "(a block is compressed, which": lambda data: bundles.sealed(bundles.content({b"": bundles.HEADER}), compression=1),
    "(a block is empty)": lambda data: bundles.sealed(struct.pack("<II", 0, 2**32 - 1)),
    "(a record reaches out of its block)": lambda data: bundles.sealed(b"\x05\0\0" + struct.pack("<II", 0, 1)),
    "(a record is longer than those of variables are)": lambda data: bundles.index({b"a": b"\0" * 1001}),
    "(its names are not in order)": lambda data: bundles.index({b"b": b"", b"a": b""}),
    "(it has no header)": lambda data: bundles.sealed(bundles.content({b"a": bundles.HEADER})),
    "(it was written by a big-endian machine)": lambda data: bundles.index({}, bundles.number(1, 1) + bundles.number(2, 1)),
    "(a value is cut short)": lambda data: bundles.index({b"a": b"\x35\0"}),
    "(a value is no number that can be)": lambda data: bundles.index({b"a": bundles.entry((-1,), size=4)}),
    "(variable 'a' has a shape that cannot be)": lambda data: bundles.index({b"a": bundles.entry((2**40, 2**40), size=4)}),
    "(variable 'a' is float32 [2, 3] in 20 bytes)": lambda data: bundles.index({b"a": bundles.entry((2, 3), size=20)}),
    "(variable 'a' is in file 1, but there are 1)": lambda data: bundles.index({b"a": bundles.entry((2, 3), size=24, shard=1)}),
    "variable 'a' is of TensorFlow's type 7; bertworks reads float32": lambda data: bundles.index({b"a": bundles.entry((1,), kind=7)}),
    "variable 'a' is stored in slices": lambda data: bundles.index({b"a": bundles.entry((1,), size=4) + bundles.text(7, b"")}),
    "holds the objects of a TensorFlow 2 program": lambda data: bundles.index({b"_CHECKPOINTABLE_OBJECT_GRAPH": bundles.entry((), kind=7)}),
    "holds 'a/gamma' and 'a/kernel', which are the same tensor": lambda data: bundles.index(
        {b"a/gamma": bundles.entry((6,), data=WHOLE), b"a/kernel": bundles.entry((6,), data=WHOLE)}
    ),
    f"{DATA} is cut short: 41,420 of 400,000,000,024 bytes": lambda data: bundles.index(
        {b"a": bundles.entry((6,), size=24, start=400_000_000_000)}
    ),
    f"{DATA[:-1]}2 is missing": lambda data: bundles.index({b"a": bundles.entry((6,), size=24)}, bundles.number(1, 2)),
    "variable 'a' is damaged (its checksum differs)": lambda data: bundles.index({b"a": bundles.entry((6,), data=WHOLE)}),
}


@pytest.mark.parametrize("words", DAMAGED)
def test_a_damaged_index(folder: Path, words: str) -> None:
    (folder / INDEX).write_bytes(DAMAGED[words]((folder / INDEX).read_bytes()))
    told = refused(folder)
    assert words in told
    assert str(folder) in told


def test_what_the_writer_of_the_tests_writes_is_read(folder: Path) -> None:
    numbers = np.arange(6, dtype=np.float32)
    halves = np.array([0x3F80, 0xC000], dtype=np.uint16)
    data = b"\1" + numbers.tobytes() + halves.tobytes()  # what stands at an odd place is copied
    records = {
        b"a/kernel": bundles.entry((2, 3), start=1, data=numbers.tobytes()),
        b"b": bundles.entry((2,), kind=14, start=25, data=halves.tobytes()),
        b"c": bundles.entry((), kind=10, data=b"\1"),
        b"d": bundles.entry((0, 5), start=29, data=b""),
    }
    (folder / INDEX).write_bytes(bundles.index(records))
    (folder / DATA).write_bytes(data)
    with open_tensors(folder) as files:
        np.testing.assert_array_equal(files["a.weight"], numbers.reshape(2, 3).T)
        assert files["b"].tolist() == [1.0, -2.0]
        assert files["c"].tolist() is True
        assert files["d"].shape == (0, 5)
    (folder / INDEX).write_bytes(bundles.index({b"d": bundles.entry((0, 5))}))
    (folder / DATA).write_bytes(b"")
    assert open_tensors(folder)["d"].shape == (0, 5)


def test_numbers_in_several_files(folder: Path) -> None:
    a, b = np.arange(6, dtype=np.float32), np.arange(2.0)
    records = {b"a": bundles.entry((6,), data=a.tobytes()), b"b": bundles.entry((2,), kind=2, shard=2, data=b.tobytes())}
    (folder / INDEX).write_bytes(bundles.index(records, bundles.number(1, 3)))
    (folder / "bert_model.ckpt.data-00000-of-00003").write_bytes(a.tobytes())
    assert "bert_model.ckpt.data-00002-of-00003 is missing: download or copy the model again" in refused(folder)
    (folder / "bert_model.ckpt.data-00002-of-00003").write_bytes(b.tobytes())
    with open_tensors(folder) as files:
        assert files["a"].tolist() == a.tolist()
        assert files["b"].tolist() == b.tolist()


@settings(max_examples=40)
@given(at=st.integers(0, 41_419), bit=st.integers(0, 7))
def test_a_flipped_bit_of_the_numbers_is_found_where_it_is_read(at: int, bit: int) -> None:
    bundle = TensorBundle(FOLDER / INDEX)
    home = next(name for name, entry in bundle.entries.items() if entry.start <= at < entry.stop)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(FOLDER, Path(place) / "x"))
        data = bytearray((folder / DATA).read_bytes())
        data[at] ^= 1 << bit
        (folder / DATA).write_bytes(data)
        assert f"bert_model.ckpt: variable '{home}' is damaged (its checksum differs): download or copy it again" in refused(folder)


@settings(max_examples=40)
@given(cut=st.floats(0, 1, exclude_max=True), name=st.sampled_from([INDEX, DATA]))
def test_truncated_files_are_refused(cut: float, name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(FOLDER, Path(place) / "x"))
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(cut * len(content))])
        assert f"{name} is" in refused(folder)


def test_links(folder: Path, tmp_path: Path) -> None:
    (folder / DATA).rename(tmp_path / DATA)
    (folder / DATA).symlink_to(tmp_path / DATA)
    assert len(open_tensors(folder)) == 139
    (tmp_path / DATA).rename(tmp_path / "secret")
    (folder / DATA).unlink()
    (folder / DATA).symlink_to(tmp_path / "secret")
    assert "out of its folder: refused" in refused(folder)


# ---- checksums


def bit_by_bit(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (bytes(range(31, -1, -1)), 0x113FDB5C)],
)
def test_the_published_examples(data: bytes, checksum: int) -> None:
    """RFC 3720, appendix B.4."""
    assert crc32c(data) == checksum
    assert unmasked(bundles.masked(checksum)) == checksum


@pytest.mark.parametrize("size", [0, 1, 5, 16_383, 16_384, 16_385, 40_000, 49_152])
def test_checksums_of_any_length(size: int) -> None:
    data = np.random.Generator(np.random.PCG64(size)).bytes(size + 1)
    assert crc32c(data[1:]) == bit_by_bit(data[1:]) == crc32c(np.frombuffer(data, np.uint8)[1:])
