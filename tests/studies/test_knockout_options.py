"""Every source that can be asked for has its series, its label and its place."""

from __future__ import annotations

import pytest

from retinoscope.studies.knockout.figure import windows_figure
from retinoscope.studies.knockout.options import SOURCE_LABELS, SOURCES, TARGET_LABELS, TARGETS


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_drawn(source: str) -> None:
    row = {"source": source, "target": "last", "window": "mid"}
    drawn = windows_figure(
        [row | {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "n": 5}],
        ["last"],
        ["mid"],
    )
    assert SOURCE_LABELS[source] in drawn.svg


def test_every_target_has_a_label() -> None:
    assert set(TARGET_LABELS) == set(TARGETS)
