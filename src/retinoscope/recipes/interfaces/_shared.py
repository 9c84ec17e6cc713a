"""The parts that all interfaces share: the towers and the language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError
from ...signals import stopped_by_signals
from ..pocket import Report
from ._config import TowersRecipe
from ._decoder import DecoderRecipe, ask_in_words, train_decoder, write_decoder
from ._gate import gate_lines
from ._towers import train_towers

SHARED = ("towers", "decoder")
_ASKED_SCENES, _WORDS = 200, 32


@stopped_by_signals()
def train_shared(
    name: str, work: Path, out: Path, *, scale: float = 1.0, report: Report
) -> Sequence[str]:
    """Trains one of `SHARED` and writes it to `out`.

    Args:
        name: "towers" or "decoder".
        work: folder for scenes and checkpoints; a later call resumes from it.
        out: folder for the result.
        scale: length of the stages relative to the packaged parts'.
        report: called with the progress of every stage.

    Returns:
        What the part knows of held-out scenes, in lines.

    Raises:
        InputError: another name, or `work` belongs to another recipe.
    """
    if name == "towers":
        recipe = TowersRecipe()
        towers = train_towers(
            work, out, recipe=recipe.scaled(scale) if scale != 1 else recipe, report=report
        )
        return gate_lines(towers.facts["gate"])
    if name == "decoder":
        text = DecoderRecipe()
        model = train_decoder(work, text.scaled(scale) if scale != 1 else text, report)
        write_decoder(model, out)
        rows = ask_in_words(model, _ASKED_SCENES, _WORDS).iter_rows(named=True)
        return [
            f"{row['kind']}: {row['right']:.2f} right (always one answer: {row['chance']:.2f})"
            for row in rows
        ]
    raise InputError(f"expected a shared part of {', '.join(SHARED)}, got {name!r}")
