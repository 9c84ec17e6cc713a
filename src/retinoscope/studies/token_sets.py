"""Token sets as columns of a study's table, never as one text; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from .columns import TEXT, TRUTH, WHOLE, Kind

NOTHING = "none"
"""The token set of rows without an edit."""
_LABELS = {
    "rest": "all other visual tokens",
    "visual": "all visual tokens",
    "last-row": "last visual row",
    "random": "random tokens",
    "gradient": "tokens of highest gradient",
}


@dataclass(frozen=True)
class NamedSet:
    """One token set of an image.

    Attributes:
        token_set: kind of its tokens.
        rings: number of rings of neighbours by which the object's tokens were grown.
        n_drawn: number of tokens requested, for a set of a chosen size.
        is_control: as many random tokens outside the set, in its place.
    """

    token_set: str
    rings: int | None = None
    n_drawn: int | None = None
    is_control: bool = False

    @classmethod
    def of(cls, row: Mapping[str, object]) -> NamedSet:
        """Returns the set of a row or a record."""
        return cls(**{column.name: row.get(column.name) for column in fields(cls)})  # type: ignore[arg-type]

    @property
    def columns(self) -> dict[str, str | int | bool | None]:
        """The set as columns of a row."""
        return asdict(self)

    @property
    def defined(self) -> dict[str, str | int | bool]:
        """Its columns that are not empty."""
        return {name: value for name, value in self.columns.items() if value is not None}

    @property
    def control(self) -> NamedSet:
        """As many random tokens outside it."""
        return replace(self, is_control=True)

    @property
    def label(self) -> str:
        """The set in words: "object + 1 ring", "40 random tokens"."""
        name = _LABELS.get(self.token_set, self.token_set)
        if self.n_drawn is not None:
            name = f"{self.n_drawn} {name}"
        if self.rings:
            name += f" + {self.rings} ring{'s' if self.rings > 1 else ''}"
        return f"as many random tokens as {name}" if self.is_control else name


SET_COLUMNS: dict[str, Kind] = {
    "token_set": TEXT,
    "rings": WHOLE,
    "n_drawn": WHOLE,
    "is_control": TRUTH,
}
OBJECT, RING_1, RING_2 = (NamedSet("object", rings) for rings in (0, 1, 2))
OBJECT_SETS = {"object": OBJECT, "object+1": RING_1, "object+2": RING_2}
"""An object's tokens, and these grown by rings of neighbours, by the names used in options."""
