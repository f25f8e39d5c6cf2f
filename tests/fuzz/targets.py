"""What is fuzzed: each target takes any bytes, lets one reader read them, and raises only what that reader must not raise.

The same targets serve the property tests (`test_fuzz.py`) and the long, coverage-guided runs (`harness.py`).
"""

from tests.fuzz.data_targets import DATA
from tests.fuzz.model_targets import MODELS
from tests.fuzz.table_targets import TABLES
from tests.fuzz.target import Target
from tests.fuzz.tokenizer_targets import TOKENIZERS

TARGETS: dict[str, Target] = MODELS | TOKENIZERS | DATA | TABLES
