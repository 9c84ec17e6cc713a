"""What tells one set of weights from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import nn


def digest_of(modules: Mapping[str, nn.Module]) -> str:
    """Sixteen hexadecimal digits of all parameters and buffers of these modules."""
    digest = hashlib.sha256()
    for name, module in sorted(modules.items()):
        for key, value in sorted(module.state_dict().items()):
            digest.update(f"{name} {key} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
