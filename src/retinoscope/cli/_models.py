"""`retinoscope models`."""

from __future__ import annotations

from typing import Any

from ._say import say


def models() -> None:
    """Print the packaged models and the supported model families.

    For example:

        retinoscope models
    """
    from ..pocket import MODELS, scores

    say("Packaged (give the name as MODEL), with their figures on held-out scenes:")
    for name in MODELS:
        say(_line(name, scores(name)))

    from ._common import quiet

    quiet()
    from ..pocket import smol

    if smol.MODELS:
        say("Made of pretrained parts (after `retinoscope fetch smol`), on the same scenes:")
    for name in smol.MODELS:
        say(_line(name, smol.scores(name)))
    from .. import interfaces

    if interfaces.packaged_names():
        say("Visual interfaces (give the name as MODEL), on varied scenes:")
    for name in interfaces.packaged_names():
        scores = interfaces.packaged(name).facts["scores"]
        shares = (f"{kind} {scores[kind]:.3f}" for kind in ("polling", "color", "relation"))
        say(f"  {name:<22} {', '.join(shares)}")
    from ..models import families

    say("Families (give a Hub id or a folder as MODEL):")
    for family, types in families().items():
        say(f"  {family:<18} {', '.join(types)}")


def _line(name: str, reached: dict[str, Any]) -> str:
    return (
        f"  {name:<18} polling {reached['polling']:.3f}, questions "
        f"{reached['questions']:.3f}, caption recall {reached['caption_recall']:.3f}, "
        f"precision {reached['caption_precision']:.3f} "
        f"({reached['cases']['captions']} scenes)"
    )
