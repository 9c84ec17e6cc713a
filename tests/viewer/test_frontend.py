"""The front end's own tests and types; `make test` installs what they need where there is Node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FRONTEND = Path(__file__).parents[2] / "frontend"


@pytest.mark.parametrize("script", ["test", "check"])
def test_npm(script: str) -> None:
    npm = shutil.which("npm")
    if npm is None or not (FRONTEND / "node_modules" / ".bin").is_dir():
        pytest.skip("needs Node and `npm ci` in frontend/")
    done = subprocess.run(
        [npm, "run", script], cwd=FRONTEND, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
