"""Where the questions of a training come from: the settings that config.toml keeps, and the questions that they mean."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from bertworks.data.choice_examples import ChoiceData
from bertworks.data.choices import read_choices
from bertworks.data.table import split_names
from bertworks.estimators.data_settings import DataSettings


@dataclass(frozen=True)
class ChoiceSettings(DataSettings):
    """What to train and to validate on: `text` is the column of the question, `pair` that of a context, which is read before it,
    `label` that of the answer; kinds of labels there are none."""

    choices: tuple[str, ...] | None = None
    """The column that holds lists of choices, or one column for each choice; guessed by well-known names where that is safe."""
    first_choice: int | None = None
    """The number of the first choice in answers, 0 or 1; seen from the answers where they tell."""

    def __post_init__(self) -> None:
        """A single name, or a list of them, may be given for `choices`."""
        given: Any = self.choices
        if given is not None:
            object.__setattr__(self, "choices", (given,) if isinstance(given, str) else tuple(given))

    def read_choices(self) -> tuple[ChoiceData, ChoiceData | None, list[str]]:
        """Questions to train on, questions to validate on, and what a person should know about them, in lines.

        Raises `DataError` where the data cannot be read.
        """
        slices: dict[str, Any] = {"split": self.split, "shuffle_seed": self.shuffle_seed, "limit": self.limit}
        columns: dict[str, Any] = {"question": self.text, "context": self.pair, "choices": self.choices, "answers": self.label}
        data = read_choices(self.source, first=self.first_choice, **slices, **columns, **self._reading())
        lines = describe(data)
        if self.validation is None and self.validation_split is None:
            how = "drawn at random" if data.columns.context is None else "with all that have the same context"
            return *self.hold_out(data, lines, what="questions", how=how), lines
        held = self._read_held_out(data)
        lines.append(f"validation: {held.name}, {len(held):,} questions")
        seen = set(data.questions)
        repeated = sum(question in seen for question in held.questions)
        if repeated:
            lines.append(f"{repeated:,} questions of the validation data also stand in the training data")
            held.accounting.notes["also in the training data"] += repeated
        return data, held, lines

    def _read_held_out(self, data: ChoiceData) -> ChoiceData:
        source, split = (self.source if self.validation is None else self.validation), self.validation_split
        if self.validation is not None and split is None:
            names = split_names(source)
            split = names.get("validation") or names.get("test")
        shuffle_seed = self.shuffle_seed if self.validation is None else None  # slices of one source are disjoint in one order only
        found = data.columns
        first = data.form.first if data.form is not None and data.form.kind == "number" else None
        columns: dict[str, Any] = {"question": found.question, "context": found.context, "choices": found.choices, "answers": found.answers}
        return read_choices(source, split=split, shuffle_seed=shuffle_seed, first=first, **columns, **self._reading())

    def _reading(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("on_bad_rows", "encoding", "delimiter")}


def describe(data: ChoiceData) -> list[str]:
    """Where the questions come from, how they were understood, and how many choices they have."""
    counts = Counter(len(question.choices) for question in data.questions)
    told = ", ".join(f"{rows:,} with {count}" for count, rows in sorted(counts.items())[:8]) + (" …" if len(counts) > 8 else "")
    choices = f"{next(iter(counts))} choices each" if len(counts) == 1 else f"choices: {told}"
    lines = [f"{data.name}: {len(data):,} questions, {choices}", *data.notes]
    return lines + [f"{count:,} questions dropped: {reason}" for reason, count in data.accounting.dropped.items()]
