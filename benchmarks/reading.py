"""A word reader alone, and with a language model of letters behind it: time per image.

How much faster one step is depends on the size of the second, which the result names. Weights are
random: they do not matter for the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from retinoscope.interfaces import ReaderShape, WordReader
from retinoscope.recipes.reading import Speller

from ._bench import (
    TOLERANCE,
    Case,
    Measure,
    Way,
    alternate,
    equality,
    options_for,
    write_result,
)

ONE, TWO = "the reader alone", "with a language model"
BATCHES = {"small": (1,), "135m": (1, 32), "7b": (1, 32)}


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "reading", argv, repeats=60)
    torch.manual_seed(0)
    shape = ReaderShape()
    reader = WordReader(shape).eval().requires_grad_(False).to(options.device)
    speller = Speller(shape).eval().requires_grad_(False).to(options.device)
    cases = []
    for batch in BATCHES[options.size]:
        pixels = torch.rand(batch, 3, shape.height, shape.width, device=options.device) * 2 - 1

        def alone(_: int = 0, pixels: torch.Tensor = pixels) -> torch.Tensor:
            return reader(pixels).logits

        def corrected(_: int = 0, pixels: torch.Tensor = pixels) -> torch.Tensor:
            return speller(reader(pixels))

        same = equality(
            alone()[:, 0], reader(pixels.clone()).logits[:, 0], TOLERANCE[options.dtype]
        )
        timings = alternate({ONE: Way(alone), TWO: Way(corrected)}, options)
        faster = timings[TWO].total / timings[ONE].total
        cases.append(
            Case(
                name=f"{batch} {'image' if batch == 1 else 'images'} at a time",
                timings=timings,
                measures=[Measure("times faster", faster)],
                equality=same,
            )
        )
    sizes = {
        name: sum(weight.numel() for weight in module.parameters())
        for name, module in (("reader", reader), ("language model", speller))
    }
    return write_result(options, cases=cases, model=sizes)


if __name__ == "__main__":
    main()
