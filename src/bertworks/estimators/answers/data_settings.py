"""Where the questions of a training come from: the settings that config.toml keeps, and the questions that they mean."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from bertworks.accounting import Accounting
from bertworks.data.question_examples import QuestionData
from bertworks.data.questions import read_questions
from bertworks.data.squad import is_squad_file
from bertworks.data.table import split_names
from bertworks.estimators.data_settings import DataSettings


@dataclass(frozen=True)
class QuestionSettings(DataSettings):
    """What to train and to validate on: `text` is the column of the question, `pair` that of the context, `label` that of the
    answers; kinds of labels there are none."""

    def resolved(self) -> "QuestionSettings":
        names = {} if self.split is not None else question_splits(self.source)
        if "train" not in names:
            return self
        found = names.get("validation") if self.validation is None and self.validation_fraction > 0 else None
        return replace(self, split=names["train"], validation_split=self.validation_split or found)

    def read_questions(self) -> tuple[QuestionData, QuestionData | None, list[str]]:
        """Questions to train on, questions to validate on, and what a person should know about them, in lines.

        Raises `DataError` where the data cannot be read.
        """
        data = read_questions(self.source, split=self.split, shuffle_seed=self.shuffle_seed, limit=self.limit, **self._reading())
        lines = describe(data)
        if self.validation is None and self.validation_split is None:
            data, held = hold_out_contexts(data, self.validation_fraction, self.validation_seed)
            if held is None:
                return data, None, [*lines, "no validation data: the model of the last step is kept"]
            told = f"{len(held):,} of {len(data) + len(held):,} questions held out for validation, with all of their contexts"
            return data, held, [*lines, f"{told} (seed {self.validation_seed})"]
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


def hold_out_contexts(data: QuestionData, fraction: float, seed: int) -> tuple[QuestionData, QuestionData | None]:
    """Questions to train on and questions held out: about so large a share of them, by whole contexts, so that none stands in both.

    Where there is one context only, nothing is held out. Raises `SettingsError` for a fraction outside [0, 1).
    """
    kept, out = data.division.hold_out(fraction, seed)
    if not len(out):
        return data, None
    seen = replace(data.accounting, rows=data.accounting.rows - len(out))
    name = f"the validation part of {PurePath(data.name).name}"
    return data.part(kept, seen, data.name), data.part(out, Accounting(rows=len(out)), name)


def describe(data: QuestionData) -> list[str]:
    """Where the questions come from, on how many contexts, and how many have no answer."""
    contexts = len({example.context for example in data.examples})
    told = [example for example in data.examples if example.answers is not None]
    lines = [f"{data.name}: {len(data):,} questions on {contexts:,} contexts", *data.notes]
    if told:
        lines.append(f"{data.unanswerable:,} questions have no answer in their context ({data.unanswerable / len(told):.1%})")
    lines += [f"{count:,} questions dropped: {reason}" for reason, count in data.accounting.dropped.items()]
    return lines
