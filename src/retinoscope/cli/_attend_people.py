"""The part of `retinoscope attend` that compares maps with where observers looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from . import _say

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..studies import AttentionAlignment
    from ._common import Intervening

Against = Literal["observers", "masks"]
_LOOKED_AT = 20


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class People:
    """Comparing with where observers looked."""

    against: Annotated[
        Against | None,
        Parameter(
            help="observers (where people looked while they said or read a text) or masks (of "
            "objects); by default observers where the data has any."
        ),
    ] = None
    granularities: Annotated[
        tuple[Literal["word", "phrase", "sentence", "text"], ...],
        Parameter(
            consume_multiple=True, negative=(), help="parts of the text (with observers only)."
        ),
    ] = ("word", "phrase", "sentence")
    distractors: Annotated[
        int,
        Parameter(help="descriptions of other images in the ranking (with observers only)."),
    ] = 3
    untrained: Annotated[
        bool, Parameter(help="also a copy with random weights (with observers only).")
    ] = True
    resolution: Annotated[
        int,
        Parameter(help="pixels along the longer side of compared maps (with observers only)."),
    ] = 256


def chosen(people: People, samples: Sequence[Sample], *, say: bool) -> Against:
    """What to compare with; said on the terminal with `say`.

    Raises:
        InputError: observers are asked for, and the data has none.
    """
    from ..errors import InputError

    whose = _whose(samples)
    if people.against == "observers" and not whose:
        raise InputError(
            "expected data that knows where people looked, got none: give vista:FOLDER, "
            "gaze:FOLDER with texts, collected:FOLDER or simulated:N, or --against masks"
        )
    if people.against is not None:
        return people.against
    if not whose:
        return "masks"
    if not say:
        return "observers"
    _say.say(
        f"comparing with where observers looked ({', '.join(whose)}); --against masks compares "
        "with objects' masks"
    )
    return "observers"


def refuse_mask_options(**given: bool) -> None:
    """Raises InputError for an option that says nothing about observers."""
    from ..errors import InputError

    for name, told in given.items():
        if told:
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{option} is about objects' masks, and maps are compared with where observers "
                f"looked: leave {option} out, or give --against masks"
            )


def refuse_people_options(people: People) -> None:
    """Raises InputError for an option that says nothing about masks."""
    from ..errors import InputError

    for one in fields(people):
        given = getattr(people, one.name)
        if one.name != "against" and given != one.default:
            option = f"--{'no-' if given is False else ''}{one.name}"
            raise InputError(
                f"{option} is about where observers looked, and maps are compared with objects' "
                f"masks: leave {option} out, or give data that knows where people looked"
            )


def refuse_other_kinds(model: object) -> None:
    """Raises CapabilityError for what is no VLM, whose maps are not held against masks.

    None stands for a model that is not loaded yet.
    """
    from ..engine import VLM
    from ..errors import CapabilityError

    if model is not None and not isinstance(model, VLM):
        raise CapabilityError(
            f"{getattr(model, 'name', model)}: only a VLM names objects itself, so only its maps "
            "are held against masks: give data that knows where people looked (vista:FOLDER, "
            "simulated:N), or ask retinoscope group where this model puts each class"
        )


def _whose(samples: Sequence[Sample]) -> list[str]:
    """Provenances in the first samples that can be read."""
    found: set[str] = set()
    for place in islice(range(len(samples)), _LOOKED_AT):
        try:
            attention = samples[place].attention
        except Exception:
            # It gets its row with the error from the study.
            continue
        found |= {one.provenance for one in attention}
        if found:
            break
    return sorted(found)


def alignment(
    vlm: VLM,
    samples: Sequence[Sample],
    common: Intervening,
    people: People,
    methods: tuple[str, ...],
    layers: tuple[int, ...],
    score: Literal["log-probability", "logit"],
    steps: int | None,
) -> AttentionAlignment:
    """The study; without `methods` the usual ones of the model's kind."""
    from ..studies import AlignmentRules, AttentionAlignment

    return AttentionAlignment(
        vlm,
        samples,
        seed=common.seed,
        n_examples=common.examples,
        exact=common.exact,
        methods=methods,
        layers=layers or None,
        score=score,
        steps=steps,
        granularities=people.granularities,
        rules=AlignmentRules(resolution=people.resolution),
        distractors=people.distractors,
        untrained=people.untrained,
    )
