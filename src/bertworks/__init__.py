"""bertworks: the whole life of a BERT-family encoder, from text to a trained, judged and explained model, without padding.

Public names load when they are first used, so that `import bertworks` is light: no torch, no pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertworks.batch import PackedBatch
    from bertworks.estimators.answers.answerer import QuestionAnswerer
    from bertworks.estimators.answers.prediction import answer
    from bertworks.estimators.classifier import TextClassifier
    from bertworks.estimators.convert import convert
    from bertworks.estimators.embeddings.few_shot import FewShotClassifier
    from bertworks.estimators.embeddings.mining import mine
    from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
    from bertworks.estimators.embeddings.vector_index import VectorIndex
    from bertworks.estimators.embeddings.verbs import embed, search
    from bertworks.estimators.embeddings.zero_shot import zero_shot
    from bertworks.estimators.encoder import Encoder
    from bertworks.estimators.entities.recognizer import EntityRecognizer
    from bertworks.estimators.feature_extractor import FeatureExtractor
    from bertworks.estimators.generator import TextGenerator
    from bertworks.estimators.load import load
    from bertworks.estimators.mask_filler import MaskFiller
    from bertworks.estimators.multiple_choice import MultipleChoice
    from bertworks.estimators.next_sentence import NextSentence
    from bertworks.estimators.pretraining.run import pretrain
    from bertworks.estimators.verbs.compare import compare
    from bertworks.estimators.verbs.cross_validate import cross_validate
    from bertworks.estimators.verbs.features import features
    from bertworks.estimators.verbs.learning_curve import learning_curve
    from bertworks.estimators.verbs.probe import probe
    from bertworks.estimators.verbs.rank import rank
    from bertworks.estimators.verbs.tune import tune
    from bertworks.estimators.workflows import (
        demo,
        doctor,
        evaluate,
        generate,
        inspect,
        predict,
        prepare_corpus,
        report,
        train,
        train_tokenizer,
    )
    from bertworks.tokenization import Tokenizer

__version__ = "0.1.0"

__all__ = [
    "Encoder",
    "EntityRecognizer",
    "FeatureExtractor",
    "FewShotClassifier",
    "MaskFiller",
    "MultipleChoice",
    "NextSentence",
    "PackedBatch",
    "QuestionAnswerer",
    "SentenceEncoder",
    "TextClassifier",
    "TextGenerator",
    "Tokenizer",
    "VectorIndex",
    "__version__",
    "answer",
    "compare",
    "convert",
    "cross_validate",
    "demo",
    "doctor",
    "embed",
    "evaluate",
    "features",
    "generate",
    "inspect",
    "learning_curve",
    "load",
    "mine",
    "predict",
    "prepare_corpus",
    "pretrain",
    "probe",
    "rank",
    "report",
    "search",
    "train",
    "train_tokenizer",
    "tune",
    "zero_shot",
]

_HOMES = {
    "Encoder": "bertworks.estimators.encoder",
    "EntityRecognizer": "bertworks.estimators.entities.recognizer",
    "FeatureExtractor": "bertworks.estimators.feature_extractor",
    "FewShotClassifier": "bertworks.estimators.embeddings.few_shot",
    "MaskFiller": "bertworks.estimators.mask_filler",
    "MultipleChoice": "bertworks.estimators.multiple_choice",
    "NextSentence": "bertworks.estimators.next_sentence",
    "PackedBatch": "bertworks.batch",
    "QuestionAnswerer": "bertworks.estimators.answers.answerer",
    "SentenceEncoder": "bertworks.estimators.embeddings.sentence_encoder",
    "TextClassifier": "bertworks.estimators.classifier",
    "TextGenerator": "bertworks.estimators.generator",
    "Tokenizer": "bertworks.tokenization",
    "VectorIndex": "bertworks.estimators.embeddings.vector_index",
    "answer": "bertworks.estimators.answers.prediction",
    "compare": "bertworks.estimators.verbs.compare",
    "convert": "bertworks.estimators.convert",
    "cross_validate": "bertworks.estimators.verbs.cross_validate",
    "demo": "bertworks.estimators.workflows",
    "doctor": "bertworks.estimators.workflows",
    "embed": "bertworks.estimators.embeddings.verbs",
    "evaluate": "bertworks.estimators.workflows",
    "features": "bertworks.estimators.verbs.features",
    "generate": "bertworks.estimators.workflows",
    "inspect": "bertworks.estimators.workflows",
    "learning_curve": "bertworks.estimators.verbs.learning_curve",
    "load": "bertworks.estimators.load",
    "mine": "bertworks.estimators.embeddings.mining",
    "predict": "bertworks.estimators.workflows",
    "prepare_corpus": "bertworks.estimators.workflows",
    "pretrain": "bertworks.estimators.pretraining.run",
    "probe": "bertworks.estimators.verbs.probe",
    "rank": "bertworks.estimators.verbs.rank",
    "report": "bertworks.estimators.workflows",
    "search": "bertworks.estimators.embeddings.verbs",
    "train": "bertworks.estimators.workflows",
    "train_tokenizer": "bertworks.estimators.workflows",
    "tune": "bertworks.estimators.verbs.tune",
    "zero_shot": "bertworks.estimators.embeddings.zero_shot",
}
"""The module in which each public name lives."""


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        from bertworks.errors import nearest

        hint = "" if name.startswith("_") else nearest(name, _HOMES)
        raise AttributeError(f"module 'bertworks' has no attribute '{name}'.{hint}", name=name)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
