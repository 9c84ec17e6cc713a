"""`retinoscope doctor`: what a model supports and costs, measured on one image."""

from __future__ import annotations

import gc
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ._common import Loading, load_model, quiet
from ._say import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from matplotlib.axes import Axes
    from PIL import Image

    from ..engine import VLM, Prompt, Run
    from ..models import Layout, SoftOrigin

REPEATS = 3
KINDS = (".png", ".svg", ".pdf")
_TILES = ("#0b62a4", "#c25408", "#0b7a5b", "#93488f", "#866a08", "#2f8fc4")
_WIDTH = 100


def doctor(
    model: str,
    /,
    *,
    image: Path | None = None,
    text: str = "Describe this image.",
    out: Path = Path("doctor.png"),
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Print what a model is, what it supports and what one image costs; draw its visual tokens.

    Loads the model with its self-check and runs it a few times on one image: its family and
    decoder, the methods that it supports, those that are refused and why, and the memory and time
    of one run, measured. The visual tokens' boxes are drawn over the image.

    For example:

        retinoscope doctor pocket

        retinoscope doctor llava-hf/llava-1.5-7b-hf --image street.jpg --device cuda

    Args:
        model: pocket, a Hugging Face Hub id or a folder.
        image: the image to try; a drawn scene by default.
        text: the prompt.
        out: file for the drawing: .png, .svg or .pdf.
    """
    _check_out(out)
    picture, name = _example(image)
    # The memory profiler prints lines of its own, unless this is set before torch is loaded.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    quiet()
    vlm = load_model(model, loading)
    prompt = vlm.prompt(picture, text)
    _say_model(model, vlm)
    _say_methods(vlm)
    run = _fresh(vlm).run(prompt)
    _say_image(run, name)
    del run
    _say_memory(vlm, prompt)
    _say_time(vlm, prompt)
    draw(vlm.run(prompt), picture, out)
    say(f"layout: {out}")


def _check_out(out: Path) -> None:
    from ..errors import InputError

    if out.suffix.lower() not in KINDS:
        raise InputError(
            f"--out must end in {', '.join(KINDS[:-1])} or {KINDS[-1]}, got {str(out)!r}"
        )
    if not out.parent.is_dir():
        raise InputError(f"--out: no folder {str(out.parent)!r}: create it first")


def _example(path: Path | None) -> tuple[Image.Image, str]:
    from ..data import open_image, scenes

    if path is not None:
        return open_image(path), path.name
    return scenes(1, seed=0)[0].image, "a drawn scene"


def _fresh(vlm: VLM) -> VLM:
    """The same model without anything cached: its next run encodes the image."""
    from ..engine import VLM

    fresh = VLM(type(vlm.adapter)(vlm.model, vlm.processor), vlm.name)
    fresh.capabilities = vlm.capabilities
    return fresh


# The model


def _say_model(name: str, vlm: VLM) -> None:
    from ..models import quantized

    capabilities = vlm.capabilities
    quantization = quantized(vlm.model)
    weights = "" if quantization is None else f", most weights in {quantization},"
    rows = (
        ("model", name),
        ("family", f"{capabilities.family} ({capabilities.architecture})"),
        (
            "decoder",
            f"{capabilities.decoder}: {capabilities.n_layers} layers, "
            f"{capabilities.n_heads} heads, d_model {capabilities.d_model}, "
            f"vocabulary {capabilities.vocab_size}",
        ),
        (
            "computes in",
            f"{str(vlm.dtype).removeprefix('torch.')}{weights} on {vlm.device}, "
            f"attention {capabilities.attention}",
        ),
    )
    for title, value in rows:
        _row(title, value)


def _say_methods(vlm: VLM) -> None:
    say("methods")
    for method in vlm.capabilities.methods:
        _row(f"  {method.name}", f"{'yes' if method.supported else 'no':<4} {method.why}", 22)


def _say_image(run: Run, name: str) -> None:
    (width, height), layouts = run.prompt.images[0].size, _layouts(run)
    placed = sum(int((~layout.unplaced).sum()) for layout in layouts)
    count = sum(map(len, layouts))
    parts = [f"{name}, {width} x {height} pixels: {count} visual tokens"]
    grid = layouts[0].grid if len(layouts) == 1 else None
    if grid is not None:
        parts.append(f"grid {grid[0]} x {grid[1]}")
    tiles = len({int(t) for layout in layouts for t in layout.tiles[~layout.unplaced]})
    if tiles > 1:
        parts.append(f"{tiles} tiles")
    if count > placed:
        parts.append(f"{count - placed} without a box of their own")
    _row("image", ", ".join(parts))
    _row("prompt", f"{run.n} positions; the model continues with {run.generate(1).text!r}")


def _layouts(run: Run) -> tuple[Layout, ...]:
    """Layouts of the visual tokens, or of the patches in families without visual tokens."""
    patches: Callable[[Any], tuple[Layout, ...]] | None = getattr(run.adapter, "patches", None)
    return run.inputs.layouts if patches is None else patches(run.inputs)


def _row(title: str, value: str, width: int = 14) -> None:
    lines = textwrap.wrap(value.rstrip(), _WIDTH - width) or [""]
    say(f"{title:<{width}}{lines[0]}")
    for line in lines[1:]:
        say(" " * width + line)


# Memory


@dataclass(frozen=True)
class Taken:
    """The bytes that a piece of work took.

    Attributes:
        peak: the most held at once, beyond what was held before.
        kept: what is still held at its end.
    """

    peak: int
    kept: int


def _say_memory(vlm: VLM, prompt: Prompt) -> None:
    weights = _bytes([*vlm.model.parameters(), *vlm.model.buffers()])
    fresh = _fresh(vlm)
    with_image, _ = taken(lambda: fresh.run(prompt), vlm.device)
    without, run = taken(lambda: fresh.run(prompt), vlm.device)
    stream = _bytes([run.hidden(layer) for layer in range(vlm.n_layers + 1)])
    rest = max(0, without.kept - stream)
    say("memory, measured")
    _row("  weights", size(weights), 22)
    _row("  one run, at most", f"{size(with_image.peak)} beside the weights", 22)
    _row("  image encoded", f"{size(without.peak)}", 22)
    _row(
        "  kept by a run",
        f"{size(without.kept)}: residual stream {size(stream)}, keys, values and the rest "
        f"{size(rest)}",
        22,
    )


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    """Bytes of the memory behind `tensors`, with each storage counted once."""
    storages = (tensor.untyped_storage() for tensor in tensors)
    pieces = {storage.data_ptr(): storage.nbytes() for storage in storages}
    return sum(pieces.values())


def taken(work: Callable[[], Any], device: torch.device) -> tuple[Taken, Any]:
    """The device memory that `work` took, by the allocator's own counts, and its result."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        done = work()
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device)
        return Taken(peak - before, torch.cuda.memory_allocated(device) - before), done
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        done = work()
        gc.collect()
    held = peak = 0
    for change in _allocations(profile):
        held += change
        peak = max(peak, held)
    return Taken(peak, held), done


def _allocations(profile: torch.profiler.profile) -> Iterator[int]:
    """Yields bytes taken (positive) and returned (negative), in temporal order."""
    import json
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(file))
        events = json.loads(file.read_text("utf-8"))["traceEvents"]
    events_ = [event for event in events if event.get("name") == "[memory]"]
    for event in sorted(events_, key=lambda event: float(event["ts"])):
        yield int(event["args"]["Bytes"])


def size(n_bytes: int) -> str:
    """Formats bytes, such as "12.3 MB": decimal units, three digits."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


# Time


def _say_time(vlm: VLM, prompt: Prompt) -> None:
    first: list[float] = []
    again: list[float] = []
    for _ in range(REPEATS):
        fresh = _fresh(vlm)
        first.append(_seconds(lambda fresh=fresh: fresh.run(prompt), vlm.device))
        again.append(_seconds(lambda fresh=fresh: fresh.run(prompt), vlm.device))
    say(f"time of one run, median of {REPEATS}")
    _row("  with the image", _duration(median(first)), 22)
    _row("  image encoded", _duration(median(again)), 22)


def _seconds(work: Callable[[], Any], device: torch.device) -> float:
    from time import perf_counter

    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    start = perf_counter()
    work()
    wait()
    return perf_counter() - start


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


# The drawing


def draw(run: Run, picture: Image.Image, out: Path) -> None:
    """Draws the boxes of the first image's visual tokens over the image.

    Tiles of one scale share a panel, each in its own colour. For learned queries, which have no
    boxes, the vision tower's patches are drawn, darker the more the queries attended to them.
    """
    from matplotlib.figure import Figure

    layout = _layouts(run)[0]
    origin = _origin(run)
    panels = [[]] if origin is not None else _panels(layout)
    wide = 5.0
    tall = min(wide * picture.height / picture.width, 4 * wide)
    drawing = Figure(figsize=(wide * len(panels), tall + 0.4), layout="constrained")
    axes = drawing.subplots(1, len(panels), squeeze=False)[0]
    for ax, tiles in zip(axes, panels, strict=True):
        ax.imshow(picture, extent=(0, picture.width, picture.height, 0))
        if origin is not None:
            _draw_origin(ax, origin)
        else:
            _draw_tiles(ax, layout, tiles)
        ax.set_xlim(0, picture.width)
        ax.set_ylim(picture.height, 0)
        ax.set_axis_off()
    drawing.savefig(out, dpi=150)


def _origin(run: Run) -> SoftOrigin | None:
    from ..errors import RetinoscopeError

    try:
        return run.soft_origin()
    except RetinoscopeError:
        return None


def _panels(layout: Layout) -> list[list[int]]:
    """Groups tiles by scale, so that the tokens of a panel are equally large."""
    import numpy as np

    panels: list[tuple[float, list[int]]] = []
    for tile in sorted({int(tile) for tile in layout.tiles[~layout.unplaced]}):
        boxes = layout.boxes[(layout.tiles == tile) & ~layout.unplaced]
        width = float(np.max(boxes[:, 2] - boxes[:, 0]))
        for known, tiles in panels:
            if abs(known / width - 1) < 0.1:
                tiles.append(tile)
                break
        else:
            panels.append((width, [tile]))
    return [tiles for _, tiles in panels] or [[]]


def _draw_tiles(ax: Axes, layout: Layout, tiles: Sequence[int]) -> None:
    from matplotlib.collections import PolyCollection

    count = 0
    for number, tile in enumerate(tiles):
        boxes = layout.boxes[(layout.tiles == tile) & ~layout.unplaced]
        count += len(boxes)
        colour = _TILES[number % len(_TILES)]
        ax.add_collection(
            PolyCollection(_corners(boxes), facecolors="none", edgecolors=colour, linewidths=0.8)
        )
    title = f"{count} visual tokens"
    if len(tiles) > 1:
        title += f" in {len(tiles)} tiles"
    ax.set_title(title, fontsize=9, loc="left")


def _draw_origin(ax: Axes, origin: Any) -> None:
    from matplotlib.collections import PolyCollection

    layout, weight = origin.layout, origin.weights.mean(0).cpu().numpy()
    placed = ~layout.unplaced
    strength = 0.75 * weight[placed] / max(float(weight[placed].max()), 1e-12)
    colours = [(0.04, 0.38, 0.64, float(alpha)) for alpha in strength]
    ax.add_collection(
        PolyCollection(
            _corners(layout.boxes[placed]),
            facecolors=colours,
            edgecolors=(1.0, 1.0, 1.0, 0.35),
            linewidths=0.4,
        )
    )
    ax.set_title(
        f"where {len(origin.weights)} learned queries looked, their mean", fontsize=9, loc="left"
    )


def _corners(boxes: Any) -> list[list[tuple[float, float]]]:
    return [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in boxes.tolist()]
