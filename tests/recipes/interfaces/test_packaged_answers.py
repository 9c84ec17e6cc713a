"""A small cell of the committed results, computed again with the packaged weights."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from retinoscope.interfaces import (
    PREFIX,
    WEIGHTS,
    open_decoder,
    open_towers,
    packaged,
    packaged_names,
)
from retinoscope.recipes.comparison import read_comparison
from retinoscope.recipes.interfaces import (
    HELD_OUT_SEED,
    OPTIONS,
    cache_seen,
    judge,
    object_sizes,
)
from retinoscope.recipes.pocket._bank import draw_bank

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "interfaces"
N = 8


@pytest.mark.parametrize("name", [name.removeprefix(PREFIX) for name in packaged_names()])
def test_the_packaged_interface_gives_the_answers_of_the_table(name: str, tmp_path: Path) -> None:
    file, decoder, towers = packaged(name), open_decoder(WEIGHTS / "decoder"), open_towers(WEIGHTS)
    interface = file.interface(towers, decoder.config.hidden_size)
    bank = draw_bank(tmp_path, N, HELD_OUT_SEED, towers.shape.patch, lambda *_: None, OPTIONS)
    seen = cache_seen(interface, bank, tmp_path, lambda *_: None)
    rows = judge(interface, file.decoder(decoder), seen, bank, object_sizes(N)).rows
    (kept,) = (r for r in read_comparison(RESULTS).results(name) if r.seed == file.facts["seed"])
    asked = pl.col("kind").str.starts_with("caption").not_()
    before = kept.tables[""].filter(asked & (pl.col("scene") < N))
    now = rows.filter(asked)
    assert now["expected"].equals(before["expected"])
    # Rounding differs between processors: an answer can tip over.
    assert (now["said"] == before["said"]).mean() > 0.99
    assert len(now) > 10 * N
