"""What is wrong with texts that belong together: rows that teach nothing, and what is a negative though it belongs to the text.

In a step of the objective "ranking", the partners of all other rows are negatives of a text. Equal texts are kept from that
(`nn.vector_losses`); what is told here it cannot see.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from bertworks.data.inspection import Finding, TextRows, near_duplicates
from bertworks.data.inspection.findings import Level
from bertworks.data.inspection.rows import EXCERPT, FEW, listing, of_all

_MANY = 5 * FEW
"""Share of the rows from which on a fault that weakens a training is a warning."""
_LEAST_TO_JUDGE = 20

Rows = Sequence[tuple[str, ...]]


def check_partners(rows: TextRows, texts: Rows) -> Iterator[Finding]:
    """Rows of the same text twice; negatives that are positives; one partner for many texts; likely false negatives."""
    yield from _same_sides(rows, texts)
    yield from _own_negatives(rows, texts)
    yield from _contradictions(rows, texts)
    yield from _shared_partners(rows, texts)
    yield from _false_negatives(rows, texts)
    yield from _near_partners(rows, texts)


def _level(count: int, rows: TextRows) -> Level:
    return "warning" if count > _MANY * len(rows) else "note"


def _same_sides(rows: TextRows, texts: Rows) -> Iterator[Finding]:
    same = [place for place, row in enumerate(texts) if row[0].strip() == row[1].strip()]
    if same:
        yield rows.finding(
            "error" if len(same) > 0.5 * len(rows) else "warning",
            "The same on both sides",
            f"{of_all(len(same), len(rows))} pair a text with itself: it finds its partner without learning anything. Leave them out, or "
            'choose another second column with pair="…" (--pair …); to learn from texts alone, give one column (SimCSE).',
            same,
        )


def _own_negatives(rows: TextRows, texts: Rows) -> Iterator[Finding]:
    wrong = [place for place, row in enumerate(texts) if {text.strip() for text in row[2:]} & {row[0].strip(), row[1].strip()}]
    if wrong:
        yield rows.finding(
            "warning",
            "A negative that is the text or its partner",
            f"{of_all(len(wrong), len(rows))} have a negative that equals their first or their second text. It is left out of the loss: "
            "find another.",
            wrong,
        )


def _contradictions(rows: TextRows, texts: Rows) -> Iterator[Finding]:
    partners: defaultdict[str, set[str]] = defaultdict(set)
    for row in texts:
        partners[row[0].strip()].add(row[1].strip())
    wrong, examples = [], []
    for place, row in enumerate(texts):
        first, second = row[0].strip(), row[1].strip()
        contrary = next((text for text in row[2:] if text.strip() in partners[first] - {first, second}), None)
        if contrary is not None:
            wrong.append(place)
            examples.append(f"{rows.example(place)}: the negative “{' '.join(contrary.split())[:EXCERPT]}” is a partner in another row")
    if wrong:
        yield rows.finding(
            "warning",
            "A partner that is also a negative",
            f"{of_all(len(wrong), len(rows))} have a negative that another row gives as partner of the same text: one of the two rows is "
            "wrong. Settle which, or leave the negative out.",
            wrong,
            examples,
        )


def _shared_partners(rows: TextRows, texts: Rows) -> Iterator[Finding]:
    firsts: defaultdict[str, set[str]] = defaultdict(set)
    for row in texts:
        firsts[row[1]].add(row[0])
    shared = {partner for partner, found in firsts.items() if len(found) > 1}
    places = [place for place, row in enumerate(texts) if row[1] in shared]
    if not places:
        return
    counts = Counter(texts[place][1] for place in places)
    most = counts.most_common(1)[0][1]
    told = listing((f"“{' '.join(text.split())[:EXCERPT]}” {count:,} times" for text, count in counts.most_common(3)), 3)
    yield rows.finding(
        "warning" if most > _MANY * len(rows) and len(rows) >= _LEAST_TO_JUDGE else "note",
        "One partner for many texts",
        f"{of_all(len(places), len(rows))} share their second text with a row of another first text ({told}). They are no negatives of "
        "each other here, in other tools they would be; where one text stands too often, a step has few negatives left. Keep some rows "
        "of each.",
        places,
    )


def _false_negatives(rows: TextRows, texts: Rows) -> Iterator[Finding]:
    """Rows that are linked by texts that they share, but have neither text in common: A-P, B-P and A-Q make Q a likely partner
    of B, which in a step is its negative."""
    counts = Counter(text for row in texts for text in set(row[:2]))
    usual = {text for text, count in counts.items() if count <= max(_LEAST_TO_JUDGE, _MANY * len(texts))}
    of_row = _components(texts, usual)
    size = Counter(of_row)
    firsts = Counter((group, row[0]) for group, row in zip(of_row, texts, strict=True))
    seconds = Counter((group, row[1]) for group, row in zip(of_row, texts, strict=True))
    both = Counter((group, *row[:2]) for group, row in zip(of_row, texts, strict=True))
    places = []
    for place, (group, (first, second, *_)) in enumerate(zip(of_row, texts, strict=True)):
        alike = firsts[group, first]  # rows of the group whose partner the loss does not take for a negative of this text
        for partner in {first, second}:
            alike += seconds[group, partner] - both[group, first, partner]
        if size[group] > alike:
            places.append(place)
    if places:
        yield rows.finding(
            _level(len(places), rows),
            "Likely false negatives",
            f"{of_all(len(places), len(rows))} are linked to another row by a text that they share, so that its partner may well be theirs "
            "too; where both come into one step, it is a negative. Keep one row of each group of texts, or add the missing pairs.",
            places,
        )


def _components(texts: Rows, linking: set[str]) -> list[int]:
    """For each row the number of the component that it is in: rows are linked by texts of `linking` that they share."""
    roots = list(range(len(texts)))

    def root(member: int) -> int:
        while roots[member] != member:
            roots[member] = roots[roots[member]]
            member = roots[member]
        return member

    seen: dict[str, int] = {}
    for place, row in enumerate(texts):
        for text in row[:2]:
            if text in linking:
                low, high = sorted((root(seen.setdefault(text, place)), root(place)))
                roots[high] = low
    return [root(place) for place in range(len(texts))]


def _near_partners(rows: TextRows, texts: Rows) -> Iterator[Finding]:
    """Partners that are near duplicates, of different texts."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(texts):
        places[row[1]].append(place)
    different = list(places)
    groups = [[place for number in group for place in places[different[number]]] for group in near_duplicates(different).groups]
    groups = [sorted(group) for group in groups if len({texts[place][0] for place in group}) > 1]
    found = sorted(place for group in groups for place in group)
    if found:
        yield rows.finding(
            _level(len(found), rows),
            "Nearly the same partner for different texts",
            f"{of_all(len(found), len(rows))} have a second text that is nearly that of a row with another first text. They are negatives "
            "of each other where they come into one step: write equal texts alike, or keep one of them.",
            found,
            (rows.group(group) for group in groups),
        )
