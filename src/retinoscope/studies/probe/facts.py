"""Facts about a run that its rows do not hold, for the report."""

from __future__ import annotations

from dataclasses import asdict

from ...errors import StudyError
from ...store import Json
from .setup import Setup
from .sources import checksums_of

FACTS = "probe.json"


def facts_of(setup: Setup) -> dict[str, Json]:
    """Classes, what was left out, numbers of images, and a description of each encoder.

    Raises:
        StudyError: an encoder's parameters changed while it was probed.
    """
    grids, layers = setup.grids, setup.layers
    split = grids.splits[0]
    after = checksums_of(setup.sources)
    for name, before in setup.checksums.items():
        if after[name] != before:
            raise StudyError(f"the parameters of {name} changed while they were probed")
    return {
        "tasks": {task: list(grids.questions.classes(task)) for task in grids.questions.tasks},
        "left_out": [asdict(one) for one in setup.left_out],
        "images": {
            "train": len(split.train),
            "val": len(split.val),
            "test": len(split.test),
            "dense_test": len(grids.plan(next(iter(setup.sources))).test),
        },
        "width": layers.width,
        "encoders": [
            {
                "name": name,
                "kind": source.kind,
                "of": source.of,
                "fingerprint": source.fingerprint,
                "n_parameters": 0 if source.kind == "pixels" else source.encoder.n_parameters,
                "layers": dict(layers.widths[name]),
                "checksum": {"before": setup.checksums[name], "after": after[name]},
            }
            for name, source in setup.sources.items()
        ],
    }
