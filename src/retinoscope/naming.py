"""File and folder names derived from the names of models, samples and words."""

from __future__ import annotations

import re


def slugify(name: str, *, keep: str = "._-", strip: str = ".-") -> str:
    """Returns `name` with every run of characters outside ASCII letters and digits as one "-".

    Args:
        keep: further characters to leave in place.
        strip: characters removed from both ends, so that no name is hidden or looks like an option.
    """
    return re.sub(f"[^A-Za-z0-9{re.escape(keep)}]+", "-", name).strip(strip)


def last_part(name: str) -> str:
    """Returns the last part of a path, and any other name, such as a Hub id, as it is."""
    return name.rstrip("/").split("/")[-1] if name.startswith(("/", ".")) else name
