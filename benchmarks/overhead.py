"""What a study spends outside the model: the three studies on the packaged model, 200 scenes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import retinoscope as rs
from retinoscope.studies import AttentionKnockout, LogitLens, Study, TokenAblation

from ._bench import Case, Measure, Options, Timing, options_for, write_result
from ._where import inside, sampled

SCENES = {"small": 1}
"""By size; 200 otherwise."""

STUDIES: dict[str, Callable[[rs.VLM, Sequence[rs.data.Sample]], Study[Any]]] = {
    "ablation": lambda vlm, samples: TokenAblation(
        vlm,
        samples,
        # Integrated gradients are nothing but model arithmetic, and would hide the rest.
        conditions=("object", "object+1", "object+2", "registers", "random", "control"),
    ),
    "lens": lambda vlm, samples: LogitLens(vlm, samples, untrained=False),
    "knockout": lambda vlm, samples: AttentionKnockout(vlm, samples),
}


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    options = options_for(__doc__ or "", "overhead", argv)
    vlm = rs.load("pocket")
    samples = rs.data.scenes(SCENES.get(options.size, 200), seed=1)
    cases = []
    breakdown = {}
    for name in STUDIES:
        if options.size != "small":
            _timed(vlm, name, rs.data.scenes(1, seed=2))
        case, shares = _measured(options, vlm, name, samples)
        cases.append(case)
        breakdown[name] = shares
    path = write_result(
        options,
        cases=cases,
        model={"weights": "pocket", "scenes": len(samples)},
        breakdown=breakdown,
    )
    for name, shares in breakdown.items():
        listed = ", ".join(f"{place} {share:.1%}" for place, share in list(shares.items())[:14])
        print(f"\n{name}: {listed}")
    return path


def _timed(vlm: rs.VLM, name: str, samples: Sequence[rs.data.Sample]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        STUDIES[name](vlm, samples).run(Path(folder) / "run")
        return time.perf_counter() - start


def _measured(
    options: Options, vlm: rs.VLM, name: str, samples: Sequence[rs.data.Sample]
) -> tuple[Case, dict[str, float]]:
    adapter = vlm.adapter
    core = adapter.model.base_model
    outer = [
        core.get_submodule("vision_tower"),
        core.get_submodule("multi_modal_projector"),
        adapter.language_model,
        *adapter.decoder.layers,
        adapter.decoder.final_norm,
        adapter.unembedding,
    ]
    with ExitStack() as stack:
        found = stack.enter_context(sampled())
        spent = stack.enter_context(inside(outer))
        seconds = _timed(vlm, name, samples)
    share = 1 - spent.seconds / seconds
    case = Case(
        name=f"the {name} study over {len(samples)} scenes",
        timings={
            "the study": Timing((seconds,), (0.0,)),
            "inside the model": Timing((spent.seconds,), (0.0,)),
        },
        measures=[
            Measure(
                "per cent of the study's time outside the model",
                100 * share,
                at_most=10.0,
            )
        ],
        equality={},
        limit={"seconds_inside_the_model": spent.seconds},
    )
    return case, {place: round(one, 4) for place, one in found.shares().items()}


if __name__ == "__main__":
    main()
