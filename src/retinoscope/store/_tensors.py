"""tensors/*.safetensors, from NumPy arrays or torch tensors; does not import torch for NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as save_numpy

from retinoscope.errors import InputError
from retinoscope.store._atomic import write_bytes

if TYPE_CHECKING:
    import torch

TENSORS = "tensors"


def save_tensors(path: Path, tensors: Mapping[str, np.ndarray | torch.Tensor]) -> None:
    """Writes `tensors` to `path` whole, values and dtypes unchanged (including bfloat16).

    Raises:
        InputError: nothing to write, or a value that is not an array or tensor of numbers.
        StudyError: the disk is full.
    """
    if not tensors:
        raise InputError(f"{path.name}: expected at least one tensor, got none")
    arrays: dict[str, np.ndarray] = {}
    others: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in "biuf":
                raise InputError(f"{path.name}: {name!r} holds {value.dtype}, expected numbers")
            arrays[name] = np.ascontiguousarray(value)
        elif hasattr(value, "detach"):
            others[name] = value.detach().cpu().contiguous().clone()
        else:
            raise InputError(
                f"{path.name}: {name!r} is a {type(value).__name__}, expected an array or tensor"
            )
    if others:
        # torch is already imported by whoever passes its tensors; NumPy has no bfloat16.
        from safetensors.torch import save as save_torch
        from torch import from_numpy

        others |= {name: from_numpy(array.copy()) for name, array in arrays.items()}
        write_bytes(path, save_torch(dict(sorted(others.items()))))
    else:
        write_bytes(path, save_numpy(dict(sorted(arrays.items()))))


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of one file as NumPy arrays.

    Raises:
        InputError: no such file, a damaged one, or a dtype that NumPy lacks (bfloat16).
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(
            f"no tensors were written as {path.name!r} ({path} does not exist)"
        ) from None
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"cannot read {path} as NumPy arrays: {error}") from None
