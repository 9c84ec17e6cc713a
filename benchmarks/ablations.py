"""The paper's 18 ablations of three prompts: the engine against one full pass, or one call of
`generate`, for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

import retinoscope as rs

from ._bench import (
    TOLERANCE,
    Case,
    Measure,
    Options,
    Timing,
    Way,
    alternate,
    equality,
    options_for,
    write_result,
)
from ._conditions import Remove, Scene, ablations_of, paper_ablations
from ._limits import counting, of_ablations, of_clean, weight_bytes
from ._models import QUESTIONS, Setup, make_setup
from ._released import Released

N_NEW = 40
FULL, ENGINE, PLAIN = "full passes", "engine, clean runs included", "one plain pass"
CALLS = "calls of generate"
PER_ROUND = 4


class Work:
    """The two ways to get every ablation of every prompt."""

    def __init__(self, setup: Setup, conditions: Sequence[Remove], n_new: int) -> None:
        self.setup = setup
        self.conditions = conditions
        self.n_new = n_new
        self.released = [Released(setup, question) for question in QUESTIONS]
        self.vlm = setup.vlm()

    def fresh(self) -> None:
        """Before each timed unit: a model that has encoded no image yet."""
        self.vlm = self.setup.vlm()

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Of the decoder."""
        return list(self.setup.model.model.language_model.layers)

    def effects(self) -> list[rs.engine.Effects]:
        runs = self.vlm.run_many(self.setup.image, QUESTIONS)
        return list(runs.counterfactuals(ablations_of(runs[0], self.conditions)))

    def logits(self, _: int = 0) -> torch.Tensor:
        """(prompt x condition, vocab)"""
        return torch.cat([one.logits for one in self.effects()])

    def generate(self, _: int = 0) -> list[list[int]]:
        """Token ids of each prompt x condition."""
        several = [one.generate(self.n_new) for one in self.effects()]
        return [item.token_ids.tolist() for one in several for item in one]

    def full(self, unit: int) -> torch.Tensor:
        return self._released(unit).logits(self._condition(unit))

    def call(self, unit: int) -> list[int]:
        return self._released(unit).generate(self._condition(unit), self.n_new)

    def _released(self, unit: int) -> Released:
        return self.released[unit // len(self.conditions)]

    def _condition(self, unit: int) -> Remove:
        return self.conditions[unit % len(self.conditions)]


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "ablations", argv, repeats=3)
    setup = make_setup(options)
    scenes = [Scene.of(setup.vlm().prompt(setup.image, question)) for question in QUESTIONS]
    n_new = 6 if options.size == "small" else N_NEW
    work = Work(setup, paper_ablations(scenes[0]), n_new)
    count = len(QUESTIONS) * len(work.conditions)
    measured = min(count, PER_ROUND * options.repeats)
    checked = [at * count // measured for at in range(measured)]
    cases = [
        _first_tokens(options, work, scenes, count, checked),
        _generations(options, work, scenes, count, checked),
    ]
    model = {**setup.facts, "positions": [scene.n for scene in scenes], "questions": QUESTIONS}
    return write_result(options, cases=cases, model=model)


def _first_tokens(
    options: Options, work: Work, scenes: Sequence[Scene], count: int, checked: Sequence[int]
) -> Case:
    with counting(work.blocks) as computed:
        found = work.logits()[list(checked)]
    wanted = torch.stack([work.full(unit) for unit in checked])
    same = equality(found, wanted, TOLERANCE[options.dtype])
    clean = torch.stack([work.released[unit // len(work.conditions)].logits() for unit in checked])
    same["largest_effect"] = float((wanted - clean).abs().max() / wanted.abs().max())
    ways = {
        ENGINE: Way(work.logits, prepare=work.fresh),
        PLAIN: Way(lambda _: work.released[0].logits()),
        FULL: Way(work.full, units=count, per_round=PER_ROUND),
    }
    timings = alternate(ways, options, work.setup.tower, warm=False)
    return Case(
        name=f"{len(work.conditions)} ablations x {len(QUESTIONS)} prompts, first token",
        timings=timings,
        measures=_measures(timings, FULL, 3.0),
        equality=same,
        limit=_limit(work, scenes, timings, 0, computed.token_layers),
        notes=[_sampled(timings[FULL], "full passes", count)],
    )


def _generations(
    options: Options, work: Work, scenes: Sequence[Scene], count: int, checked: Sequence[int]
) -> Case:
    with counting(work.blocks) as computed:
        found = work.generate()
    wanted = {unit: work.call(unit) for unit in checked}
    # Two candidates can lie closer than rounding; a text that parts there is not another answer.
    agree = sum(found[unit] == wanted[unit] for unit in checked)
    if agree < 0.9 * len(checked):
        raise SystemExit(
            f"{len(checked) - agree} of {len(checked)} generations differ, expected next to none: "
            "nothing was timed"
        )
    ways = {
        ENGINE: Way(work.generate, prepare=work.fresh),
        PLAIN: Way(lambda _: work.released[0].logits()),
        CALLS: Way(work.call, units=count, per_round=PER_ROUND),
    }
    timings = alternate(ways, options, work.setup.tower, warm=False)
    return Case(
        name=f"{len(work.conditions)} ablations x {len(QUESTIONS)} prompts, "
        f"{work.n_new} generated tokens",
        timings=timings,
        measures=_measures(timings, CALLS, 4.0),
        equality={"same_texts": agree, "rows": len(checked)},
        limit=_limit(work, scenes, timings, work.n_new, computed.token_layers),
        notes=[_sampled(timings[CALLS], "calls of generate", count)],
    )


def _measures(timings: dict[str, Timing], other: str, floor: float) -> list[Measure]:
    engine, theirs = timings[ENGINE], timings[other]
    unit = "full pass" if other == FULL else "call of generate"
    return [
        Measure(
            f"times faster than a {unit} each, vision tower included",
            theirs.total / engine.total,
            at_least=floor,
        ),
        # The floor is one with the tower; without it, it lies above what the pairs allow.
        Measure(
            "times faster, vision tower left out on both sides",
            theirs.total_without / engine.total_without,
        ),
    ]


def _limit(
    work: Work, scenes: Sequence[Scene], timings: dict[str, Timing], n_new: int, computed: int
) -> dict[str, float]:
    depth = work.setup.shape.layers
    ends = [scene.n for scene in scenes]
    image_end = scenes[0].image[-1] + 1
    rows = len(work.conditions) * len(ends)
    written = rows * max(0, n_new - 1) * depth
    fewest = of_clean(ends, image_end, depth) + written
    fewest += of_ablations(work.conditions, ends, image_end, depth)
    full = ends[0] * depth
    plain = timings[PLAIN].total_without
    weights = weight_bytes([*work.blocks, work.setup.model.lm_head])
    return {
        "token_layers_of_full_passes": len(work.conditions) * sum(ends) * depth + written,
        "token_layers_fewest": fewest,
        "token_layers_computed": computed,
        "token_layers_fewest_in_plain_passes": fewest / full,
        "engine_times_limit": timings[ENGINE].total_without / (plain * fewest / full),
        # The clean pass, the ablated prompts, and once for each further token of the whole batch.
        "bytes_of_weights_fewest": weights * (2 + max(0, n_new - 1)),
    }


def _sampled(timing: Timing, what: str, count: int) -> str:
    if timing.distinct >= count:
        return f"All {count} {what} were measured."
    return (
        f"{timing.distinct} of {count} {what} were measured; their total is the median one times "
        f"{count}. Equality was checked on the same {timing.distinct}."
    )


if __name__ == "__main__":
    main()
