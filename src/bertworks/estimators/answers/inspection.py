"""What questions are like before a training, and what would spoil it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bertworks.accounting import Accounting
from bertworks.data.inspection import Finding, Inspection
from bertworks.data.inspection.findings import MOST_ROWS, Level, by_level
from bertworks.data.inspection.lengths import describe_lengths
from bertworks.data.inspection.rows import EXCERPT, MOST_EXAMPLES, of_all
from bertworks.data.question_examples import QuestionData, QuestionExample
from bertworks.tasks.question_windows import TOO_LONG, EncodedQuestions, LostAnswer

_RARE = 0.02
"""Share of questions of a kind below which a model can hardly learn it."""


def inspect_questions(data: QuestionData, other: QuestionData | None = None) -> Inspection:
    """What can be seen of questions without a tokenizer; `other` are those to validate or test on."""
    examples = data.examples
    findings = [*_kinds(data), *_repeats(data)]
    for reason, count in data.accounting.dropped.items():
        findings.append(
            Finding(
                "warning", "Questions that cannot be used", f"{of_all(count, data.accounting.rows, 'questions')}: {reason}.", count=count
            )
        )
    if other is not None:
        findings += _leaks(examples, other)
    return Inspection(len(examples), by_level(findings), accounting=data.accounting)


def with_reading_of(found: Inspection, data: QuestionData, encoded: EncodedQuestions, limit: int) -> Inspection:
    """The same with what the tokenizer tells: answers that no tokens are, questions and contexts that are too long."""
    groups, lengths, lost = encoded.batch.groups, encoded.batch.lengths, in_source(encoded.lost, data)
    more = [*found.findings, *findings_of_lost(lost, len(data)), *findings_of_notes(encoded.accounting, len(data))]
    windowed = [int(group) for group, count in zip(*np.unique(groups, return_counts=True), strict=True) if count > 1]
    if windowed:
        message = (
            f"{of_all(len(windowed), len(data), 'questions')} have a context that does not fit into {limit:,} tokens: "
            "it is read whole, in overlapping windows."
        )
        more.append(_finding("note", "Contexts longer than the model reads at once", message, windowed, data))
    told = describe_lengths(lengths, "tokens", limit) if len(lengths) else None
    return replace(found, findings=by_level(more), lengths=told)


def in_source(lost: Sequence[LostAnswer], data: QuestionData) -> list[LostAnswer]:
    """Answers that were lost of questions, with the numbers that these have in their source."""
    return [replace(each, row=int(data.rows[each.row])) for each in lost]


def findings_of_lost(lost: Sequence[LostAnswer], questions: int) -> list[Finding]:
    """A finding for each reason by which answers are lost."""
    by_reason: dict[str, list[LostAnswer]] = defaultdict(list)
    for each in lost:
        by_reason[each.reason].append(each)
    findings = []
    for reason, answers in by_reason.items():
        rows = tuple(dict.fromkeys(each.row for each in answers))
        shown = tuple(f"question {each.id[:40]}: “{each.answer[:EXCERPT]}”" for each in answers[:MOST_EXAMPLES])
        message = (
            f"{len(answers):,} answers to {of_all(len(rows), questions, 'questions')} cannot be learnt: {reason}. "
            "A question that is left without any is left out."
        )
        findings.append(Finding("warning", "Answers that cannot be found", message, rows[:MOST_ROWS], len(rows), shown))
    return findings


def findings_of_notes(seen: Accounting, questions: int) -> list[Finding]:
    """What the accounting of an encoding tells, as findings."""
    findings = [
        Finding("note", "Answers that were changed, or will not be given", f"{of_all(count, questions, 'questions')}: {what}.", count=count)
        for what, count in seen.notes.items()
    ]
    if seen.dropped[TOO_LONG]:
        message = (
            f"{of_all(seen.dropped[TOO_LONG], questions, 'questions')} take more than half of what the model reads: "
            "shorten them, or leave them out."
        )
        findings.append(Finding("error", "Questions that are too long", message, count=seen.dropped[TOO_LONG]))
    return findings


def _kinds(data: QuestionData) -> list[Finding]:
    examples = data.examples
    without = [row for row, example in enumerate(examples) if example.answers == ()]
    untold = [row for row, example in enumerate(examples) if example.answers is None]
    findings = []
    if untold:
        findings.append(
            _finding(
                "error",
                "Questions without a word about answers",
                f"{of_all(len(untold), len(examples), 'questions')} do not tell their answers.",
                untold,
                data,
            )
        )
    if len(without) == len(examples):
        findings.append(_finding("error", "No answers", "No question has an answer: there is nothing to learn.", [], data))
    elif without:
        share = len(without) / len(examples)
        level: Level = "warning" if min(share, 1 - share) < _RARE else "note"
        rare = (
            " So few can hardly be learnt; a mistake in the data?" if level == "warning" else " The model learns to give no answer to such."
        )
        findings.append(
            _finding(
                level,
                "Questions without an answer",
                f"{of_all(len(without), len(examples), 'questions')} have no answer in their context.{rare}",
                without,
                data,
            )
        )
    return findings


def _repeats(data: QuestionData) -> list[Finding]:
    examples = data.examples
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        rows[" ".join(example.question.lower().split()), example.context].append(row)
    repeated = [group for group in rows.values() if len(group) > 1]
    answers = [{tuple(sorted({a.text for a in examples[row].answers or ()})) for row in group} for group in repeated]
    different = [group for group, told in zip(repeated, answers, strict=True) if len(told) > 1]
    findings = []
    if repeated:
        message = f"{sum(map(len, repeated)) - len(repeated):,} questions are asked on their context before."
        findings.append(_finding("note", "Questions asked twice", message, [group[1] for group in repeated], data))
    if different:
        message = f"{len(different):,} questions are asked twice on their context and answered differently."
        findings.append(_finding("warning", "Different answers to one question", message, [group[0] for group in different], data))
    ids = Counter(example.id for example in examples)
    twice = [row for row, example in enumerate(examples) if ids[example.id] > 1]
    if twice:
        message = (
            f"{of_all(len(twice), len(examples), 'questions')} share their id with another: "
            "files of predictions, which go by it, cannot be written."
        )
        findings.append(_finding("warning", "An id that is not one", message, twice, data))
    return findings


def _leaks(examples: Sequence[QuestionExample], other: QuestionData) -> list[Finding]:
    contexts, asked = {e.context for e in examples}, {(e.question, e.context) for e in examples}
    shared = [row for row, e in enumerate(other.examples) if e.context in contexts]
    same = [row for row, e in enumerate(other.examples) if (e.question, e.context) in asked]
    findings = []
    if same:
        message = f"{of_all(len(same), len(other), 'questions')} of {other.name} are also in the training data: they measure memory."
        findings.append(_finding("warning", "Questions in both sources", message, same, other))
    if len(shared) > len(same):
        message = (
            f"{of_all(len(shared), len(other), 'questions')} of {other.name} are asked on contexts that are also in the training data."
        )
        findings.append(_finding("warning", "Contexts in both sources", message, shared, other))
    return findings


def _finding(level: Level, title: str, message: str, chosen: Sequence[int], data: QuestionData) -> Finding:
    """A finding on the questions at the places `chosen`, which are named by their rows in the source."""
    rows = tuple(int(data.rows[place]) for place in chosen[:MOST_ROWS])
    questions = (data.examples[place].question for place in chosen)
    shown = tuple(
        f"row {row}: “{' '.join(question.split())[:EXCERPT]}”" for row, question in zip(rows[:MOST_EXAMPLES], questions, strict=False)
    )
    return Finding(level, title, message, rows, len(chosen), shown)
