"""Options of the comparison of visual interfaces; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from ..options import Intervening
from ..token_sets import NOTHING
from ..windows import window_label

NAMES = ("projector", "qformer", "lyrics", "scl", "x-former", "visionlan", "lavit")
"""What a name without a prefix means."""
USUAL = ("projector", "qformer", "lyrics", "scl", "x-former")
"""Those that are packaged and compared by default, the first one the reference."""
MEASURES: dict[str, str] = {
    "present": "yes on a present kind",
    "absent": "yes on an absent kind",
    "present-adversarial": "yes on a present kind, on a ground",
    "absent-adversarial": "yes on an absent kind that fits the ground",
    "color": "colour, given the kind",
    "kind": "kind, given the colour",
    "position": "position in the image",
    "relation": "kind beside another",
    "count": "number of objects",
    "count-color": "number of a colour",
    "count-kind": "number of a kind",
    "twin-color": "colour of one of two of a kind",
    "sign": "word on a sign",
    "caption-recall": "kinds that a description names",
    "caption-precision": "of those it names, present",
}
"""What is asked -> in words. All are shares; in `LOWER` they are of wrong answers."""
LOWER = ("absent", "absent-adversarial")
HEADLINE = ("present", "absent", "color", "relation", "count")
"""What the main finding is about; every kind of scenes has these questions."""
SMALL_RADIUS = 12.0
"""Largest radius of a small object in pixels; scenes draw none between this and 17."""
EDITED = ("color", "kind", "relation")
"""Questions for which an object's tokens are replaced or hidden; objects take turns."""

TokenSource = Literal["declared", "changed", "random", "visual"]
SETS: dict[str, str] = {
    "declared": "declared",
    "changed": "really changed",
    "random": "random",
    "visual": "all visual tokens",
}
"""How tokens are chosen -> in words."""
_TOKENS = {name: label if name == "visual" else f"{label} tokens" for name, label in SETS.items()}


@dataclass(frozen=True, kw_only=True)
class InterfacesOptions(Intervening):
    """Compare visual interfaces on the same scenes: what does each tell the language model?

    Every interface answers all questions about every scene and describes it. Each scene is also
    drawn without each of its objects: the visual tokens that differ are those that really depend on
    the object, and where a token is said to come from is compared with that. Then the paper's
    experiments are run on each interface: are objects local in its tokens, do these say their
    names, does the last position read them?

    For example:

        retinoscope interfaces varied:200 --out runs/interfaces

        retinoscope interfaces varied:40 --interfaces qformer lyrics --out runs/two

        retinoscope interfaces scenes:40 --interfaces pocket FOLDER --out runs/mine

    Args:
        interfaces: packaged interfaces (projector, qformer, lyrics), and other models by name or
            folder.
        token_share: share of an interface's tokens that are replaced or hidden as an object's own.
        changed: tokens count as really changed above this share of the largest change.
        max_objects: maximum number of objects per image whose tokens are replaced and hidden.
        max_new_tokens: maximum length of a description.
    """

    MODEL: ClassVar[str] = ""
    DATA: ClassVar[str] = "varied:N, or scenes:N: drawn, so that single objects can be left out."
    LEAST: ClassVar[Mapping[str, int]] = {"max_objects": 0, "max_new_tokens": 1}

    interfaces: tuple[str, ...] = USUAL
    token_share: float = 0.125
    changed: float = 0.5
    max_objects: int | None = None
    max_new_tokens: int = 64

    def check(self) -> None:
        """Refuses lists of interfaces that cannot be compared."""
        from ...errors import InputError

        names = list(map(model_name, self.interfaces))
        if not names or len({*names}) < len(names):
            raise InputError(
                "--interfaces: expected one or more different interfaces, got "
                f"{' '.join(self.interfaces) or 'none'}"
            )

    def resolved(self, model: str) -> tuple[str, Self]:
        """Returns the first interface's model, and options that name the others."""
        first, *others = map(model_name, self.interfaces)
        return first, replace(self, interfaces=tuple(others))


OPTIONS = InterfacesOptions


def model_name(interface: str) -> str:
    """Returns the name under which an interface, or any other model, is opened."""
    return f"interface:{interface}" if interface in NAMES else interface


def condition(row: Mapping[str, object]) -> str | None:
    """Returns the edit of a row in words; None for a row without one."""
    edit = row.get("edit")
    if edit in (None, NOTHING):
        return None
    tokens = _TOKENS[str(row.get("token_set"))]
    if edit == "ablation":
        return f"{tokens} replaced"
    return f"{tokens} to last, {window_label(row)}"
