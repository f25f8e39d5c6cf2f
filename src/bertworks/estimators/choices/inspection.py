"""What would spoil a training on questions with choices: what stands twice, and what stands on both sides."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from bertworks.data.choice_examples import ChoiceData
from bertworks.data.inspection import Finding, Inspection
from bertworks.data.inspection.findings import MOST_ROWS, Level, by_level
from bertworks.data.inspection.lengths import describe_lengths
from bertworks.data.inspection.rows import EXCERPT, MOST_EXAMPLES, of_all
from bertworks.tasks.multiple_choice import MultipleChoice
from bertworks.tokenization import Tokenizer

_UNLIMITED = 1_000_000
"""Tokens: no question is as long."""


def inspect_choices(data: ChoiceData, other: ChoiceData | None = None) -> Inspection:
    """What can be seen of questions without a tokenizer; `other` are those to validate or test on."""
    findings = [*_dropped(data), *_alike_choices(data), *_repeats(data)]
    if other is not None:
        asked = set(data.questions)
        shared = [row for row, question in enumerate(other.questions) if question in asked]
        if shared:
            message = f"{of_all(len(shared), len(other), 'questions')} of {other.name} are also in the training data: they measure memory."
            findings.append(_finding("warning", "Questions in both sources", message, shared, other))
    places = Counter(data.right)
    labels = {f"choice {place + 1}": count for place, count in places.most_common()}
    return Inspection(len(data), by_level(findings), labels=labels, accounting=data.accounting)


def with_lengths(found: Inspection, data: ChoiceData, tokenizer: Tokenizer, limit: int) -> Inspection:
    """The same with the lengths of what is read: a question with one of its choices; `limit` is the longest that the model reads."""
    batch, _ = MultipleChoice(_UNLIMITED).encode(data.questions, tokenizer)
    return replace(found, lengths=describe_lengths(batch.lengths, "tokens", limit))


def _dropped(data: ChoiceData) -> list[Finding]:
    rows = data.accounting.rows
    return [
        Finding("warning", "Questions that cannot be used", f"{of_all(count, rows, 'questions')}: {reason}.", count=count)
        for reason, count in data.accounting.dropped.items()
    ]


def _alike_choices(data: ChoiceData) -> list[Finding]:
    twice = [row for row, question in enumerate(data.questions) if len(set(question.choices)) < len(question.choices)]
    wrong = [row for row in twice if data.questions[row].choices.count(data.questions[row].choices[data.right[row]]) > 1]
    findings = []
    if wrong:
        message = f"In {of_all(len(wrong), len(data), 'questions')} the right choice stands there twice: nobody can tell which is right."
        findings.append(_finding("warning", "The right choice twice", message, wrong, data))
    if len(twice) > len(wrong):
        message = f"{of_all(len(twice), len(data), 'questions')} have a choice that stands there twice."
        findings.append(_finding("note", "A choice twice", message, twice, data))
    return findings


def _repeats(data: ChoiceData) -> list[Finding]:
    rows: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for row, question in enumerate(data.questions):
        rows[question.text, tuple(sorted(question.choices))].append(row)
    repeated = [group for group in rows.values() if len(group) > 1]
    right = [{data.questions[row].choices[data.right[row]] for row in group} for group in repeated]
    different = [group[0] for group, told in zip(repeated, right, strict=True) if len(told) > 1]
    findings = []
    if repeated:
        message = f"{sum(map(len, repeated)) - len(repeated):,} questions are asked with the same choices before."
        findings.append(_finding("note", "Questions asked twice", message, [group[1] for group in repeated], data))
    if different:
        message = f"{len(different):,} questions are asked twice with the same choices and answered differently."
        findings.append(_finding("warning", "Different answers to one question", message, different, data))
    return findings


def _finding(level: Level, title: str, message: str, places: Iterable[int], data: ChoiceData) -> Finding:
    chosen = list(places)
    rows = tuple(int(data.table.rows[place]) for place in chosen[:MOST_ROWS])
    shown = tuple(
        f"row {row}: “{' '.join(data.questions[place].text.split())[:EXCERPT]}”"
        for row, place in zip(rows[:MOST_EXAMPLES], chosen, strict=False)
    )
    return Finding(level, title, message, rows, len(chosen), shown)
