"""How far the fit of a lens is, in a file beside the lens's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...errors import InputError
from ...store import Json, write_bytes

SECONDS = 30.0
"""Least time between two checkpoints."""


@dataclass(eq=False)
class Checkpoint:
    """Beside FILE.safetensors: FILE.part.safetensors. Without a file, nothing is kept.

    Attributes:
        out: the lens's file, or None.
        identity: what makes two fits the same.
    """

    out: Path | None
    identity: Mapping[str, Json]
    _last: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path | None:
        return None if self.out is None else self.out.with_suffix(".part.safetensors")

    def require(self, found: Mapping[str, Json], file: Path) -> None:
        """Refuses what another fit wrote.

        Raises:
            InputError: it differs; the message names the first difference.
        """
        one, other = _flat(self.identity), _flat(found)
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                raise InputError(
                    f"{file}: expected a fit with the same settings, got one with another {name} "
                    f"({other.get(name)}, not {one.get(name)}): choose another file, or delete "
                    "this one"
                )

    def read(self) -> tuple[int, dict[str, Tensor]]:
        """How much is done, and what was kept of it; (0, {}) if there is none.

        Raises:
            InputError: a checkpoint of another fit, or a damaged one.
        """
        path = self.path
        if path is None or not path.exists():
            return 0, {}
        try:
            with safe_open(path, "pt") as file:
                facts = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            done, found = int(facts["done"]), json.loads(facts["identity"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{path}: expected a checkpoint, got {error}: delete it") from error
        self.require(found, path)
        return done, tensors

    def write(
        self, done: int, state: Callable[[], Mapping[str, Tensor]], *, now: bool = False
    ) -> None:
        """Writes a checkpoint if the last one is old, or `now`."""
        path = self.path
        if path is None or not (now or time.monotonic() - self._last >= SECONDS):
            return
        kept = {name: tensor.cpu().contiguous() for name, tensor in state().items()}
        facts = {"done": str(done), "identity": json.dumps(dict(self.identity))}
        write_bytes(path, save(kept, facts))
        self._last = time.monotonic()

    def remove(self) -> None:
        """Removes the file once the lens is finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _flat(identity: Mapping[str, Json]) -> dict[str, Json]:
    settings = identity["settings"]
    assert isinstance(settings, dict)
    return {**{k: v for k, v in identity.items() if k != "settings"}, **settings}
