"""What became of the rows, and what they are like."""

from collections.abc import Mapping
from typing import Any, get_args

from bertworks.estimators.reports.blocks import ABSENT, Block, Cell, Level, Notice, Picture, Prose, Section, Table
from bertworks.estimators.reports.charts.lengths import draw_lengths
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import count, counted, mapping, number, percent, rows_in

_COUNTS = {
    "rows": "rows handed in",
    "sequences": "sequences made of them",
    "tokens": "tokens read",
    "windowed_rows": "long rows read whole, in windows",
    "truncated_rows": "rows of which a part was not read",
    "truncated_tokens": "tokens not read",
    "unknown_tokens": "tokens unknown to the vocabulary",
}
_REASONS = {"dropped": "rows not used: ", "notes": "rows: "}
_MOST_LABELS = 40
_MOST_NUMBERS = 12
"""Row numbers that a finding names."""
_MOST_EXAMPLES = 4
"""Rows of a finding that are quoted, in place of their numbers."""


def accounting(run: RunRecord) -> Section | None:
    """What became of the rows of each part, down to the last token."""
    parts = {str(name): mapping(seen) for name, seen in run.accounting.items() if seen}
    if not parts:
        return None
    lines: list[list[Cell]] = []
    for key, name in _COUNTS.items():
        if any(key in seen for seen in parts.values()):
            lines.append([Cell(name), *(count(seen.get(key)) for seen in parts.values())])
        if key == "tokens":
            lines.append([Cell("padding"), *(_padding(seen) for seen in parts.values())])
    for kind, name in _REASONS.items():
        reasons = dict.fromkeys(reason for seen in parts.values() for reason in mapping(seen.get(kind)))
        lines += [
            [Cell(f"{name}{reason}"), *(count(mapping(seen.get(kind)).get(reason, 0)) for seen in parts.values())] for reason in reasons
        ]
    table = Table("What became of the rows", ("", *parts), lines)
    return Section("accounting", "Accounting", (Prose("Every row and every token that was handed in is counted here."), table))


def _padding(seen: Mapping[str, Any]) -> Cell:
    padding, tokens = number(seen.get("padding_tokens")), number(seen.get("tokens"))
    if padding is None or tokens is None:
        return ABSENT
    share = padding / max(1.0, padding + tokens)
    return Cell(percent(share), share)


def data(run: RunRecord) -> Section | None:
    """Labels and their balance, lengths against the limit, and what the inspection found."""
    labels = label_table(run)
    blocks = [*([labels] if labels is not None else []), *_lengths(run), *findings(run)]
    return Section("data", "Data", blocks) if blocks else None


def label_table(run: RunRecord) -> Table | None:
    """How many rows each label has, the most frequent first."""
    found = [(str(name), rows) for name, value in mapping(run.inspection.get("labels")).items() if (rows := number(value)) is not None]
    if not found:
        return None
    found.sort(key=lambda pair: -pair[1])
    what = str(run.inspection.get("labels_count") or "rows")
    total = sum(rows for _, rows in found) if what != "rows" else number(run.inspection.get("rows")) or sum(rows for _, rows in found)
    lines = [
        (Cell(name), count(rows), Cell(percent(rows / max(1, total)), rows / max(1, total), share=rows / max(1, total)))
        for name, rows in found[:_MOST_LABELS]
    ]
    rest = len(found) - len(lines)
    less = (
        f" The {rest:,} rarest of {len(found):,} labels, with {found[_MOST_LABELS][1]:,.0f} {what} at most, are left out here."
        if rest
        else ""
    )
    several = " A row may have several labels." if run.kind == "multi" else ""
    of = counted(total, "row") if what == "rows" else f"{total:,.0f} {what}"
    return Table(f"Labels of {of}.{several}{less}", ("label", what, "share"), lines)


def _lengths(run: RunRecord) -> list[Block]:
    lengths = mapping(run.inspection.get("lengths"))
    told = _about_lengths(lengths)
    blocks: list[Block] = [Prose(told)] if told else []
    edges, counts = lengths.get("edges"), lengths.get("counts")
    if isinstance(edges, list) and isinstance(counts, list) and counts and len(edges) == len(counts) + 1:
        unit = _unit(lengths)
        alternative = f"Histogram of the lengths of the texts in {unit}, with the median and the limit of the model marked."
        blocks.append(Picture("lengths", alternative, f"Lengths of the texts in {unit}", lambda palette: draw_lengths(palette, lengths)))
    return blocks


def _about_lengths(lengths: Mapping[str, Any]) -> str:
    names = {"median": "the median is", "mean": "the mean", "p95": "95 % have at most", "longest": "the longest has"}
    told = [f"{words} {_tokens(value)}" for key, words in names.items() if (value := number(lengths.get(key))) is not None]
    text = f"Lengths in {_unit(lengths)}: {', '.join(told)}." if told else ""
    limit, over = number(lengths.get("limit")), number(lengths.get("over_limit"))
    if limit is not None:
        beyond = "" if over is None else ", and no text is longer" if not over else f", and {counted(over, 'text is', 'texts are')} longer"
        text += f" The model reads {limit:,.0f} at once{beyond}."
    return text.strip()


def _unit(lengths: Mapping[str, Any]) -> str:
    return str(lengths.get("unit") or "tokens")


def _tokens(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def findings(run: RunRecord) -> list[Notice]:
    """What the inspection found, errors first, with the rows that show it."""
    found = [_finding(finding) for finding in rows_in(run.inspection.get("findings"))]
    return sorted(found, key=lambda notice: get_args(Level).index(notice.level))


def _finding(finding: Mapping[str, Any]) -> Notice:
    level: Level = next((known for known in get_args(Level) if known == finding.get("level")), "note")
    text = str(finding.get("message") or "")
    examples, numbers = finding.get("examples"), finding.get("rows")
    if isinstance(examples, list) and examples:
        return Notice(level, _title(finding), text, [str(line) for line in examples[:_MOST_EXAMPLES]])
    if isinstance(numbers, list) and numbers:
        rest = max(len(numbers), int(number(finding.get("count")) or 0)) - _MOST_NUMBERS
        more = f" and {rest:,} more" if rest > 0 else ""
        text = f"{text} Rows: {', '.join(map(str, numbers[:_MOST_NUMBERS]))}{more}."
    return Notice(level, _title(finding), text.strip())


def _title(finding: Mapping[str, Any]) -> str:
    return str(finding.get("title") or "Finding")
