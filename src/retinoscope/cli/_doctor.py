"""`retinoscope doctor`: what was found about a model, on one image, before it is studied."""

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
    """Print what a model is, what works on it, and what one image costs; draw its visual tokens.

    Loads the model with its self-check and runs it a few times on one image: its family and
    decoder, the methods that work and those that are refused and why, the memory and the time of
    one run, measured. The visual tokens' boxes are drawn over the image.

    For example:

        retinoscope doctor pocket

        retinoscope doctor llava-hf/llava-1.5-7b-hf --image street.jpg --device cuda

    Args:
        model: pocket, a Hugging Face Hub id or a folder.
        image: the image to try; a drawn scene by default.
        text: what is asked about it.
        out: file for the drawing: .png, .svg or .pdf.
    """
    _check_out(out)
    picture, name = _example(image)
    # The profiler that counts memory writes lines of its own, unless told so before torch loads.
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
        raise InputError(f"--out: no folder {str(out.parent)!r}: make it first")


def _example(path: Path | None) -> tuple[Image.Image, str]:
    from ..data import open_image, scenes

    if path is not None:
        return open_image(path), path.name
    return scenes(1, seed=0)[0].image, "a drawn scene"


def _fresh(vlm: VLM) -> VLM:
    """The same model with nothing kept from earlier runs: its next run encodes the image."""
    from ..engine import VLM

    fresh = VLM(type(vlm.adapter)(vlm.model, vlm.processor), vlm.name)
    fresh.capabilities = vlm.capabilities
    return fresh


# What was found


def _say_model(name: str, vlm: VLM) -> None:
    from ..models import quantized

    found = vlm.capabilities
    kept = quantized(vlm.model)
    kept = "" if kept is None else f", most weights in {kept},"
    rows = (
        ("model", name),
        ("family", f"{found.family} ({found.architecture})"),
        (
            "decoder",
            f"{found.decoder}: {found.n_layers} layers, {found.n_heads} heads, d_model "
            f"{found.d_model}, vocabulary {found.vocab_size}",
        ),
        (
            "computes in",
            f"{str(vlm.dtype).removeprefix('torch.')}{kept} on {vlm.device}, "
            f"attention {found.attention}",
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
    tiles = len({int(t) for one in layouts for t in one.tiles[~one.unplaced]})
    if tiles > 1:
        parts.append(f"{tiles} tiles")
    if count > placed:
        parts.append(f"{count - placed} without a box of their own")
    _row("image", ", ".join(parts))
    _row("prompt", f"{run.n} positions; the model goes on with {run.generate(1).text!r}")


def _layouts(run: Run) -> tuple[Layout, ...]:
    """Of the visual tokens, or of the patches where a family has them outside the positions."""
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
    """Bytes that a piece of work took.

    Attributes:
        peak: most that were held at once, beyond what was held before.
        kept: still held at its end.
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
    _row("  image known already", f"{size(without.peak)}", 22)
    _row(
        "  kept by a run",
        f"{size(without.kept)}: residual stream {size(stream)}, keys, values and the rest "
        f"{size(rest)}",
        22,
    )


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    """Bytes of the memory behind `tensors`, each piece counted once."""
    pieces = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}
    return sum(pieces.values())


def taken(work: Callable[[], Any], device: torch.device) -> tuple[Taken, Any]:
    """What `work` took of the device's memory, from the allocator's own counts, and its result."""
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
    """Bytes taken (positive) and given back (negative), in the order of time."""
    import json
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(file))
        events = json.loads(file.read_text("utf-8"))["traceEvents"]
    found = [event for event in events if event.get("name") == "[memory]"]
    for event in sorted(found, key=lambda event: float(event["ts"])):
        yield int(event["args"]["Bytes"])


def size(n_bytes: int) -> str:
    """Such as "12.3 MB": decimal units, three digits."""
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
    _row("  image known already", _duration(median(again)), 22)


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
    """The boxes of the first image's visual tokens over the image.

    Tiles of one scale share a panel, in a colour each. Learned queries have no boxes: there the
    vision tower's patches are drawn, darker the more the queries looked at them.
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
    """Tiles of one scale together: their tokens are equally large."""
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
