"""Serving of every page of this package: a guard before its routes, an address, a token.

Needs the extra "serve".
"""

from __future__ import annotations

from ..errors import MissingExtraError

try:
    from ._guard import RETRY_AFTER, TOKEN_COOKIE, Guard, Limits, matches
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "serve") from error
from ._serve import address_of, host_names, is_loopback, listen, run_app

__all__ = [
    "RETRY_AFTER",
    "TOKEN_COOKIE",
    "Guard",
    "Limits",
    "address_of",
    "host_names",
    "is_loopback",
    "listen",
    "matches",
    "run_app",
]
