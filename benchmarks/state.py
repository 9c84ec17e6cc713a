"""What it costs to ask, before each run, which state a model is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import retinoscope as rs

from ._bench import Case, Measure, Way, alternate, equality, options_for, write_result
from ._models import QUESTIONS, make_setup

RUN, ASKED = "a run whose image is kept", "the question alone, 100 times"
TIMES = 100


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "state", argv)
    large = make_setup(options)
    pocket, scene = rs.load("pocket"), rs.data.scenes(1, seed=1)[0]
    cases = []
    for label, vlm, image, text in (
        ("pocket", pocket, scene.image, "Describe this image."),
        (options.size, large.vlm(), large.image, QUESTIONS[0]),
    ):
        prompt = vlm.prompt(image, text)

        def asked(_: int, vlm: rs.VLM = vlm) -> None:
            for _ in range(TIMES):
                vlm.state()

        ways = {
            RUN: Way(lambda _, vlm=vlm, prompt=prompt: vlm.run(prompt)),
            ASKED: Way(asked),
        }
        timings = alternate(ways, options)
        share = 100 * timings[ASKED].total / TIMES / timings[RUN].total
        measure = Measure("% of a run", share, at_most=1.0)
        same = equality(vlm.run(prompt).logits[None], vlm.run(prompt).logits[None], 0.0)
        cases.append(Case(f"state of {label}", timings, [measure], same))
        print(f"{label}: {share:.2f} % of a run", flush=True)
    return write_result(options, cases=cases, model=dict(large.facts))


if __name__ == "__main__":
    main()
