"""`retinoscope models`."""

from __future__ import annotations


def models() -> None:
    """Print the packaged models and the supported model families.

    For example:

        retinoscope models
    """
    from ..pocket import MODELS, scores

    print("Packaged (give the name as MODEL), with their figures on held-out scenes:")
    for name in MODELS:
        reached = scores(name)
        print(
            f"  {name:<18} polling {reached['polling']:.3f}, questions "
            f"{reached['questions']:.3f}, caption recall {reached['caption_recall']:.3f}, "
            f"precision {reached['caption_precision']:.3f} "
            f"({reached['cases']['captions']} scenes)"
        )

    from ._common import quiet

    quiet()
    from ..models import families

    print("Families (give a Hub id or a folder as MODEL):")
    for family, types in families().items():
        print(f"  {family:<18} {', '.join(types)}")
