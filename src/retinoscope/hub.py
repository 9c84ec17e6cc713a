"""Is the Hub there? Asked once, before its library tries again and again for half a minute."""

from __future__ import annotations

from typing import Literal

_NO_NETWORK = ("ConnectError", "ConnectTimeout", "ProxyError")
"""By name: huggingface_hub has spoken HTTP through two packages, which name these alike."""


_FIRST = {"model": "config.json", "dataset": "README.md"}
"""The file of a repository that its library asks for first."""


def unreachable(name: str, kind: Literal["model", "dataset"]) -> Exception | None:
    """Why a repository can be had neither from this machine nor from the Hub.

    None where it is kept here, where the Hub answers, be it with a refusal, and where the answer is
    merely slow: what comes of that is for the library to say.

    Args:
        name: the repository's id.
        kind: of repository.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT

    file = _FIRST[kind]
    try:
        if isinstance(try_to_load_from_cache(name, file, repo_type=kind), str):
            return None
        get_hf_file_metadata(hf_hub_url(name, file, repo_type=kind), timeout=HF_HUB_ETAG_TIMEOUT)
    except Exception as error:
        return error if type(error).__name__ in _NO_NETWORK else None
    return None
