"""Malformed model folders: each must end in one line, or be harmless, in bounded memory and time.

python -m benchmarks.malformed_models               60 mutations of the packaged model's folder
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._bench import RESULTS, write_json
from ._malformed import apart, spoil_bytes, spoil_json

MEMORY = 4 << 30
"""Bytes of addresses that opening one may take beyond what the process has already."""

SECONDS = 120
SETTINGS = (
    *("config.json",) * 4,
    *("generation_config.json", "tokenizer_config.json", "tokenizer.json", "processor_config.json"),
)
SIZES = ("hidden_size", "intermediate_size", "vocab_size", "num_hidden_layers", "patch_size")


def make_model(folder: Path) -> Path:
    """The packaged model in the ordinary format."""
    import retinoscope as rs

    vlm = rs.load("pocket")
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    return folder


def mutate(folder: Path, rng: random.Random) -> str:
    """Spoils one thing in a model's folder; returns what."""
    return rng.choice((_setting, _setting, _setting, _size, _bytes, _header, _index))(folder, rng)


def _setting(folder: Path, rng: random.Random) -> str:
    files = [name for name in SETTINGS if (folder / name).exists()]
    return spoil_json(folder / rng.choice(files), rng)


def _size(folder: Path, rng: random.Random) -> str:
    """A size of the configuration that its weights do not have."""
    file = folder / "config.json"
    content = json.loads(file.read_text("utf-8"))
    part = content[rng.choice(("text_config", "vision_config"))]
    name = rng.choice([name for name in SIZES if name in part])
    part[name] = rng.choice((0, -1, 3, 50_000, 10**6, 10**9, 10**18, part[name] * 2))
    file.write_text(json.dumps(content), "utf-8")
    return f"config.json {name} = {part[name]}"


def _bytes(folder: Path, rng: random.Random) -> str:
    return spoil_bytes(rng.choice(sorted(folder.iterdir())), rng)


def _header(folder: Path, rng: random.Random) -> str:
    """What the header of the weights says of one tensor."""
    file = folder / "model.safetensors"
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    name = rng.choice([name for name in header if name != "__metadata__"])
    kind = rng.choice(("dtype", "shape", "data_offsets", "name", "gone"))
    if kind == "gone":
        del header[name]
    elif kind == "name":
        header["x" + name] = header.pop(name)
    else:
        header[name][kind] = rng.choice((None, "F8", [-1], [10**9, 10**9], [0, 1], {}, "I64"))
    changed = json.dumps(header).encode()
    file.unlink()
    file.write_bytes(len(changed).to_bytes(8, "little") + changed + raw[8 + length :])
    return f"model.safetensors {name}: {kind}"


def _index(folder: Path, rng: random.Random) -> str:
    """Weights that another file should hold, inside the folder or outside."""
    where = rng.choice(("../../etc/passwd", "/etc/passwd", "missing.safetensors", 3, None))
    index = {"metadata": {"total_size": 10**12}, "weight_map": {"lm_head.weight": where}}
    if rng.random() < 0.5:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return f"model.safetensors.index.json: {where!r}"


def opened(folder: Path) -> str:
    """What opening the folder and one run end in: "harmless", or the error's class."""
    import retinoscope as rs
    from retinoscope.errors import RetinoscopeError

    try:
        vlm = rs.load(folder)
        vlm.run(vlm.prompt(rs.data.scenes(1)[0].image, "Describe this image."))
    except RetinoscopeError as error:
        line = str(error)
        assert line, "an error without a message"
        assert "\n" not in line, line
        return type(error).__name__
    return "harmless"


def sweep(good: Path, scratch: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` mutations, each of a fresh copy of `good`, and what opening each ended in."""
    rows = []
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        copy = Path(shutil.copytree(good, scratch / f"model-{number}"))
        what = mutate(copy, rng)
        end = apart(lambda copy=copy: opened(copy), MEMORY, SECONDS)
        fault = end if end.startswith("fault") else None
        rows.append({"number": number, "what": what, "end": end.split()[0], "fault": fault})
        shutil.rmtree(copy)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if an error of Python, or too much memory or time, came through."""
    parser = argparse.ArgumentParser("python -m benchmarks.malformed_models", description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        good = make_model(Path(folder) / "good")
        rows = sweep(good, Path(folder), given.count, given.seed)
    ends = Counter(row["end"] for row in rows)
    print(
        f"{len(rows)} malformed model folders (seed {given.seed}): "
        f"{', '.join(f'{count} {end}' for end, count in ends.most_common())}"
    )
    for row in rows:
        if row["fault"]:
            print(f"  {row['number']}: {row['what']}: {row['fault']}")
    write_json(
        RESULTS / "malformed_models.json",
        {
            "benchmark": "malformed_models",
            "seed": given.seed,
            "count": len(rows),
            "ends": dict(ends),
        },
    )
    return int(any(row["fault"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
