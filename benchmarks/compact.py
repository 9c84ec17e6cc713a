"""A new question from a context with few visual tokens: time and memory against the whole one.

In each block other visual tokens are kept, drawn at random: times do not depend on which.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from retinoscope.answers.tasks import DESCRIBE
from retinoscope.engine import CompactContext, compact_context
from retinoscope.studies import next_turn

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
from ._models import make_setup

QUESTION = "What color is the car?"
SHARES = (0.05, 0.25)
WHOLE = "the whole context kept"
N_NEW = 8


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "compact", argv)
    setup = make_setup(options)
    vlm = setup.vlm()
    first = vlm.run(vlm.prompt(setup.image, DESCRIBE))
    second = next_turn(first, QUESTION)
    visual = first.image.positions
    text = sorted(set(range(first.n)) - set(visual))
    generator = torch.Generator().manual_seed(0)

    def context(share: float) -> CompactContext:
        size = max(1, int(share * len(visual)))
        kept = []
        for _ in range(vlm.n_layers):
            order = torch.randperm(len(visual), generator=generator)[:size]
            kept.append([*text, *(visual[i] for i in order.tolist())])
        return compact_context(first, kept)

    contexts = {WHOLE: context(1.0)} | {f"{share:.0%} kept": context(share) for share in SHARES}
    found = contexts[WHOLE].answer(second, 1, keep_logits=True).logits
    assert found is not None
    same = equality(found, second.logits[None], TOLERANCE[options.dtype])
    ways = {name: Way(partial(_answer, one, second)) for name, one in contexts.items()}
    timings = alternate(ways, options)
    measures = []
    for name, one in contexts.items():
        if name != WHOLE:
            faster = timings[WHOLE].total / timings[name].total
            measures.append(Measure(f"times faster, {name}", faster))
            smaller = contexts[WHOLE].n_bytes / one.n_bytes
            measures.append(Measure(f"times smaller keys and values, {name}", smaller))
    case = Case(
        name=f"a question of {second.n - first.n} positions and {N_NEW} generated tokens",
        timings=timings,
        measures=measures,
        equality=same,
        limit={},
        notes=[f"The context has {len(visual)} visual tokens and {len(text)} of text."],
    )
    return write_result(options, cases=[case], model=setup.facts)


def _answer(context: CompactContext, second, _: int = 0) -> list[int]:
    return context.answer(second, N_NEW).token_ids.tolist()


if __name__ == "__main__":
    main()
