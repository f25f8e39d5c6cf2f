"""Where the questions of a training come from: the settings that config.toml keeps, and the questions that they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bertworks.data.question_examples import QuestionData
from bertworks.data.questions import read_questions
from bertworks.data.squad import is_squad_file
from bertworks.data.table import split_names
from bertworks.estimators.data_settings import DataSettings


@dataclass(frozen=True)
class QuestionSettings(DataSettings):
    """What to train and to validate on: `text` is the column of the question, `pair` that of the context, `label` that of the
    answers; kinds of labels there are none."""

    @staticmethod
    def splits_of(source: Any) -> dict[str, str]:
        return question_splits(source)

    def read_questions(self) -> tuple[QuestionData, QuestionData | None, list[str]]:
        """Questions to train on, questions to validate on, and what a person should know about them, in lines.

        Raises `DataError` where the data cannot be read.
        """
        data = read_questions(self.source, split=self.split, shuffle_seed=self.shuffle_seed, limit=self.limit, **self._reading())
        lines = describe(data)
        if self.validation is None and self.validation_split is None:
            return *self.hold_out(data, lines, what="questions", how="with all of their contexts"), lines
        held = self._read_held_out()
        lines.append(f"validation: {held.name}, {len(held):,} questions, {held.unanswerable:,} of them without an answer")
        shared = len({example.context for example in data.examples}.intersection(example.context for example in held.examples))
        if shared:
            lines.append(f"{shared:,} contexts of the validation data also stand in the training data")
            held.accounting.notes["contexts that are also in the training data"] += shared
        return data, held, lines

    def _read_held_out(self) -> QuestionData:
        source, split = (self.source if self.validation is None else self.validation), self.validation_split
        if self.validation is not None and split is None:
            names = question_splits(source)
            split = names.get("validation") or names.get("test")
        shuffle_seed = self.shuffle_seed if self.validation is None else None  # slices of one source are disjoint in one order only
        return read_questions(source, split=split, shuffle_seed=shuffle_seed, **self._reading())

    def _reading(self) -> dict[str, Any]:
        columns = {"question": self.text, "context": self.pair, "answers": self.label}
        return columns | {name: getattr(self, name) for name in ("on_bad_rows", "encoding", "delimiter")}


def question_splits(source: Any) -> dict[str, str]:
    """The splits of a source by their usual names; a SQuAD file, or a list of examples, has none."""
    if is_squad_file(source) or (isinstance(source, Sequence) and not isinstance(source, str)):
        return {}
    return split_names(source)


def describe(data: QuestionData) -> list[str]:
    """Where the questions come from, on how many contexts, and how many have no answer."""
    contexts = len({example.context for example in data.examples})
    told = [example for example in data.examples if example.answers is not None]
    lines = [f"{data.name}: {len(data):,} questions on {contexts:,} contexts", *data.notes]
    if told:
        lines.append(f"{data.unanswerable:,} questions have no answer in their context ({data.unanswerable / len(told):.1%})")
    lines += [f"{count:,} questions dropped: {reason}" for reason, count in data.accounting.dropped.items()]
    return lines
