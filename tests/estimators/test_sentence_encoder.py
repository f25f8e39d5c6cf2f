"""`SentenceEncoder`: vectors of texts of any length and number, in any dtype; nearness; folders; scikit-learn; training."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks as bw
from bertworks.checkpoints.files import open_tensors
from bertworks.errors import CheckpointError, DataError, NotFittedError, SettingsError
from bertworks.tasks.embedding import merged_vectors
from bertworks.training.progress import Progress

pytestmark = pytest.mark.usefixtures("one_thread")

Make = Callable[..., bw.SentenceEncoder]


@pytest.fixture
def make(tiny_bert: Path) -> Make:
    def build(**options: Any) -> bw.SentenceEncoder:
        return bw.SentenceEncoder(tiny_bert, precision="float32", progress=False, **options)

    return build


@pytest.fixture
def texts(reviews: Any) -> list[str]:
    return reviews(40, longest=20)[0]  # type: ignore[no-any-return]


# ---- vectors


def test_vectors_do_not_depend_on_their_company(make: Make, texts: list[str]) -> None:
    encoder = make()
    whole = encoder.encode(texts)
    assert whole.dtype == np.float32
    for place in (0, 17, 39):
        np.testing.assert_allclose(encoder.encode(texts[place]), whole[place], atol=1e-6)
    parts = [part for part, _ in encoder.encode_stream(iter(texts), chunk=7)]
    assert [len(part) for part in parts] == [7, 7, 7, 7, 7, 5]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(text for text in texts), whole, atol=1e-6)


def test_texts_that_fit_have_the_same_vectors_whatever_is_done_with_others(make: Make, texts: list[str]) -> None:
    whole = make().encode(texts)
    for overflow in ("truncate", "head_tail", "error"):
        assert (make(overflow=overflow).encode(texts) == whole).all()


@pytest.mark.parametrize("normalize", [True, False])
def test_a_long_text_is_the_mean_of_its_windows(make: Make, reviews: Any, normalize: bool) -> None:
    """Each window by itself, as a text of its own: the words of this vocabulary are one token each."""
    words = " ".join(reviews(9, shortest=9, longest=9)[0]).split()
    encoder = make(max_tokens=22, stride=5, normalize=normalize)
    found, seen = encoder.encode_with_accounting([" ".join(words)])
    starts = [*range(0, len(words) - 20, 15), len(words) - 20]
    windows = encoder.encode([" ".join(words[start : start + 20]) for start in starts])
    wanted = windows.mean(axis=0)
    np.testing.assert_allclose(found[0], wanted / np.linalg.norm(wanted) if normalize else wanted, atol=1e-5)
    assert (seen.windowed_rows, seen.sequences, seen.truncated_tokens) == (1, len(starts), 0)


def test_a_prompt_stands_before_each_window(make: Make, reviews: Any) -> None:
    words = " ".join(reviews(6, shortest=9, longest=9)[0]).split()
    encoder = make(max_tokens=22, stride=0)
    found, seen = encoder.encode_with_accounting([" ".join(words)], prompt="what is ")
    assert seen.tokens == sum(20 for _ in range(3)) + 3 * 2
    starts = (0, 18, len(words) - 18)
    windows = encoder.encode(["what is " + " ".join(words[start : start + 18]) for start in starts])
    np.testing.assert_allclose(found[0], windows.mean(axis=0), atol=1e-5)


def test_what_is_lost_is_counted(make: Make) -> None:
    seen = make(overflow="truncate", max_tokens=10).encode_with_accounting(["the cat " * 10, "a dog"])[1]
    assert (seen.rows, seen.truncated_rows, seen.truncated_tokens) == (2, 1, 12)
    with pytest.raises(DataError, match=r"row 5 has 22 tokens"):
        make(overflow="error", max_tokens=10).encode([*["a"] * 5, "the cat " * 10])


def test_beginnings_of_vectors_have_the_length_that_the_whole_have(make: Make, texts: list[str]) -> None:
    whole = make(normalize=True).encode(texts)
    short = make(normalize=True).encode(texts, dimensions=8)
    np.testing.assert_allclose(short, whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(make(dimensions=8).encode(texts), make().encode(texts)[:, :8])


def test_int8_is_off_by_half_a_step_at_most(make: Make, texts: list[str]) -> None:
    encoder = make().calibrate(texts)
    whole, steps = encoder.encode(texts), encoder.encode(texts, dtype="int8")
    assert steps.dtype == np.int8
    lows, highs = whole.min(axis=0), whole.max(axis=0)
    back = (steps.astype(float) + 128) / 255 * (highs - lows) + lows
    assert (np.abs(back - whole) <= (highs - lows) / 510 + 1e-6).all()
    assert encoder.encode(texts, dtype="float16").dtype == np.float16
    with pytest.raises(SettingsError, match="calibrated for 32 features, not 8"):
        encoder.encode(texts, dtype="int8", dimensions=8)
    with pytest.raises(SettingsError, match="call calibrate"):
        make().encode(texts, dtype="int8")


def test_no_texts_give_no_vectors(make: Make) -> None:
    encoder = make()
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.encode(iter([]), dtype="binary", dimensions=20).shape == (0, 3)


def test_memory_of_the_stream_is_that_of_a_chunk(make: Make) -> None:
    """Texts are taken when they are needed, and not before."""
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "the cat"

    stream = make().encode_stream(endless(), chunk=16)
    for _ in range(3):
        next(stream)
    assert taken == 48


# ---- nearness


def test_search_finds_what_all_products_find(make: Make, texts: list[str]) -> None:
    encoder = make()
    queries = ["good soup", "the old door"]
    found = encoder.search(queries, texts, top_k=5)
    scores = encoder.similarity(queries, texts)
    np.testing.assert_array_equal(found.indices, np.argsort(-scores, axis=1, kind="stable")[:, :5])
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, found.indices, axis=1), atol=1e-6)
    by_vectors = encoder.search(encoder.encode(queries), encoder.encode(texts), top_k=5)
    np.testing.assert_array_equal(by_vectors.indices, found.indices)


def test_search_in_smaller_vectors_is_that_in_what_they_stand_for(make: Make, texts: list[str]) -> None:
    encoder = make().calibrate(texts)
    query = encoder.encode(["good soup"])
    small = encoder.encode(texts, dtype="int8")
    back = (small.astype(np.float32) + 128) / 255
    lows, highs = np.array(encoder.task_.lows), np.array(encoder.task_.highs)
    wanted = encoder.similarity(query, back * (highs - lows) + lows)
    np.testing.assert_allclose(encoder.search(query, small, 40).scores[0], np.sort(wanted[0])[::-1], atol=1e-5)
    bits = encoder.encode(texts, dtype="binary")
    signs = np.where(encoder.encode(texts) > 0, 1.0, -1.0).astype(np.float32)
    np.testing.assert_allclose(encoder.search(query, bits, 40).scores[0], np.sort(encoder.similarity(query, signs)[0])[::-1], atol=1e-5)


def test_paraphrases_and_translations_are_mined(make: Make, texts: list[str]) -> None:
    encoder = make()
    some = [*dict.fromkeys(texts)][:12]
    found = encoder.mine_paraphrases([*some, some[3] + "."], most=3)
    assert (found[0].first, found[0].second) == (3, 12)
    shuffled = [some[i] for i in (4, 2, 0, 1, 3)]
    pairs = encoder.mine_bitext(some[:5], shuffled)
    assert {(p.first, p.second) for p in pairs} == {(4, 0), (2, 1), (0, 2), (1, 3), (3, 4)}


def test_zero_shot_takes_the_nearest_description(make: Make) -> None:
    answers = make().zero_shot(["good soup", "the old door"], {"food": "good soup", 7: "the old door of the house"})
    assert answers.labels.tolist() == ["food", 7]
    assert answers.scores.shape == (2, 2)


# ---- folders


def test_a_saved_encoder_is_the_same(make: Make, texts: list[str], tmp_path: Path) -> None:
    encoder = make(pooling=("mean", "cls"), dense=12, layers_from=1, normalize=True, overflow="head_tail", max_tokens=16, seed=4)
    encoder.calibrate(texts)
    encoder.save(tmp_path / "model")
    again = bw.load(tmp_path / "model", precision="float32", verify=True)
    assert isinstance(again, bw.SentenceEncoder)
    assert again.task_ == encoder.task_
    long = [*texts, "the cat " * 20]
    assert (again.encode(long) == encoder.encode(long)).all()
    assert (again.encode(long, dtype="int8") == encoder.encode(long, dtype="int8")).all()
    opened = bw.SentenceEncoder(tmp_path / "model", precision="float32")
    assert (opened.encode(texts, dtype="int8") == encoder.encode(texts, dtype="int8")).all()


DAMAGE: dict[str, tuple[str, str, str, str]] = {
    "module": ("modules.json", "models.Normalize", "models.LSTM", "models.LSTM' is not one that bertworks can compute"),
    "code of others": ("modules.json", "sentence_transformers.models.Pooling", "custom.Pooling", "custom.Pooling"),
    "outside": ("modules.json", '"1_Pooling"', '"../1_Pooling"', "no plain name"),
    "pooling": ("1_Pooling/config.json", "pooling_mode_lasttoken", "pooling_mode_attention", "pooling_mode_attention"),
    "activation": ("2_Dense/config.json", "activation.Tanh", "activation.Mish", "unknown activation 'torch.nn.modules.activation.Mish'"),
    "shape": ("2_Dense/config.json", '"out_features": 12', '"out_features": 13', "its weights are linear"),
    "width": ("2_Dense/config.json", '"in_features": 32', '"in_features": 31', "takes 31 features, but gets 32"),
    "width of tokens": (
        "1_Pooling/config.json",
        '"word_embedding_dimension": 32',
        '"word_embedding_dimension": "wide"',
        "embedding_dimension must be a whole number above 0, not 'wide'",
    ),
    "similarity": ("config_sentence_transformers.json", '"cosine"', '"hamming"', "unknown similarity 'hamming'"),
    "limit": ("sentence_bert_config.json", "16", "-1", "max_seq_length must be"),
    "other settings": ("sentence_bert_config.json", '"do_lower_case": false', '"query_expansion": 3', "does not know 'query_expansion'"),
    "no pooling": ("modules.json", "Pooling", "Normalize", "has no Pooling|stands before the Pooling"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_cannot_be_done_is_refused_by_name(make: Make, tmp_path: Path, what: str) -> None:
    encoder = make(dense=12, normalize=True, max_tokens=16)
    encoder.encode(["a"])
    encoder.save(tmp_path / "model")
    file, old, new, message = DAMAGE[what]
    path = tmp_path / "model" / file
    content = path.read_text()
    assert old in content
    changed = content.replace(old, new)
    path.write_text(changed.replace(f'"{new}": false', f'"{new}": true') if what == "pooling" else changed)
    with pytest.raises(CheckpointError, match=message):
        bw.SentenceEncoder(tmp_path / "model").encode(["a"])
    with pytest.raises(CheckpointError, match=message):
        bw.load(tmp_path / "model")


# ---- scikit-learn


def test_it_stands_in_a_pipeline(make: Make, reviews: Any) -> None:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    texts, labels = reviews(80)
    pipeline = make_pipeline(make(dimensions=20), LogisticRegression(C=100.0, max_iter=500))
    assert clone(pipeline).fit(texts, labels).score(texts, labels) > 0.75
    assert list(pipeline[0].get_feature_names_out()[:2]) == ["vector_0", "vector_1"]
    assert len(pipeline[0].get_feature_names_out()) == 20
    search = GridSearchCV(pipeline, {"sentenceencoder__pooling": ["mean", "cls"]}, cv=2).fit(texts, labels)
    assert search.best_params_["sentenceencoder__pooling"] in ("mean", "cls")


# ---- training

FAST: dict[str, Any] = {"epochs": 6, "learning_rate": 2e-3, "batch_size": 16, "dropout": 0.0, "device": "cpu"}


def test_scored_pairs_are_learnt(make: Make, reviews: Any) -> None:
    texts, labels = reviews(900, seed=1)
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    scores = [5.0 * (a == b) for a, b in zip(labels[::2], labels[1::2], strict=True)]
    encoder = make(objective="scores", **{**FAST, "learning_rate": 0.01, "epochs": 4})
    with pytest.raises(NotFittedError):
        encoder.encode(texts)
    encoder.fit(pairs[:400], scores[:400], validation=(pairs[400:], scores[400:]))
    before = make().score(pairs[400:], scores[400:])
    assert encoder.score(pairs[400:], scores[400:]) > max(0.5, before + 0.2)
    assert encoder.about_["objective"]["highest"] == 5.0
    assert encoder.history_[-1]["spearman"] <= encoder.about_["validation"]["spearman"]


def test_scored_pairs_are_judged_by_their_own_cosines(make: Make, reviews: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the cosines of whole arrays of vectors; however many pairs are encoded at once, long ones in windows."""
    from scipy import stats

    texts, _ = reviews(90, seed=4, shortest=3, longest=40)
    pairs, scores = list(zip(texts[::2], texts[1::2], strict=True)), [float(i * 7 % 11) for i in range(45)]
    encoder = make(max_tokens=20)
    first, second = encoder.encode(texts[::2]), encoder.encode(texts[1::2])
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    whole = encoder.evaluate(pairs, scores)
    monkeypatch.setattr("bertworks.estimators.embeddings.sentence_encoder._PAIRS_AT_ONCE", 7)
    parts = encoder.evaluate(pairs, scores)
    for found in (whole, parts):
        assert found["pearson"] == pytest.approx(stats.pearsonr(scores, cosines).statistic, abs=1e-4)
        assert found["spearman"] == pytest.approx(stats.spearmanr(scores, cosines).statistic, abs=1e-3)
        np.testing.assert_allclose(found["intervals"]["pearson"], whole["intervals"]["pearson"], atol=1e-4)
    assert parts["accounting"] == whole["accounting"]
    assert parts["accounting"]["rows"] == 45
    assert parts["accounting"]["windowed_rows"] > 0
    with pytest.raises(DataError, match="row 40 has 3 texts"):
        encoder.evaluate([*pairs[:40], ("a", "b", "c")], scores[:41])
    with pytest.raises(DataError, match="row 30: the target is not finite"):
        encoder.evaluate(pairs, [*scores[:30], float("nan"), *scores[31:]])


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_what_is_judged_is_what_encode_gives(make: Make, reviews: Any, similarity: Any) -> None:
    """The beginnings of vectors, after a prompt, compared as the model has it; in the training, too."""
    from scipy import stats

    texts, _ = reviews(40, seed=4)
    pairs, scores = list(zip(texts[::2], texts[1::2], strict=True)), [float(i * 7 % 11) for i in range(20)]
    encoder = make(prompt="a song about ", dimensions=5)
    encoder.task_ = replace(encoder._ready(), similarity=similarity)
    first, second = encoder.encode(texts[::2]), encoder.encode(texts[1::2])
    assert first.shape == (20, 5)
    near = np.diag(encoder.similarity(first, second))
    assert encoder.evaluate(pairs, scores)["spearman"] == pytest.approx(stats.spearmanr(scores, near).statistic, abs=1e-3)
    ranks = [1 + sum(row > row[i]) for i, row in enumerate(encoder.similarity(first, second))]
    assert encoder.evaluate(pairs)["mrr@10"] == pytest.approx(np.mean([1 / rank if rank <= 10 else 0 for rank in ranks]))
    with pytest.raises(SettingsError, match="dimensions must be a whole number from 1 to 32"):
        make(dimensions=33).evaluate(pairs, scores)


def test_a_training_is_judged_by_what_encode_gives(make: Make, reviews: Any) -> None:
    texts, labels = reviews(200, seed=1)
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    scores = [5.0 * (a == b) + (i % 7) / 10 for i, (a, b) in enumerate(zip(labels[::2], labels[1::2], strict=True))]
    encoder = make(objective="scores", prompt="a song about ", dimensions=3, **FAST)
    encoder.fit(pairs[:60], scores[:60], validation=(pairs[60:], scores[60:]))
    assert encoder.about_["validation"]["spearman"] == pytest.approx(encoder.score(pairs[60:], scores[60:]), abs=1e-3)
    plain = make(objective="scores", **FAST).fit(pairs[:60], scores[:60])
    assert plain.accounting_.tokens < encoder.accounting_.tokens  # the prompt is learnt with


def test_vectors_are_compared_one_by_one(make: Make, texts: list[str]) -> None:
    encoder = make()
    first, second = encoder.encode(texts[0]), encoder.encode(texts[1])
    near = encoder.similarity(texts[:1], texts[1:2])
    np.testing.assert_allclose(encoder.similarity(first, second), near, atol=1e-6)
    np.testing.assert_array_equal(encoder.search(first, texts, top_k=3).indices, encoder.search([texts[0]], texts, top_k=3).indices)
    with pytest.raises(DataError, match="the first have 32 features, but the second have 8"):
        encoder.similarity(first, second[:8])


def test_binary_vectors_of_other_dimensions_are_refused(make: Make, texts: list[str]) -> None:
    encoder = make()
    stored = encoder.encode(texts, dtype="binary", dimensions=16)
    with pytest.raises(DataError, match="binary vectors of 32 features have 4 bytes, but these have 2"):
        encoder.search(texts[:1], stored)


def test_rows_with_a_wrong_text_are_named_by_their_numbers(make: Make) -> None:
    """Whatever number of texts stands in the rows before."""
    rows = [("a song", "a dog", "a cat"), ("a song", "a dog"), ("a song", "the " * 50)]
    encoder = make(objective="ranking", overflow="error", max_tokens=20, **FAST)
    with pytest.raises(DataError, match="row 2 has 52 tokens"):
        encoder.fit(rows)
    searching = make(overflow="error", max_tokens=20, prompt="song ")
    with pytest.raises(DataError, match="row 2 has 53 tokens"):
        searching.evaluate(rows)


def test_what_is_relevant_is_in_the_corpus(make: Make, texts: list[str]) -> None:
    for number in (40, -1, 0.5):
        with pytest.raises(DataError, match=f"query 1 .*there is no text {number} in a corpus of 40"):
            make().evaluate_search(texts[:2], texts, [{0: 1.0}, {number: 1.0}])


def test_partners_are_learnt_with_steps_of_any_size(make: Make, reviews: Any) -> None:
    """A text and two of its words, beside another text: the batch is far beyond the token budget."""
    texts = list(dict.fromkeys(reviews(200, seed=2, shortest=5)[0]))
    draws = np.random.Generator(np.random.PCG64(0))
    rows = [(text, " ".join(draws.choice(text.split(), 2)), other) for text, other in zip(texts, texts[::-1], strict=True)]
    encoder = make(objective="ranking", token_budget=300, symmetric=True, **{**FAST, "batch_size": 80, "epochs": 8})
    encoder.fit(rows[:150], validation=(rows[150:], None))
    assert encoder.evaluate(rows[150:], intervals=False)["ndcg@10"] > make().evaluate(rows[150:], intervals=False)["ndcg@10"]
    found = encoder.evaluate(rows[150:])
    assert 0 <= found["intervals"]["mrr@10"][0] <= found["mrr@10"] <= found["intervals"]["mrr@10"][1] <= 1
    assert found["triplet_accuracy"] > 0.8


def test_the_texts_alone_are_learnt_from(make: Make, texts: list[str]) -> None:
    encoder = make(objective="simcse", **{**FAST, "epochs": 2, "dropout": 0.1}).fit(texts)
    spread = np.abs(encoder.similarity(texts, texts)).mean()
    assert spread < np.abs(make().similarity(texts, texts)).mean()  # unlike texts are driven apart (uniformity)


@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_a_teacher_is_imitated(make: Make, make_bert: Callable[..., Path], texts: list[str], distance: str, tmp_path: Path) -> None:
    teacher = bw.SentenceEncoder(make_bert(hidden_size=20, num_attention_heads=2), precision="float32", normalize=True)
    wanted = teacher.encode(texts)
    teacher.save(tmp_path / "teacher")
    options = {**FAST, "epochs": 25, "distance": distance, "dense": 20, "activation": None, "normalize": True}
    encoder = make(objective="distillation", **options).fit(texts, wanted, validation=(texts[:5], wanted[:5]))
    assert encoder.history_[-1]["cosine"] > encoder.history_[0]["cosine"]
    assert np.einsum("rw,rw->r", encoder.encode(texts), wanted).mean() > 0.9
    by_name = make(objective="distillation", teacher=tmp_path / "teacher", **options).fit(texts)
    np.testing.assert_allclose(by_name.encode(texts), encoder.encode(texts), atol=2e-2)


class Told(Progress):
    """Keeps what is told of the model."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def facts(self, about: str, lines: Sequence[str]) -> None:
        self.lines += lines if about == "model" else []


@pytest.mark.parametrize("student", ["plain", "with a layer", "of length 1"])
def test_a_layer_leads_to_a_teacher_of_another_width(
    make: Make, make_bert: Callable[..., Path], texts: list[str], student: str, tmp_path: Path
) -> None:
    """The vectors are those of the student before, times the weights that the folder has of the layer; what it had stays."""
    wanted = bw.SentenceEncoder(make_bert(hidden_size=20, num_attention_heads=2), precision="float32").encode(texts)
    options: dict[str, Any] = {"plain": {}, "with a layer": {"dense": 12}, "of length 1": {"normalize": True}}[student]
    make(**options).save(tmp_path / "student")
    told = Told()
    untouched = {**FAST, "epochs": 0.1, "learning_rate": 1e-12, "weight_decay": 0.0}
    encoder = bw.SentenceEncoder(tmp_path / "student", objective="distillation", precision="float32", progress=told, **untouched)
    encoder.fit(texts, wanted)
    assert f"a linear layer is added: from {12 if options.get('dense') else 32} features to the teacher's 20" in told.lines
    again = bw.load(encoder.save(tmp_path / "taught"), precision="float32", verify=True)
    with open_tensors(tmp_path / "taught" / ("3_Dense" if options.get("dense") else "2_Dense")) as files:
        weight, bias = np.array(files.read("linear.weight")), np.array(files.read("linear.bias"))
    before = make(**{**options, "normalize": False}).encode(texts) @ weight.T + bias
    expected = before / np.linalg.norm(before, axis=1, keepdims=True) if student == "of length 1" else before
    np.testing.assert_allclose(again.encode(texts), expected, atol=1e-5)
    same = make(objective="distillation", **untouched).fit(texts, make().encode(texts))
    assert same.width == 32, "nothing is added where the widths are equal"
    assert not same._added


def test_a_student_of_two_languages_learns_the_teachers_vector_of_the_original(
    make: Make, make_bert: Callable[..., Path], reviews: Any
) -> None:
    """Reimers & Gurevych 2020: rows of a text and its translation, here into words of which each stands for another. On rows that
    it has not seen, too, both come nearer to what the teacher says of the original, and a translation to that of its own."""
    teacher = bw.SentenceEncoder(make_bert(hidden_size=20, num_attention_heads=2, initializer_range=0.3), precision="float32")
    words = sorted({word for text in reviews(300, seed=4)[0] for word in text.split()})
    foreign = dict(zip(words, words[1:] + words[:1], strict=True))
    texts = list(dict.fromkeys(reviews(260, seed=5, shortest=6)[0]))
    rows = [(text, " ".join(foreign[word] for word in text.split())) for text in texts]
    seen, held = rows[:200], rows[200:]

    def cosines(encoder: bw.SentenceEncoder, which: int) -> np.ndarray[Any, Any]:
        return np.asarray(encoder.similarity(encoder.encode([row[which] for row in held]), teacher.encode([row[0] for row in held])))

    options = {**FAST, "learning_rate": 5e-3, "epochs": 12, "distance": "squared"}
    before = make(objective="distillation", teacher=teacher.model, **{**options, "epochs": 0.01, "learning_rate": 1e-12}).fit(seen)
    after = make(objective="distillation", teacher=teacher.model, **options).fit(seen, validation=(held, None))
    for which in (0, 1):
        found, begun = cosines(after, which), cosines(before, which)
        assert np.diag(found).mean() > np.diag(begun).mean() + 0.1
        assert (found.argmax(axis=1) == np.arange(len(held))).mean() > (begun.argmax(axis=1) == np.arange(len(held))).mean()
    assert after.history_[-1]["ndcg@10"] > after.history_[0]["ndcg@10"], "translations are found by their originals"


def test_beginnings_of_vectors_are_trained_to_be_vectors(make: Make, reviews: Any) -> None:
    texts, labels = reviews(160, seed=3)
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    scores = np.array([float(a == b) for a, b in zip(labels[::2], labels[1::2], strict=True)])

    def loss(encoder: bw.SentenceEncoder, size: int) -> float:
        one, other = (encoder.encode([pair[i] for pair in pairs], dimensions=size) for i in (0, 1))
        cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        return float(((cosines - scores) ** 2).mean())

    plain = make(objective="scores", **FAST).fit(pairs, scores)
    nested = make(objective="scores", matryoshka=(32, 3), **FAST).fit(pairs, scores)
    assert loss(nested, 3) < loss(plain, 3)


def test_a_run_that_was_interrupted_ends_in_the_same_bits(make: Make, reviews: Any, tmp_path: Path) -> None:
    from bertworks.training.progress import Progress

    class Stopping(Progress):
        def step(self, report: Any) -> None:
            if report.step == 5:
                import signal

                signal.raise_signal(signal.SIGINT)

    rows = list(zip(*[iter(reviews(60, seed=5)[0])] * 2, strict=True))
    options = {**FAST, "objective": "ranking", "epochs": 4, "dropout": 0.1, "token_budget": 100, "log_steps": 1, "batch_size": 10}
    whole = make(**options).fit(rows)
    stopped = make(**options, output=tmp_path / "run").set_params(progress=Stopping())
    with pytest.raises(bw.errors.Interrupted if hasattr(bw, "errors") else Exception):
        stopped.fit(rows)
    resumed = make(**options, output=tmp_path / "run").fit(rows, resume=True)
    assert (resumed.encode(rows[0]) == whole.encode(rows[0])).all()
    assert (tmp_path / "run" / "model" / "modules.json").exists()


def test_a_trained_encoder_keeps_what_other_tools_expect_of_its_folder(make: Make, texts: list[str], tmp_path: Path) -> None:
    from bertworks.checkpoints.files import open_tensors

    encoder = make(objective="simcse", **{**FAST, "dropout": 0.1}).fit(texts[:8])
    encoder.save(tmp_path / "model")
    with open_tensors(tmp_path / "model") as saved, open_tensors(Path(str(make().model))) as before:
        assert set(saved) == set(before)
        np.testing.assert_array_equal(saved["pooler.dense.weight"], before["pooler.dense.weight"])
        assert (saved["embeddings.word_embeddings.weight"] != before["embeddings.word_embeddings.weight"]).any()


def test_parameters_are_looked_at_anew_in_fit(make: Make, texts: list[str]) -> None:
    encoder = make().fit()
    mean = encoder.encode(texts)
    changed = encoder.set_params(pooling="cls").fit().encode(texts)
    assert np.abs(changed - mean).max() > 1e-3
    np.testing.assert_array_equal(changed, make(pooling="cls").encode(texts))
    with pytest.raises(SettingsError, match="new_tokens have to be learnt"):
        make(new_tokens=["bertworks"]).encode(texts)


WRONG: dict[str, tuple[dict[str, Any], Any, Any, type[Exception], str]] = {
    "objective": ({"objective": "rankin"}, [("a", "b")], None, SettingsError, "Did you mean 'ranking'"),
    "no scores": ({"objective": "scores"}, [("a", "b")], None, DataError, "1 pairs but 0 scores"),
    "equal scores": ({"objective": "scores"}, [("a", "b"), ("c", "d")], [1, 1], DataError, "all scores are 1"),
    "words as scores": ({"objective": "scores"}, [("a", "b"), ("c", "d")], ["x", "y"], DataError, "must be numbers"),
    "score outside": (
        {"objective": "scores", "score_range": (0, 1)},
        [("a", "b"), ("c", "d")],
        [0, 5],
        DataError,
        "outside of the score_range",
    ),
    "single texts": ({"objective": "ranking"}, ["a", "b"], None, DataError, "row 0 has 1 texts"),
    "pairs alone": ({"objective": "simcse"}, [("a", "b")], None, DataError, 'row 0 has 2 texts.*name one column .*objective="ranking"'),
    "targets": ({"objective": "ranking"}, [("a", "b")], [1.0], DataError, "objective='scores'"),
    "no teacher": ({"objective": "distillation"}, ["a", "b"], None, SettingsError, "needs the vectors of a teacher"),
    "vectors": ({"objective": "distillation"}, ["a", "b"], [[1.0] * 32] * 3, DataError, r"shape \[2, width\]"),
    "teacher's width": (
        {"objective": "distillation", "dense": 3},
        ["a", "b"],
        [[1.0, 2.0]] * 2,
        SettingsError,
        r"choose dense=2 \(--dense 2\), or leave out dense",
    ),
    "activation": ({"objective": "simcse", "dense": 3, "activation": "tan"}, ["a", "b"], None, SettingsError, "Did you mean 'tanh'"),
    "layers": ({"objective": "simcse", "layers_from": 3}, ["a", "b"], None, SettingsError, "layers_from is a layer from 0.*to 2.*not 3"),
    "sizes": ({"objective": "ranking", "matryoshka": (64,)}, [("a", "b")], None, SettingsError, "lie from 1 to 32"),
    "pooling": ({"objective": "ranking", "pooling": "men"}, [("a", "b")], None, SettingsError, "Did you mean 'mean'"),
    "nothing": ({"objective": "ranking"}, [], None, DataError, "no texts"),
    "validation alone": ({"objective": None}, [], None, SettingsError, "without an objective"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said(make: Make, what: str) -> None:
    options, rows, targets, kind, message = WRONG[what]
    with pytest.raises(kind, match=message):
        make(**options).fit(rows, targets, **({"validation": (rows, None)} if what == "validation alone" else {}))


def test_merged_vectors_of_a_slow_version() -> None:
    draws = np.random.Generator(np.random.PCG64(1))
    vectors, lengths = draws.standard_normal((9, 4)).astype(np.float32), draws.integers(1, 9, 9)
    texts = np.array([3, 3, 5, 8, 8, 8, 9, 10, 10])
    wanted = [np.average(vectors[texts == text], axis=0, weights=lengths[texts == text]) for text in (3, 5, 8, 9, 10)]
    np.testing.assert_allclose(merged_vectors(vectors, texts, lengths, unit=False), wanted, atol=1e-6)
    unit = [vector / np.linalg.norm(vector) for vector in wanted]
    np.testing.assert_allclose(merged_vectors(vectors, texts, lengths, unit=True), unit, atol=1e-6)


def test_it_is_saved_before_it_has_encoded_anything(tiny_bert: Path, tmp_path: Path) -> None:
    bw.SentenceEncoder(tiny_bert).save(tmp_path / "saved")
    assert bw.load(tmp_path / "saved", verify=True).encode(["good tea"]).shape == (1, 32)


# ---- few examples


def test_a_handful_of_examples_makes_a_classifier(tiny_bert: Path, reviews: Any, tmp_path: Path) -> None:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression

    texts, labels = reviews(260, seed=7)
    few = [i for name in ("good", "bad") for i in [i for i, label in enumerate(labels[:60]) if label == name][:12]]
    train = [texts[i] for i in few], [labels[i] for i in few]
    options: dict[str, Any] = {"precision": "float32", "progress": False, "learning_rate": 5e-3, "epochs": 2, "device": "cpu"}
    plain = bw.FewShotClassifier(tiny_bert, pairs_per_text=0, **options).fit(*train)
    vectors = bw.SentenceEncoder(tiny_bert, precision="float32").encode(texts[60:])
    peer = LogisticRegression(max_iter=200).fit(plain.encoder_.encode(train[0]), train[1])
    assert list(plain.classes_) == list(peer.classes_)
    np.testing.assert_allclose(plain.predict_proba(texts[60:]), peer.predict_proba(vectors), atol=1e-4)
    taught = clone(bw.FewShotClassifier(tiny_bert, pairs_per_text=8, **options)).fit(*train)
    assert taught.score(*train) == 1.0
    taught.save(tmp_path / "few")
    again = bw.FewShotClassifier.load(tmp_path / "few", precision="float32", verify=True)
    np.testing.assert_allclose(again.predict_proba(texts[60:]), taught.predict_proba(texts[60:]), atol=1e-6)
    report = bw.convert(tmp_path / "few", tmp_path / "half", dtype="float16")
    assert (report.folder, report.classes, report.dtype) == (tmp_path / "half", ("BertModel",), "float16")
    half = bw.FewShotClassifier.load(tmp_path / "half", precision="float32", verify=True)
    np.testing.assert_allclose(half.predict_proba(texts[60:]), taught.predict_proba(texts[60:]), atol=2e-2)
    assert isinstance(bw.load(tmp_path / "few", verify=True), bw.FewShotClassifier)
    with pytest.raises(CheckpointError, match=r"few-shot classifier: use it as bertworks\.load"):
        bw.TextClassifier.load(tmp_path / "few")
    with pytest.raises(DataError, match="at least two labels"):
        bw.FewShotClassifier(tiny_bert).fit(["a", "b"], ["x", "x"])
