"""Whether the Hub can be reached: one request, instead of half a minute of retries."""

from __future__ import annotations

from typing import Literal

_NO_NETWORK = ("ConnectError", "ConnectTimeout", "ProxyError")
"""Names of exceptions, the same in both HTTP packages that huggingface_hub has used."""


_FIRST_FILE = {"model": "config.json", "dataset": "README.md"}
"""The file of a repository that its library requests first."""


def unreachable(name: str, kind: Literal["model", "dataset"]) -> Exception | None:
    """Returns the network error if a repository is neither cached here nor reachable on the Hub.

    Returns None where it is cached, or where the Hub answers, even with a refusal or slowly: the
    library then reports what is wrong.

    Args:
        name: the repository's id.
        kind: "model" or "dataset".
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT

    file = _FIRST_FILE[kind]
    try:
        if isinstance(try_to_load_from_cache(name, file, repo_type=kind), str):
            return None
        get_hf_file_metadata(hf_hub_url(name, file, repo_type=kind), timeout=HF_HUB_ETAG_TIMEOUT)
    except Exception as error:
        return error if type(error).__name__ in _NO_NETWORK else None
    return None
