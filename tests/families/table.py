"""Makes docs/models.md from the tiny models: `python -m tests.families.table > docs/models.md`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import tiny_llava as llava
import tiny_more as more
import tiny_prefix as prefix
import tiny_query as query
import tiny_rotary as rotary
import tiny_tiles as tiles

import retinoscope as rs
from tests.conftest import make_model, make_processor

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
METHODS = (
    *("ablate", "patch", "knockout", "attention", "gradients", "generate", "several images"),
    "incremental",
)
GRID, TILES, NONE = "one grid", "tiles", "unplaced"
OUTSIDE = "not in the decoder's input"


@dataclass(frozen=True)
class Row:
    """One family.

    Attributes:
        model, processor: make its tiny model and processor.
        places: where its visual tokens lie: `GRID`, `TILES`, `NONE` or `OUTSIDE`.
        test: the file that checks them, in tests/.
        own: whether `processor` is the family's own; what a model supports does not depend on it.
    """

    model: Callable[[], Any]
    processor: Callable[[], Any]
    places: str
    test: str
    own: bool = True

    def load(self) -> rs.VLM:
        """The tiny model, through every check."""
        return rs.load(model=self.model(), processor=self.processor())


def _rotary(kind: Any) -> Callable[[], Any]:
    return lambda: rotary.qwen_processor(kind)


ROWS = (
    Row(make_model, make_processor, GRID, "models/test_layout.py"),
    Row(llava.vipllava, llava.llava_processor, GRID, "families/test_vipllava.py"),
    Row(llava.llava_next, llava.llava_next_processor, TILES, "families/test_llava_next.py"),
    Row(
        llava.llava_onevision,
        llava.llava_onevision_processor,
        TILES,
        "families/test_llava_onevision.py",
    ),
    Row(tiles.pixtral, tiles.pixtral_processor, GRID, "families/test_pixtral.py"),
    Row(
        tiles.mistral3,
        lambda: tiles.pixtral_processor(merge=2),
        GRID,
        "families/test_mistral3.py",
    ),
    Row(tiles.idefics3, tiles.idefics3_processor, TILES, "families/test_idefics3.py"),
    Row(tiles.smolvlm, tiles.smolvlm_processor, TILES, "families/test_smolvlm.py"),
    Row(tiles.internvl, tiles.internvl_processor, TILES, "families/test_internvl.py"),
    Row(rotary.qwen2_vl, rotary.qwen_processor, GRID, "families/test_qwen2_vl.py"),
    Row(
        rotary.qwen2_5_vl,
        _rotary(rotary.Qwen2_5_VLProcessor),
        GRID,
        "families/test_qwen2_5_vl.py",
    ),
    Row(rotary.qwen3_vl, _rotary(rotary.Qwen3VLProcessor), GRID, "families/test_qwen3_vl.py"),
    Row(prefix.gemma3, prefix.gemma3_processor, GRID, "families/test_gemma3.py"),
    Row(prefix.paligemma, prefix.paligemma_processor, GRID, "families/test_paligemma.py"),
    # LFM2-VL's own processor cannot be had without torchvision.
    Row(prefix.lfm2_vl, prefix.gemma3_processor, TILES, "families/test_lfm2_vl.py", own=False),
    Row(query.blip2, query.blip2_processor, NONE, "families/test_blip2.py"),
    Row(query.instructblip, query.instructblip_processor, NONE, "families/test_instructblip.py"),
    Row(query.mllama, query.mllama_processor, OUTSIDE, "families/test_mllama.py"),
    Row(query.kosmos2, query.kosmos2_processor, NONE, "families/test_kosmos2.py"),
    Row(more.aria, more.aria_processor, NONE, "families/test_aria.py"),
    Row(more.ovis2, more.ovis2_processor, TILES, "families/test_ovis2.py"),
    Row(more.fast_vlm, more.fast_vlm_processor, GRID, "families/test_fast_vlm.py"),
    Row(more.aya, more.aya_processor, GRID, "models/test_generic.py"),
)

HEAD = """# Model families

Each family is tested with a tiny model of random weights, built from its own configuration and
processor classes. This page is what those models say, and a test fails when it is stale;
`python -m tests.families.table > docs/models.md` writes it. A number points to the reason below;
layers and windows that are named are those of the tiny model.

The visual tokens of a family lie in one grid, in tiles, or are unplaced (learned queries: see
`run.soft_origin()`). The last column is the test that holds all of it against the
library, and the places (those of the patches, for learned queries) against changed pixels.

A family that is not in the list loads through the generic adapter where its self-check passes, as
the last row's does, and is refused with the reason where it does not. `retinoscope doctor MODEL`
says the same of one model.

"""


def page() -> str:
    """The text of docs/models.md."""
    reasons: list[str] = []
    titles = ("family", "architecture", "decoder", *METHODS, "visual tokens", "checked by")
    lines = [_line(titles), _line(["---"] * len(titles))]
    for row in ROWS:
        found = row.load().capabilities
        cells = [_cell(found, name, reasons) for name in METHODS]
        name = f"{found.family}, here Aya Vision" if found.family == "generic" else found.family
        lines.append(
            _line(
                (
                    *(name, f"`{found.architecture}`", found.decoder),
                    *cells,
                    *(row.places, f"`tests/{row.test}`"),
                )
            )
        )
    notes = [f"{number}. {reason}." for number, reason in enumerate(reasons, 1)]
    return HEAD + "\n".join(lines) + "\n\n## Reasons\n\n" + "\n".join(notes) + "\n"


def _cell(found: Any, name: str, reasons: list[str]) -> str:
    (method,) = (one for one in found.methods if one.name == name)
    if method.supported and not method.why:
        return "yes"
    if method.why not in reasons:
        reasons.append(method.why)
    number = reasons.index(method.why) + 1
    return f"limited ({number})" if method.supported else f"no ({number})"


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())
