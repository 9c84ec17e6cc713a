"""Options of studies, and options that several share; standard library only.

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
    """Help on the models that it accepts; empty if its other options name them (`resolved`)."""
    DATA: ClassVar[str] = (
        "scenes:N, coco:FOLDER, vg:FOLDER, folder:PATH, table:FILE or datasets:NAME."
    )
    ANY_MODEL: ClassVar[bool] = False
    """Whether MODEL may also be a contrastive or a matching model, or an encoder alone."""
    ALSO: ClassVar[Mapping[str, str]] = {}
    """Alternative names of options on the command line."""
    LEAST: ClassVar[Mapping[str, int]] = {}
    """Minimum values of options that are counts."""

    def check(self) -> None:
        """Refuses impossible options before data and model are opened."""

    def resolved(self, model: str) -> tuple[str, Self]:
        """Returns the first model that MODEL names, and options that name the others."""
        return model, self

    def shared_with(self, made: type) -> dict[str, Any]:
        """Options that a dataclass, such as the study, has under the same names."""
        known = {one.name for one in fields(made)}
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name in known}

    def refuse_changed(self, names: Collection[str], why: str) -> None:
        """Raises `InputError` for the first of these options that is not its default."""
        from ..errors import InputError

        for option_field in fields(self):
            given = getattr(self, option_field.name)
            if option_field.name in names and given != option_field.default:
                name = option_field.name.replace("_", "-")
                option = f"--{'no-' if given is False else ''}{name}"
                raise InputError(f"{option} {why}: leave {option} out")


@dataclass(frozen=True, kw_only=True)
class Covering(StudyOptions):
    """Options of studies that use an object's tokens.

    Args:
        min_cover: share of a token's box that a mask must cover; 0 is any overlap.
    """

    min_cover: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Intervening(StudyOptions):
    """Options of studies that make interventions.

    Args:
        exact: how interventions are computed: only what they can affect, or one full forward pass
            each; the tables are the same.
    """

    exact: Literal["incremental", "reference"] = "incremental"


@dataclass(frozen=True, kw_only=True)
class ObjectBounds(StudyOptions):
    """Which objects are studied.

    Args:
        min_area: only objects with more visible pixels (the paper: 1000).
        max_area: only objects with fewer visible pixels (the paper: 2000).
        max_objects: maximum number of objects per image.
    """

    min_area: float | None = None
    max_area: float | None = None
    max_objects: int | None = None
