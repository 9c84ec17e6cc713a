"""Devices by name, checked before anything is loaded or drawn."""

from __future__ import annotations

import torch

from .errors import InputError


def device_of(name: str | torch.device | None) -> torch.device:
    """Returns the device called `name`; the CPU for None.

    Raises:
        InputError: not the name of a device, or one that this machine or build of PyTorch lacks.
    """
    try:
        device = torch.device(name or "cpu")
    except (RuntimeError, TypeError) as error:
        raise InputError(f"expected a device such as cpu, cuda or cuda:1, got {name!r}") from error
    try:
        torch.empty(0, device=device)
    except Exception as error:
        # Each backend raises its own exception for "not here".
        raise InputError(
            f"expected a device of this machine, got {name!r}, which PyTorch cannot use here: "
            "choose another, such as cpu"
        ) from error
    return device
