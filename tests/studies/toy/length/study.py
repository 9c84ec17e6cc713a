"""Words of a description without an object's tokens, beside as many random tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import retinoscope as rs
from retinoscope.studies import Study
from retinoscope.studies._needs import Need

from .options import LengthOptions
from .summary import COLUMNS


@dataclass(frozen=True, eq=False, kw_only=True)
class DescriptionLength(Study[None]):
    max_new_tokens: int = 30

    name: ClassVar[str] = "length"
    needs: ClassVar[str] = "objects"
    uses: ClassVar[tuple[Need, ...]] = (
        Need("objects", "objects", "descriptions without each object"),
    )
    schema: ClassVar[int] = 1
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def asks(self, sample: Any) -> dict[str, int]:
        return {"objects": len(sample.objects)}

    def _prepare(self, readable: Any) -> None:
        return None

    def _rows(self, context: None, index: int, sample: Any, keep: bool) -> Any:
        run = self.vlm.run(self.vlm.prompt(sample.image, "Describe this image."))
        rows = []
        for item, thing in enumerate(sample.objects):
            tokens = run.image.covering(thing.mask)
            control = rs.tokens.random(run, n=len(tokens), seed=self.seed, exclude=tokens)
            effects = run.counterfactuals([rs.Ablate(tokens), rs.Ablate(control)])
            for is_control, text in enumerate(effects.generate(self.max_new_tokens).texts):
                row = {"sample": sample.id, "item": item, "object": thing.name}
                row |= {"is_control": bool(is_control), "n_tokens": len(tokens)}
                rows.append(row | {"n_words": len(text.split())})
        return rows, []


def make(
    vlm: Any, samples: Sequence[Any], options: LengthOptions, *, seed: int, n_examples: int
) -> DescriptionLength:
    return DescriptionLength(
        vlm=vlm,
        samples=samples,
        seed=seed,
        n_examples=n_examples,
        max_new_tokens=options.max_new_tokens,
    )
