"""Names of files and folders, made of names that people and models have."""

from __future__ import annotations

import re


def slugify(name: str, *, keep: str = "._-", strip: str = ".-") -> str:
    """`name` with every run of other characters than ASCII letters and digits as one "-".

    Args:
        keep: characters that stay.
        strip: characters taken off both ends, so that no name is hidden or looks like an option.
    """
    return re.sub(f"[^A-Za-z0-9{re.escape(keep)}]+", "-", name).strip(strip)
