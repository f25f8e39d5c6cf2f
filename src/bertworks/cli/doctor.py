"""`bertworks doctor`."""

from typing import Annotated

import typer

from bertworks.cli import options


def doctor(
    measure: Annotated[bool, typer.Option("--measure", help="Measure the processor again (half a second) and keep the result.")] = False,
    json: options.Json = False,
) -> None:
    """Show what is chosen on this machine, and why."""
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.doctor import doctor as run

    report = run(measure=measure)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    for topic in dict.fromkeys(fact.topic for fact in report.facts):
        show.heading(console, topic)
        for fact in (fact for fact in report.facts if fact.topic == topic):
            show.named(console, fact.name, fact.value, fact.why)
