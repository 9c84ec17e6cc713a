"""Every source that can be asked for has its series, its label and its place."""

from __future__ import annotations

import pytest

from retinoscope.studies.knockout.figure import windows_figure
from retinoscope.studies.knockout.options import SETS, SOURCES, TARGET_LABELS, TARGETS


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_drawn(source: str) -> None:
    row = {**SETS[source].columns, "target": "last", "window": "mid"}
    drawn = windows_figure(
        [row | {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "n": 5}],
        ["last"],
        ["mid"],
    )
    assert SETS[source].label in drawn.svg


def test_every_target_has_a_label() -> None:
    assert set(TARGET_LABELS) == set(TARGETS)
