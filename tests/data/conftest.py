"""What the tests of the readers share."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: `BERTWORKS_DATA`, or `shared/data` beside the checkout."""
    folder = Path(os.environ.get("BERTWORKS_DATA") or SHARED)
    if not (folder / "classification").is_dir():
        pytest.skip(f"no real data sets in '{folder}' (set BERTWORKS_DATA to the folder that holds classification/ and pairs/)")
    return folder
