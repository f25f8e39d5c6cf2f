"""What a run folder tells a person: a report in HTML and Markdown, and a card for its model.

`sections/` makes sections of what the folder holds, `charts/` draws their pictures, `rendering` gives them a format.
"""

from bertworks.estimators.reports.card import write_model_card
from bertworks.estimators.reports.run_record import RunRecord, read_run
from bertworks.estimators.reports.writing import write_report

__all__ = ["RunRecord", "read_run", "write_model_card", "write_report"]
