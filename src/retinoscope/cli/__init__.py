"""The command line: `retinoscope --help`. Commands, progress and exit codes; no logic of its own."""

from ._app import app
from ._main import main

__all__ = ["app", "main"]
