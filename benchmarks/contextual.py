"""The contextual lens over all layers and visual tokens, against its bare matrix products.

The top 5 of random states among the entries of a random index, which is read from disk as float16:
times do not depend on the values. The products have the index in memory as float32. Beside those in
the lens's own tiles stand those in large blocks, and the search as published: layer by layer, all
cosines with a text layer, then their top 5 and those of all text layers.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from retinoscope.lens import ContextCard, ContextFolder, Contexts, Entries
from retinoscope.lens._nearest import ContextHead, nearest
from retinoscope.models import Adapter

from ._bench import TOLERANCE, Case, Measure, Options, Way, alternate, options_for, write_result
from ._models import SHAPES
from .lens import LARGE_ROWS, TOP_K, most_held

PRODUCTS, LARGE = "matrix products, the lens's tiles", "matrix products, 1024 rows x text layer"
LENS, HELD = "lens", "layer by layer, cosines held, then top-k"
TEXT_LAYERS = (1, 2, 4, 8, 16, 24, 28, 29)
ENTRIES = {"small": 4_000, "135m": 100_000, "7b": 100_000}
"""Of all text layers together."""
SHARDS = 4
CHECKED = 512
"""States on which the lens is compared with all cosines before anything is timed."""


class Work:
    """The same search in several ways; `hidden` is (layer, token, width)."""

    def __init__(
        self, folder: Path, layers: int, tokens: int, entries: int, width: int, options: Options
    ) -> None:
        torch.manual_seed(0)
        place: Any = {"device": options.device}
        self.hidden = torch.randn(layers, tokens, width, **place).to(options.torch_dtype)
        write_index(folder, entries // len(TEXT_LAYERS), width)
        contexts = Contexts.open(folder)
        self.head = ContextHead(cast(Adapter, None), contexts, None)
        whole = contexts.states(torch.arange(self.head.size)).to(options.device)
        self.index = whole.unflatten(0, (len(TEXT_LAYERS), contexts.n))
        self.queries = self.head.queries(self.hidden.flatten(0, 1))
        self.tiles = self.head.tiles(self.queries)

    def lens(self, _: int = 0, rows: int | None = None) -> tuple[Tensor, Tensor]:
        """(row, k) entries and cosines."""
        queries = torch.cat([self.head.queries(layer) for layer in self.hidden])
        return nearest(self.head, queries[:rows], TOP_K)

    @torch.no_grad()
    def products(self, _: int = 0) -> None:
        for tile in self.index.flatten(0, 1).split(self.tiles.width):
            for block in self.queries.split(self.tiles.rows):
                torch.mm(block, tile.T)

    @torch.no_grad()
    def large(self, _: int = 0) -> None:
        for rows in self.index:
            for block in self.queries.split(LARGE_ROWS):
                torch.mm(block, rows.T)

    @torch.no_grad()
    def held(self, _: int = 0, rows: int | None = None) -> Tensor:
        """(row, k) cosines."""
        found: list[Tensor] = []
        for block in self.queries[:rows].split(self.hidden.shape[1]):
            best = [(block @ of_layer.T).topk(TOP_K, dim=-1).values for of_layer in self.index]
            found.append(torch.cat(best, 1).topk(TOP_K, dim=-1).values)
        return torch.cat(found)


def write_index(folder: Path, n: int, width: int) -> None:
    """Writes an index of `n` random entries per text layer."""
    card = ContextCard("random", "", "float32", width, 30, TEXT_LAYERS, 50, None, "", width, 0)
    for number, part in enumerate(torch.arange(n).tensor_split(SHARDS)):
        states = {
            layer: torch.nn.functional.normalize(torch.randn(len(part), width), dim=-1)
            for layer in TEXT_LAYERS
        }
        entries = Entries.of(["a"], [part.tolist()], [0], [range(len(part))])
        card = ContextFolder(folder).add(card, states, entries, complete=number == SHARDS - 1)


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result."""
    parser = argparse.ArgumentParser(add_help=False)
    for name in ("--layers", "--tokens", "--entries", "--width"):
        parser.add_argument(name, type=int)
    own, rest = parser.parse_known_args(argv)
    doc = f"{__doc__}\n--layers, --tokens, --entries and --width change the sizes."
    options = options_for(doc, "contextual", rest)
    shape = SHAPES[options.size]
    layers = own.layers or shape.layers
    tokens = own.tokens or (shape.side // shape.patch) ** 2
    entries, width = own.entries or ENTRIES[options.size], own.width or shape.width
    sizes = f"--layers {layers} --tokens {tokens} --entries {entries} --width {width}"
    options = replace(options, command=f"{options.command} {sizes}")
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder), layers, tokens, entries, width, options)
        case = _case(options, work)
    model = {
        "layers": layers,
        "tokens": tokens,
        "entries": work.head.size,
        "text_layers": len(TEXT_LAYERS),
        "width": width,
        "top_k": TOP_K,
    }
    return write_result(options, cases=[case], model=model)


def _case(options: Options, work: Work) -> Case:
    rows, width = work.queries.shape
    entries = work.head.size
    same = _equality(options, work)
    ways = {
        PRODUCTS: Way(work.products),
        LARGE: Way(work.large),
        LENS: Way(work.lens),
        HELD: Way(work.held),
    }
    timings = alternate(ways, options)
    lens, bare = timings[LENS].total, timings[PRODUCTS].total
    measures = [
        Measure("times the bare matrix products in the same tiles", lens / bare, None, 2.0),
        Measure(
            "times the bare matrix products in large blocks", lens / timings[LARGE].total, None, 2.0
        ),
        Measure("times faster than all cosines of a layer held", timings[HELD].total / lens),
    ]
    everything = rows * entries * 4
    if not options.device.startswith("cuda"):
        what = "most memory held beside states and result, as a share of all cosines"
        held = most_held(work.lens) - work.queries.nbytes
        measures.append(Measure(what, held / everything, at_most=0.1))
    return Case(
        name=f"Top-{TOP_K} of {rows} states among {entries} entries",
        timings=timings,
        measures=measures,
        equality=same,
        limit={
            "operations_fewest": 2 * rows * entries * width,
            "operations_per_second_of_products": 2 * rows * entries * width / bare,
            "bytes_of_all_cosines": everything,
            "bytes_of_index_on_disk": 2 * entries * width,
        },
        notes=[f"A tile is {work.tiles.rows} states x {work.tiles.width} entries."],
    )


def _equality(options: Options, work: Work) -> dict[str, float]:
    entries, found = work.lens(rows=CHECKED)
    wanted = work.held(rows=CHECKED)
    own = (work.queries[:CHECKED, None] * work.index.flatten(0, 1)[entries]).sum(-1)
    difference = max(float((found - wanted).abs().max()), float((found - own).abs().max()))
    tolerance = TOLERANCE[options.dtype]
    if not difference <= tolerance:
        raise SystemExit(
            f"the lens differs from all cosines by {difference:.1e}, expected at most "
            f"{tolerance:.0e}: nothing was timed"
        )
    return {"max_difference": difference, "rows": len(found), "tolerance": tolerance}


if __name__ == "__main__":
    main()
