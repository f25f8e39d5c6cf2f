"""All cases, by group, in the order of the documentation. A new case goes into the list of its group."""

from tests.faults.case import Case
from tests.faults.column_cases import COLUMNS
from tests.faults.description_cases import DESCRIPTIONS
from tests.faults.file_cases import FILES
from tests.faults.folder_cases import FOLDERS
from tests.faults.hub_cases import HUB
from tests.faults.memory_cases import MEMORY
from tests.faults.run_cases import RUNS
from tests.faults.search_cases import SEARCH
from tests.faults.settings_cases import SETTINGS
from tests.faults.tokenizer_cases import TOKENIZERS

GROUPS: dict[str, list[Case]] = {
    "Commands and settings": SETTINGS,
    "Search and ranking": SEARCH,
    "Columns, labels and splits": COLUMNS,
    "Data files": FILES,
    "Names of models and the hub": HUB,
    "Model folders": FOLDERS + DESCRIPTIONS,
    "Tokenizers": TOKENIZERS,
    "Runs": RUNS,
    "Memory and disk": MEMORY,
}
