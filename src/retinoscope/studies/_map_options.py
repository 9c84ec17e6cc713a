"""What only some methods of maps take or tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import InputError
from ..saliency import HeatMap

Steps = int | Mapping[str, int] | None
"""Of every method that takes some, or by its name; None is the usual number."""

COMPLETENESS = "completeness"
"""Column of studies that take integrated gradients: the relative error of their sum."""


def completeness_of(heat: HeatMap) -> float | None:
    """That of a map by integrated gradients; None of any other."""
    value = heat.settings.get(COMPLETENESS)
    return None if value is None else float(value)


def steps_of(steps: Steps, methods: Sequence[str], able: Sequence[str]) -> dict[str, int]:
    """Name of a method -> its steps, samples or masks, where they are not the usual ones.

    Args:
        methods: those that are asked.
        able: all methods of the model's kind that take steps.

    Raises:
        InputError: steps for a method that takes none or is not asked, or fewer than one.
    """
    if steps is None:
        return {}
    taking = [name for name in methods if name in able]
    if isinstance(steps, int):
        if not taking:
            raise untaken("steps", "takes a number of them", methods, able)
        steps = dict.fromkeys(taking, steps)
    for name, number in steps.items():
        if name not in taking:
            raise InputError(
                f"expected steps for {', '.join(taking) or 'no method'}, got some for {name!r}: "
                "leave them out"
            )
        if number < 1:
            raise InputError(f"expected steps from 1 up, got {number} for {name}")
    return dict(steps)


def check_exact(exact: str, methods: Sequence[str], able: Sequence[str]) -> None:
    """Raises `InputError` for another path than the usual one where no method goes along it.

    Args:
        exact: as of `Study`.
        methods: those that are asked.
        able: all methods of the model's kind that intervene.
    """
    if exact != "incremental" and not set(methods) & set(able):
        raise untaken("exact", "makes interventions, which it is about", methods, able)


def untaken(option: str, does: str, methods: Sequence[str], able: Sequence[str]) -> InputError:
    """Says that no method asked takes an option, and which `able` ones would."""
    others = f", or ask for one of {', '.join(able)}" if able else ""
    return InputError(
        f"{option}: expected a method that {does}, got {', '.join(methods)}: leave {option} out"
        f"{others}"
    )
