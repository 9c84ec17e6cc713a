"""A folder of made-up runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_runs import write_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the one that `retinoscope demo` writes, before its report."""
    return write_demo(tmp_path_factory.mktemp("demo"))
