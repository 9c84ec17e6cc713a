"""The logit lens over all layers and visual tokens, against its bare matrix products.

Top-5 and log-sum-exp of the decoder's sizes, with a random head and random states: times do not
depend on their values. Beside the products in the lens's own tiles stand those in large blocks,
which no lens shaped, and the lens that holds all logits.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import torch
import torch.nn.functional as F
from torch import nn

from retinoscope.lens import Lens, logit_lens
from retinoscope.lens._head import VocabularyHead
from retinoscope.lens._stream import Tiles
from retinoscope.models import Adapter

from ._bench import TOLERANCE, Case, Measure, Options, Way, alternate, options_for, write_result
from ._models import SHAPES

TOP_K = 5
PRODUCTS, LARGE = "matrix products, the lens's tiles", "matrix products, 1024 rows x vocabulary"
LENS, HELD, FUSED = "lens", "all logits held, then top-k", "lens, fused kernel"
LARGE_ROWS = 1024
CHECKED = 512
"""Rows on which the lens is compared with all logits before anything is timed."""


class Head:
    """What the lens uses of an adapter: a head and a final norm, read out as the adapter does."""

    unembed = Adapter.unembed
    read_out = Adapter.read_out

    def __init__(self, vocabulary: int, width: int, options: Options) -> None:
        torch.manual_seed(0)
        place: Any = {"device": options.device, "dtype": options.torch_dtype}
        self.unembedding = nn.Linear(width, vocabulary, bias=False, **place)
        nn.init.normal_(self.unembedding.weight, std=3 * width**-0.5)
        self.decoder = SimpleNamespace(final_norm=nn.RMSNorm(width, eps=1e-5, **place))
        self.text_config = SimpleNamespace()
        self.vocab_size = vocabulary


class Work:
    """The same readout in several ways; `hidden` is (1, rows, width)."""

    def __init__(self, rows: int, vocabulary: int, width: int, options: Options) -> None:
        self.head = Head(vocabulary, width, options)
        weight = self.head.unembedding.weight
        self.hidden = torch.randn(1, rows, width, device=weight.device).to(weight.dtype)
        self.tiles = Tiles.of(VocabularyHead(cast(Adapter, self.head)), rows, weight.device)

    def lens(self, _: int = 0, rows: int | None = None, **options: Any) -> Lens:
        hidden = self.hidden[:, :rows]
        adapter = cast(Adapter, self.head)
        return logit_lens(adapter, hidden, tuple(range(hidden.shape[1])), TOP_K, **options)

    @torch.no_grad()
    def products(self, _: int = 0) -> None:
        weight = self.head.unembedding.weight
        for rows in self.hidden[0].split(self.tiles.rows):
            for stretch in self.tiles.stretches:
                F.linear(rows, weight[stretch])

    @torch.no_grad()
    def large(self, _: int = 0) -> None:
        for rows in self.hidden[0].split(LARGE_ROWS):
            F.linear(rows, self.head.unembedding.weight)

    @torch.no_grad()
    def held(self, _: int = 0, rows: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """(row, k) logits and (row,) log-sum-exp of all logits at once."""
        logits = self.head.read_out(self.hidden[0, :rows])
        return logits.topk(TOP_K, dim=-1).values, logits.logsumexp(-1)


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    parser = argparse.ArgumentParser(add_help=False)
    for name in ("--rows", "--vocab", "--width"):
        parser.add_argument(name, type=int)
    own, rest = parser.parse_known_args(argv)
    options = options_for(f"{__doc__}\n--rows, --vocab and --width change the sizes.", "lens", rest)
    shape = SHAPES[options.size]
    rows = own.rows or (shape.layers + 1) * (shape.side // shape.patch) ** 2
    vocabulary, width = own.vocab or shape.vocabulary, own.width or shape.width
    sizes = f"--rows {rows} --vocab {vocabulary} --width {width}"
    options = replace(options, command=f"{options.command} {sizes}")
    work = Work(rows, vocabulary, width, options)
    case = _case(options, work, rows, vocabulary, width)
    model = {"rows": rows, "vocabulary": vocabulary, "width": width, "top_k": TOP_K}
    return write_result(options, cases=[case], model=model)


def _case(options: Options, work: Work, rows: int, vocabulary: int, width: int) -> Case:
    cuda = options.device.startswith("cuda")
    fused = cuda and importlib.util.find_spec("triton") is not None
    same = _equality(options, work)
    everything = rows * vocabulary * 4
    ways = {PRODUCTS: Way(work.products), LARGE: Way(work.large), LENS: Way(work.lens)}
    free = torch.cuda.mem_get_info()[0] if cuda else psutil.virtual_memory().available
    notes = [f"A tile is {work.tiles.rows} rows x {work.tiles.width} tokens."]
    # The logits, their exponentials in the log-sum-exp, and what half precision adds.
    if 3 * everything < free:
        ways[HELD] = Way(work.held)
    else:
        notes.append(f"All logits, {everything / 1e9:.1f} GB, could not be held here.")
    if fused:
        ways[FUSED] = Way(lambda _: work.lens(kernel="triton"))
    timings = alternate(ways, options)
    bare = timings[PRODUCTS].total
    measures = [
        Measure(
            "times the bare matrix products in the same tiles",
            timings[LENS].total / bare,
            None,
            1.5,
        ),
        Measure(
            "times the bare matrix products in large blocks",
            timings[LENS].total / timings[LARGE].total,
            None,
            1.5,
        ),
    ]
    if HELD in timings:
        measures.append(
            Measure("times faster than all logits held", timings[HELD].total / timings[LENS].total)
        )
    if fused:
        measures.append(
            Measure("fused kernel, times the bare matrix products", timings[FUSED].total / bare)
        )
    if not cuda:
        share = most_held(work.lens) / everything
        what = "most memory held beside the result, as a share of all logits"
        measures.append(Measure(what, share, at_most=0.1))
    operations = 2 * rows * vocabulary * width
    return Case(
        name=f"Top-{TOP_K} of {rows} states over {vocabulary} tokens",
        timings=timings,
        measures=measures,
        equality=same,
        limit={
            "operations_fewest": operations,
            "operations_per_second_of_products": operations / bare,
            "bytes_of_all_logits": everything,
            "bytes_of_head_and_states": 4 * width * (rows + vocabulary),
        },
        notes=notes,
    )


def _equality(options: Options, work: Work) -> dict[str, float]:
    found = work.lens(rows=CHECKED)
    logits, sums = work.held(rows=CHECKED)
    assert found.log_sums is not None
    probs = (logits - sums[:, None]).exp()
    scale = float(sums.abs().max())
    difference = max(
        float((found.probs[0] - probs).abs().max()),
        float((found.log_sums[0] - sums).abs().max()) / scale,
    )
    tolerance = TOLERANCE[options.dtype]
    if not difference <= tolerance:
        raise SystemExit(
            f"the lens differs from all logits by {difference:.1e}, expected at most "
            f"{tolerance:.0e}: nothing was timed"
        )
    return {"max_difference": difference, "rows": len(sums), "tolerance": tolerance}


def most_held(work: Callable[[], Lens | tuple[torch.Tensor, ...]]) -> int:
    """Most bytes held at a time beside the result, by the allocator's own account."""
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        found = work()
    assert profile.profiler is not None
    results = profile.profiler.kineto_results
    assert results is not None
    events = [event for event in results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    kept = (found.ids, found.values, found.log_sums) if isinstance(found, Lens) else found
    return most - sum(part.nbytes for part in kept if part is not None)


if __name__ == "__main__":
    main()
