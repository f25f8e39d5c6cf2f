"""`python -m tests.faults`: writes `docs/errors.md` anew."""

import sys

from tests.faults.document import write

sys.stdout.write(f"{write()}\n")
