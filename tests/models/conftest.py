"""The tiny models of tests/families, for the tests of what families have in common."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "families"))
