"""A trained reader in one small file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ...errors import InputError
from ...store import write_bytes
from ._model import ReaderShape, WordReader

READER = Path(__file__).parent.parent / "weights" / "reader.safetensors"
"""The packaged reader."""
_AGAIN = "give a file that `retinoscope train reader` wrote"


@dataclass(frozen=True, eq=False)
class StoredReader:
    """A reader in evaluation mode, and how it was trained.

    Attributes:
        reader: in float32.
        facts: what was trained and how it read, as JSON values.
    """

    reader: WordReader
    facts: Mapping[str, Any]


@torch.no_grad()
def round_as_stored(reader: WordReader) -> None:
    """Rounds a reader's weights to float16 in place, so that what is judged is what is stored."""
    for value in reader.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.half())


def write_reader(path: Path, reader: WordReader, facts: Mapping[str, Any]) -> None:
    """Writes a reader in float16."""
    state = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in sorted(reader.state_dict().items())
    }
    about = {"shape": asdict(reader.shape), "facts": dict(facts)}
    # One entry: the library writes several in any order.
    write_bytes(path, save(state, metadata={"about": json.dumps(about)}))


def open_reader(path: Path | None = None) -> StoredReader:
    """Opens a file that `write_reader` wrote; the packaged reader by default.

    Raises:
        InputError: the file is missing, damaged or something else.
    """
    path = READER if path is None else path
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            state = {key: file.get_tensor(key) for key in list(file.keys())}
        reader = WordReader(ReaderShape(**about["shape"]))
        reader.load_state_dict(
            {
                key: value.float() if value.is_floating_point() else value
                for key, value in state.items()
            }
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a trained reader, got {reason}: {_AGAIN}") from error
    return StoredReader(reader.eval().requires_grad_(False), about["facts"])
