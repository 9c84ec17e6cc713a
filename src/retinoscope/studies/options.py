"""What can be chosen of a study, and options that several share; standard library only.

`studies/NAME/options.py` has OPTIONS, a dataclass whose docstring is the help of the command.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Options of a study."""

    MODEL: ClassVar[str] = "pocket, a Hub id, or a folder with a Hugging Face model."
    """Which models it takes, for the help."""
    DATA: ClassVar[str] = (
        "scenes:N, coco:FOLDER, vg:FOLDER, folder:PATH, table:FILE or datasets:NAME."
    )
    ANY_MODEL: ClassVar[bool] = False
    """Whether MODEL may also be a contrastive or a matching model, or an encoder alone."""
    ALSO: ClassVar[Mapping[str, str]] = {}
    """Further names that options go by on the command line."""
    LEAST: ClassVar[Mapping[str, int]] = {}
    """The least value of options that are counts."""

    def check(self) -> None:
        """Refuses, before data and model are opened, what cannot be run."""

    def resolved(self, model: str) -> tuple[str, Self]:
        """The model that MODEL names first, and options that name the others it stands for."""
        return model, self

    def shared_with(self, made: type) -> dict[str, Any]:
        """Options that a dataclass, such as the study, has under the same names."""
        known = {one.name for one in fields(made)}
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name in known}

    def refuse_changed(self, names: Collection[str], why: str) -> None:
        """Raises `InputError`, which says why, for the first of these that is not its default."""
        from ..errors import InputError

        for one in fields(self):
            given = getattr(self, one.name)
            if one.name in names and given != one.default:
                option = f"--{'no-' if given is False else ''}{one.name.replace('_', '-')}"
                raise InputError(f"{option} {why}: leave {option} out")


@dataclass(frozen=True, kw_only=True)
class Covering(StudyOptions):
    """Of studies that look for an object's tokens.

    Args:
        min_cover: share of a token's box that a mask must cover; 0 is any overlap.
    """

    min_cover: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Intervening(StudyOptions):
    """Of studies that make interventions.

    Args:
        exact: how interventions are computed: only what they can reach, or one full forward pass
            each; the tables are the same.
    """

    exact: Literal["incremental", "reference"] = "incremental"


@dataclass(frozen=True, kw_only=True)
class ObjectBounds(StudyOptions):
    """Which objects are studied.

    Args:
        min_area: only objects of more visible pixels (the paper: 1000).
        max_area: only objects of fewer visible pixels (the paper: 2000).
        max_objects: at most so many objects an image.
    """

    min_area: float | None = None
    max_area: float | None = None
    max_objects: int | None = None
