"""Which classes are taken for which."""

from dataclasses import dataclass

from bertworks.estimators.reports.blocks import Block, Cell, Picture, Prose, Section, Table
from bertworks.estimators.reports.charts.confusion import draw_confusion
from bertworks.estimators.reports.run_record import RunRecord
from bertworks.estimators.reports.wording import count, counted, number, percent

MOST_DRAWN = 30
"""Classes up to which the matrix is drawn."""
_MOST_PAIRS = 20


@dataclass(frozen=True)
class Confused:
    """Rows of one class that were taken for another."""

    label: str
    taken_for: str
    rows: int
    share: float
    """Of all rows of the class."""


def confusion(run: RunRecord) -> Section | None:
    """The confusion matrix as a picture; of very many classes the pairs that are confused most, as a table."""
    matrix = run.validation.get("confusion")
    labels = run.labels
    if not isinstance(matrix, list) or not labels or len(matrix) != len(labels):
        return None
    cells = [[int(number(cell) or 0) for cell in row] if isinstance(row, list) else [] for row in matrix]
    if any(len(row) != len(labels) for row in cells):
        return None
    total, right = sum(map(sum, cells)), sum(cells[i][i] for i in range(len(cells)))
    pairs = most_confused(cells, labels)
    blocks: list[Block] = [Prose(f"{right:,} of {counted(total, 'row')} got their own class.")]
    if len(labels) <= MOST_DRAWN:
        worst = "; ".join(f"{pair.label} taken for {pair.taken_for}: {pair.rows:,}" for pair in pairs[:3])
        alternative = f"Confusion matrix of {len(labels)} classes: {right:,} of {total:,} rows on the diagonal"
        alternative += f". Most often confused: {worst}." if worst else ", no row beside it."
        caption = "Confusion matrix: rows by their class and by what was predicted; the shade is the share of the class"
        blocks.append(Picture("confusion", alternative, caption, lambda palette: draw_confusion(palette, cells, labels)))
    if pairs and (len(labels) > MOST_DRAWN or len(labels) > 2):
        lines = [
            (Cell(pair.label), Cell(pair.taken_for), count(pair.rows), Cell(percent(pair.share), pair.share))
            for pair in pairs[:_MOST_PAIRS]
        ]
        rest = f", the first {_MOST_PAIRS} of {len(pairs):,} pairs" if len(pairs) > _MOST_PAIRS else ""
        blocks.append(
            Table(f"Most often confused{rest}; the share is that of all rows of the class", ("class", "taken for", "rows", "share"), lines)
        )
    return Section("confusion", "Confusion", blocks)


def most_confused(cells: list[list[int]], labels: list[str]) -> list[Confused]:
    """Every pair of classes with confused rows, the most frequent first.

    >>> most_confused([[8, 2], [0, 5]], ["a", "b"])
    [Confused(label='a', taken_for='b', rows=2, share=0.2)]
    """
    found = [
        Confused(labels[i], labels[j], rows, rows / sum(cells[i]))
        for i, row in enumerate(cells)
        for j, rows in enumerate(row)
        if i != j and rows > 0
    ]
    return sorted(found, key=lambda pair: -pair.rows)
