"""`retinoscope models`."""

from __future__ import annotations


def models() -> None:
    """Print the packaged models and the supported model families.

    For example:

        retinoscope models
    """
    from ..errors import InputError
    from ..pocket import MODELS, folder

    print("Packaged (give the name as MODEL):")
    for name in MODELS:
        try:
            where = str(folder(name))
        except InputError:
            where = "its weights are not in this installation"
        print(f"  {name:<18} {where}")

    from ._common import quiet

    quiet()
    from ..models import families

    print("Families (give a Hub id or a folder as MODEL):")
    for family, types in families().items():
        print(f"  {family:<18} {', '.join(types)}")
