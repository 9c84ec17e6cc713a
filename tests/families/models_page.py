"""Makes docs/models.md: `python -m tests.families.models_page > docs/models.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from table import ROWS

import retinoscope as rs

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
METHODS = (
    *("ablate", "patch", "knockout", "attention", "gradients", "generate", "several images"),
    "incremental",
)
HEAD = """# Model families

Each family is tested with a tiny model with random weights, built from its own configuration and
processor classes. This page is generated from these models by
`python -m tests.families.models_page > docs/models.md`, and a test fails if it is out of date.
Numbers refer to the reasons below; layers and windows mentioned there are those of the tiny model.

The visual tokens of a family form one grid or several tiles, or have no position (learned
queries: see `run.soft_origin()`). `tests/families/test_families.py` compares every family with
`transformers`, and the positions of its tokens (for learned queries, of the patches) with changes
of single pixels. The last column names tests of what is special about a family.

A family that is not in the list is loaded by the generic adapter if its self-check passes, as for
the last row, and is otherwise refused with the reason. `retinoscope doctor MODEL` reports the same
for a single model.

"""


def page() -> str:
    """The text of docs/models.md."""
    reasons: list[str] = []
    titles = ("family", "architecture", "decoder", *METHODS, "visual tokens", "further tests")
    lines = [_line(titles), _line(["---"] * len(titles))]
    for row in ROWS:
        # What a model supports does not depend on its processor.
        processor = row.stand_in if row.missing and row.stand_in else row.processor
        found = rs.load(model=row.model(), processor=processor()).capabilities
        lines.append(
            _line(
                (
                    f"{row.family}, here {row.variant}" if row.variant else row.family,
                    f"`{found.architecture}`",
                    found.decoder,
                    *(_cell(found, name, reasons) for name in METHODS),
                    row.places,
                    ", ".join(f"`tests/{file}`" for file in row.tests),
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


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())
