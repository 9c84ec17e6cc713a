"""Attention knockouts: the engine's sweep against one full pass for each condition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

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
from ._conditions import Hide, Scene, knockouts_of, paper_knockouts, single_layer_knockouts
from ._limits import counting, of_clean, of_knockout, weight_bytes
from ._models import QUESTIONS, Setup, make_setup
from ._released import Released

QUESTION = QUESTIONS[2]
FULL, ENGINE, PLAIN = "full passes", "engine, clean run included", "one plain pass"


class Work:
    """The two ways to get the logits of some knockouts of one prompt."""

    def __init__(self, setup: Setup, conditions: Sequence[Hide]) -> None:
        self.setup = setup
        self.conditions = conditions
        self.released = Released(setup, QUESTION)
        self.vlm = setup.vlm()
        self.prompt = self.vlm.prompt(setup.image, QUESTION)

    def fresh(self) -> None:
        """Before each timed unit: a model that has encoded no image yet."""
        self.vlm = self.setup.vlm()

    def engine(self, _: int = 0) -> torch.Tensor:
        run = self.vlm.run(self.prompt)
        return run.counterfactuals(knockouts_of(run, self.conditions)).logits

    def full(self, unit: int) -> torch.Tensor:
        return self.released.logits(self.conditions[unit])

    def plain(self, _: int = 0) -> torch.Tensor:
        return self.released.logits()


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "knockouts", argv)
    setup = make_setup(options)
    scene = Scene.of(setup.vlm().prompt(setup.image, QUESTION))
    depth = setup.shape.layers
    cases = [
        _case(options, setup, scene, "paper", paper_knockouts(scene, depth), per_round=None),
        _case(options, setup, scene, "single", single_layer_knockouts(scene, depth), per_round=4),
    ]
    return write_result(
        options, cases=cases, model={**setup.facts, "positions": scene.n, "question": QUESTION}
    )


def _case(
    options: Options,
    setup: Setup,
    scene: Scene,
    kind: str,
    conditions: Sequence[Hide],
    per_round: int | None,
) -> Case:
    work = Work(setup, conditions)
    count = len(conditions)
    per_round = -(-count // options.repeats) if per_round is None else per_round
    checked = _spread(count, min(count, per_round * options.repeats))
    # The comparison comes first: a time of a wrong result means nothing.
    with counting(setup.model.model.language_model.layers) as computed:
        found = work.engine()[checked]
    wanted = torch.stack([work.full(unit) for unit in checked])
    same = equality(found, wanted, TOLERANCE[options.dtype])
    same["largest_effect"] = float((wanted - work.plain()).abs().max() / wanted.abs().max())
    ways = {
        ENGINE: Way(work.engine, prepare=work.fresh),
        PLAIN: Way(work.plain),
        FULL: Way(work.full, units=count, per_round=per_round),
    }
    timings = alternate(ways, options, setup.tower, warm=False)
    return Case(
        name=f"{count} knockouts of the paper"
        if kind == "paper"
        else f"{count} knockouts of a single layer: 8 sources -> last token, {setup.shape.layers} "
        "layers",
        timings=timings,
        measures=_measures(kind, timings),
        equality=same,
        limit=_limit(work, scene, timings, computed.token_layers),
        notes=_notes(count, timings[FULL]),
    )


def _measures(kind: str, timings: dict[str, Timing]) -> list[Measure]:
    engine, full, plain = timings[ENGINE], timings[FULL], timings[PLAIN]
    floor = 15.0 if kind == "paper" else 100.0
    measures = [
        Measure(
            "times faster than a full pass each, vision tower included",
            full.total / engine.total,
            at_least=floor,
        ),
        Measure(
            "times faster, vision tower left out on both sides",
            full.total_without / engine.total_without,
            at_least=floor,
        ),
    ]
    most = None if kind == "paper" else 2.0
    return [
        *measures,
        Measure(
            "times as long as one plain pass, vision tower included",
            engine.total / plain.total,
            at_most=most,
        ),
        Measure(
            "times as long as one plain pass, vision tower left out",
            engine.total_without / plain.total_without,
            at_most=most,
        ),
    ]


def _limit(work: Work, scene: Scene, timings: dict[str, Timing], computed: int) -> dict[str, float]:
    setup, depth = work.setup, work.setup.shape.layers
    decoder = setup.model.model.language_model
    full = scene.n * depth
    clean = of_clean([scene.n], scene.n, depth)
    fewest = clean + sum(of_knockout(one, scene.n, depth) for one in work.conditions)
    plain = timings[PLAIN].total_without
    moved = 2 * weight_bytes([*decoder.layers]) + 2 * weight_bytes([setup.model.lm_head])
    return {
        "token_layers_of_full_passes": full * len(work.conditions),
        "token_layers_fewest": fewest,
        "token_layers_computed": computed,
        "token_layers_fewest_in_plain_passes": fewest / full,
        "engine_times_limit": timings[ENGINE].total_without / (plain * fewest / full),
        "bytes_of_weights_fewest": moved,
    }


def _notes(count: int, full: Timing) -> list[str]:
    if full.distinct >= count:
        return [f"All {count} full passes were measured."]
    return [
        f"{full.distinct} of {count} full passes were measured; their total is the median pass "
        f"times {count}. Equality was checked on the same {full.distinct}."
    ]


def _spread(count: int, measured: int) -> list[int]:
    return [at * count // measured for at in range(measured)]


if __name__ == "__main__":
    main()
