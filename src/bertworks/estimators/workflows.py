"""The verbs: what `bertworks train`, `evaluate`, `predict`, `doctor` and `demo` do, as functions with the same parameters.

They print nothing: they return reports, and tell whoever watches them what goes on.
"""

from bertworks.estimators.train_report import SeedResult, TrainReport
from bertworks.estimators.verbs.corpus import CorpusReport, prepare_corpus, show_corpus
from bertworks.estimators.verbs.demo import DemoReport, demo
from bertworks.estimators.verbs.doctor import DoctorReport, doctor
from bertworks.estimators.verbs.evaluate import EvaluationReport, evaluate
from bertworks.estimators.verbs.explain import ExplanationReport, explain
from bertworks.estimators.verbs.generate import GenerationReport, generate
from bertworks.estimators.verbs.inspect import InspectionReport, inspect
from bertworks.estimators.verbs.predict import Prediction, PredictionReport, predict
from bertworks.estimators.verbs.report import WrittenReport, report
from bertworks.estimators.verbs.tokenizer import TokenizerInspection, TokenizerReport, inspect_tokenizer, train_tokenizer
from bertworks.estimators.verbs.train import train

__all__ = [
    "CorpusReport",
    "DemoReport",
    "DoctorReport",
    "EvaluationReport",
    "ExplanationReport",
    "GenerationReport",
    "InspectionReport",
    "Prediction",
    "PredictionReport",
    "SeedResult",
    "TokenizerInspection",
    "TokenizerReport",
    "TrainReport",
    "WrittenReport",
    "demo",
    "doctor",
    "evaluate",
    "explain",
    "generate",
    "inspect",
    "inspect_tokenizer",
    "predict",
    "prepare_corpus",
    "report",
    "show_corpus",
    "train",
    "train_tokenizer",
]
