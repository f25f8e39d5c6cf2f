"""Folders written anew: the same model for `transformers`, whatever format it came in, and smaller where that is asked for."""

import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks import TextClassifier
from bertworks.checkpoints.files import open_tensors
from bertworks.errors import CheckpointError, SettingsError
from tests.checkpoints import tensor_bundles as bundles
from tests.checkpoints.tensorflow_variables import CONFIG, variables
from tests.checkpoints.tensorflow_variables import VOCABULARY as WORDS
from tests.conftest import VOCABULARY

TEXTS = ["the food was good", "a sad and dull film", "tea"]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 64}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A BERT with both heads in PyTorch's older format, the decoder's second name in it, and no class in its config.json."""
    import transformers

    torch.manual_seed(0)
    model = transformers.BertForPreTraining(transformers.BertConfig(vocab_size=len(VOCABULARY), **SHAPE)).eval()
    with torch.no_grad():
        model.cls.predictions.bias.normal_()
    folder = tmp_path_factory.mktemp("older") / "bert"
    folder.mkdir()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    config = {key: value for key, value in model.config.to_dict().items() if key != "architectures"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in VOCABULARY), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    (folder / "README.md").write_text("ours\n")
    return folder, model


def read(folder: Path) -> dict[str, Any]:
    with open_tensors(folder) as files:
        return {name: np.array(files[name]) for name in files}


def test_both_heads_and_every_bit_come_through(pretrained: tuple[Path, Any], tmp_path: Path) -> None:
    import transformers

    source, before = pretrained
    report = bw.convert(source, tmp_path / "new")
    assert report.classes == ("BertForPreTraining",)
    after, info = transformers.BertForPreTraining.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    expected = before.state_dict()
    assert after.state_dict().keys() == expected.keys()
    for name, values in after.state_dict().items():
        assert torch.equal(values, expected[name]), name
    assert "cls.predictions.decoder.weight" in torch.load(source / "pytorch_model.bin", weights_only=True)
    assert "cls.predictions.decoder.weight" not in read(tmp_path / "new"), "the embedding has one name"
    assert (tmp_path / "new" / "README.md").read_text() == "ours\n"
    filled = bw.MaskFiller(tmp_path / "new", precision="float32").fill("the [MASK] was good .")
    assert filled.filled == bw.MaskFiller(tmp_path / "new").fill("the [MASK] was good .").filled


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_is_that_of_pytorch(pretrained: tuple[Path, Any], tmp_path: Path, dtype: str) -> None:
    source, before = pretrained
    bw.convert(source, tmp_path / "new", dtype=dtype)
    after, expected = read(tmp_path / "new"), before.state_dict()
    assert json.loads((tmp_path / "new" / "config.json").read_text())["dtype"] == dtype
    for name, values in after.items():
        rounded = expected[name].to(getattr(torch, dtype)).float().numpy()
        np.testing.assert_array_equal(values.astype(np.float32), rounded, err_msg=name)
    size = (tmp_path / "new" / "model.safetensors").stat().st_size
    bw.convert(source, tmp_path / "wide")
    assert size < 0.6 * (tmp_path / "wide" / "model.safetensors").stat().st_size


def test_large_weights_become_several_files(pretrained: tuple[Path, Any], tmp_path: Path) -> None:
    import transformers

    report = bw.convert(pretrained[0], tmp_path / "new", max_shard_bytes=20_000)
    files = sorted(path.name for path in (tmp_path / "new").glob("*.safetensors"))
    assert len(files) > 2
    assert report.bytes == sum((tmp_path / "new" / name).stat().st_size for name in files)
    after = transformers.BertForPreTraining.from_pretrained(tmp_path / "new")
    assert torch.equal(after.state_dict()["bert.pooler.dense.weight"], pretrained[1].state_dict()["bert.pooler.dense.weight"])


def test_a_tensorflow_checkpoint_becomes_a_folder_of_today(tmp_path: Path) -> None:
    import transformers

    source = Path(__file__).parents[1] / "checkpoints" / "tensorflow"
    report = bw.convert(source, tmp_path / "new")
    assert report.classes == ("BertForPreTraining",)
    model, info = transformers.BertForPreTraining.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    with open_tensors(source) as files:
        kernel = np.array(files["bert.encoder.layer.1.intermediate.dense.weight"])
    np.testing.assert_array_equal(model.bert.encoder.layer[1].intermediate.dense.weight.detach().numpy(), kernel)


def of_google(folder: Path, more: dict[str, Any], family: str = "bert", **config: Any) -> Path:
    """A checkpoint of TensorFlow: an encoder without the heads of its pretraining, and the variables `more`."""
    unlike = ("cls/",) if family == "bert" else ("cls/", "bert/pooler/")
    given = {name.replace("bert/", f"{family}/"): array for name, array in variables().items() if not name.startswith(unlike)}
    entries, numbers = {}, b""
    for name, array in sorted({**given, **more}.items()):
        entries[name.encode()] = bundles.entry(array.shape, start=len(numbers), data=array.tobytes())
        numbers += array.tobytes()
    folder.mkdir()
    (folder / "model.ckpt-9.index").write_bytes(bundles.index(entries))
    (folder / "model.ckpt-9.data-00000-of-00001").write_bytes(numbers)
    (folder / ("config.json" if config else "bert_config.json")).write_text(json.dumps({**CONFIG, **config}))
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
    return folder


def drawn(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("head", "of_class"),
    [
        ({"output_weights": drawn(3, 12), "output_bias": drawn(3)}, "BertForSequenceClassification"),
        ({"cls/squad/output_weights": drawn(2, 12), "cls/squad/output_bias": drawn(2)}, "BertForQuestionAnswering"),
        ({}, "BertModel"),
    ],
    ids=["run_classifier", "run_squad", "bare"],
)
def test_what_was_fine_tuned_with_tensorflow_says_what_it_is(tmp_path: Path, head: dict[str, Any], of_class: str) -> None:
    import transformers

    old = of_google(tmp_path / "old", head)
    with pytest.raises(CheckpointError, match="no head for masked words: 'bertworks convert"):
        bw.load(old)
    report = bw.convert(old, tmp_path / "new")
    assert report.classes == (of_class,)
    model, info = getattr(transformers, of_class).from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not info["missing_keys"] | info["mismatched_keys"], info
    assert all(".pooler." in name for name in info["unexpected_keys"]), "which TensorFlow trained, and this class does not read"
    if "output_weights" in head:
        np.testing.assert_array_equal(model.classifier.weight.detach().numpy(), head["output_weights"])
        assert bw.load(tmp_path / "new").classes_.tolist() == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_an_electra_of_tensorflow_leaves_its_generator_behind(tmp_path: Path) -> None:
    import transformers

    head = {"dense/kernel": drawn(12, 12), "dense/bias": drawn(12)}
    more = {f"discriminator_predictions/{name}": array for name, array in head.items()}
    more |= {"discriminator_predictions/dense_1/kernel": drawn(12, 1), "discriminator_predictions/dense_1/bias": drawn(1)}
    more |= {f"generator_predictions/{name}": array for name, array in head.items()}
    more |= {"generator_predictions/LayerNorm/gamma": drawn(12), "generator_predictions/LayerNorm/beta": drawn(12)}
    more |= {"generator_predictions/output_bias": drawn(len(WORDS)), "generator/encoder/layer_0/output/dense/bias": drawn(12)}
    source = of_google(tmp_path / "old", more, "electra", model_type="electra", embedding_size=12)
    report = bw.convert(source, tmp_path / "new")
    assert report.classes == ("ElectraForPreTraining",)
    assert any("6 tensors (the generator" in note for note in report.notes), report.notes
    _, info = transformers.ElectraForPreTraining.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        *product(["Bert", "DistilBert"], ["SequenceClassification", "TokenClassification", "QuestionAnswering", "MaskedLM"]),
        *product(["ModernBert"], ["SequenceClassification", "MaskedLM"]),  # whose classifiers of all tasks are named alike
    ],
)
def test_a_class_that_nobody_says_is_found_by_the_tensors(pretrained: tuple[Path, Any], tmp_path: Path, family: str, kind: str) -> None:
    import transformers

    sizes: dict[str, Any] = {"vocab_size": len(VOCABULARY), **SHAPE} if family != "DistilBert" else {"vocab_size": len(VOCABULARY)}
    sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48} if family == "DistilBert" else {}
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "pad_token_id"), 0)
    config = getattr(transformers, f"{family}Config")(**sizes, **(special if family == "ModernBert" else {}))
    (tmp_path / "old").mkdir()
    getattr(transformers, f"{family}For{kind}")(config).save_pretrained(tmp_path / "old")
    shutil.copy(pretrained[0] / "vocab.txt", tmp_path / "old")
    told = json.loads((tmp_path / "old" / "config.json").read_text())
    told.pop("architectures")
    for said in ({}, {"architectures": []}, {"architectures": 5}, {"architectures": "BertModel"}):
        (tmp_path / "old" / "config.json").write_text(json.dumps({**told, **said}))
        assert bw.convert(tmp_path / "old", tmp_path / "new", replace=True).classes == (f"{family}For{kind}",)


def test_an_output_matrix_of_its_own_is_kept_even_where_it_equals_the_embedding(pretrained: tuple[Path, Any], tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(vocab_size=len(VOCABULARY), **SHAPE, tie_word_embeddings=False)
    model = transformers.BertForMaskedLM(config)
    with torch.no_grad():
        model.cls.predictions.decoder.weight.copy_(model.bert.embeddings.word_embeddings.weight)
    model.save_pretrained(tmp_path / "old")
    shutil.copy(pretrained[0] / "vocab.txt", tmp_path / "old")
    bw.convert(tmp_path / "old", tmp_path / "new")
    _, info = transformers.BertForMaskedLM.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not info["missing_keys"], info


def test_texts_are_cut_where_they_were_cut(pretrained: tuple[Path, Any], tmp_path: Path) -> None:
    import transformers

    source = Path(shutil.copytree(pretrained[0], tmp_path / "old"))
    (source / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": 7, "truncation_side": "left"}))
    bw.convert(source, tmp_path / "new")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
    assert (tokenizer.model_max_length, tokenizer.truncation_side) == (7, "left")
    assert len(tokenizer("the film was good and the film was bad", truncation=True)["input_ids"]) == 7


def test_a_classifier_of_pairs_gives_the_same_scores(tiny_bert: Path, tmp_path: Path) -> None:
    peer = pytest.importorskip("sentence_transformers")
    before = peer.CrossEncoder(str(tiny_bert), num_labels=1, device="cpu", max_length=9, activation_fn=torch.nn.Identity())
    before.save_pretrained(str(tmp_path / "old"))
    bw.convert(tmp_path / "old", tmp_path / "new")
    pairs = [("good tea", "bad soup"), ("the film was good", "the film was good " * 5)]
    after = peer.CrossEncoder(str(tmp_path / "new"), device="cpu")
    np.testing.assert_allclose(after.predict(pairs), before.predict(pairs), atol=1e-6)


def test_a_bare_encoder_stays_bare(tiny_bert: Path, tmp_path: Path) -> None:
    assert bw.convert(tiny_bert, tmp_path / "new").classes == ("BertModel",)
    before, after = read(tiny_bert), read(tmp_path / "new")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("by", ["save", "convert"])
def test_a_classifier_in_half_precision_verifies_itself(fitted: Callable[..., TextClassifier], tmp_path: Path, by: str) -> None:
    classifier = fitted()
    if by == "save":
        folder = classifier.save(tmp_path / "half", dtype="float16")
    else:
        folder = bw.convert(classifier.save(tmp_path / "whole"), tmp_path / "half", dtype="float16").folder
    loaded = bw.load(folder, precision="float32", verify=True)
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=5e-3)
    assert loaded.classes_.tolist() == classifier.classes_.tolist()
    assert not np.array_equal(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS)), "nothing was rounded"


def test_a_sentence_encoder_keeps_its_modules(tiny_bert: Path, tmp_path: Path) -> None:
    before = bw.SentenceEncoder(tiny_bert, precision="float32", progress=False)
    expected = before.encode(TEXTS)
    before.save(tmp_path / "first")
    (tmp_path / "first" / "README.md").write_text("ours\n")
    bw.convert(tmp_path / "first", tmp_path / "second", dtype="bfloat16")
    after = bw.load(tmp_path / "second", precision="float32", verify=True).encode(TEXTS)
    np.testing.assert_allclose(after, expected, atol=2e-2)
    assert (tmp_path / "second" / "modules.json").exists()
    assert (tmp_path / "second" / "README.md").read_text() == "ours\n"


def test_an_encoder_saves_itself(tiny_bert: Path, tmp_path: Path) -> None:
    encoder = bw.Encoder(tiny_bert, precision="float32")
    encoder.add_tokens(["zebra"])
    encoder.save(tmp_path / "new")
    again = bw.Encoder(tmp_path / "new", precision="float32")
    np.testing.assert_array_equal(again(["the zebra"]).last_hidden_state, encoder(["the zebra"]).last_hidden_state)
    assert again(["the zebra"]).tokens[0][2] == "zebra"


def test_wrong_ways_are_told(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="float16"):
        bw.convert(tiny_bert, tmp_path / "new", dtype="float61")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="max_shard_bytes"):
        bw.convert(tiny_bert, tmp_path / "new", max_shard_bytes=0)
    with pytest.raises(SettingsError, match=r"whole number of bytes.*'5GB'"):
        bw.convert(tiny_bert, tmp_path / "new", max_shard_bytes="5GB")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
    bw.convert(tiny_bert, tmp_path / "new")
    with pytest.raises(CheckpointError, match="exists"):
        bw.convert(tiny_bert, tmp_path / "new")
    broken = Path(shutil.copytree(tiny_bert, tmp_path / "broken"))
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    with pytest.raises(CheckpointError, match="do not fit"):
        bw.convert(broken, tmp_path / "other")
    assert not (tmp_path / "other").exists()
