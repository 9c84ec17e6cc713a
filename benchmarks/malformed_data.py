"""Malformed data and gaze: each must end in one line, in samples with one, or be harmless.

python -m benchmarks.malformed_data                 200 mutations of small sources of every format
python -m benchmarks.malformed_data --only gaze-mat --count 50
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import retinoscope as rs
from retinoscope.errors import RetinoscopeError
from retinoscope.sources import Contents
from retinoscope.studies import sample_fingerprint

from ._bench import RESULTS, write_json
from ._malformed import (
    apart,
    spoil_array,
    spoil_bytes,
    spoil_column,
    spoil_csv,
    spoil_facts,
    spoil_json,
    spoil_lines,
    spoil_matlab,
    spoil_picture,
)

MEMORY = 3 << 30
"""Bytes of addresses that reading one may take; an image of the most pixels takes .8 GB."""

SECONDS = 20
SIDE = (40, 30)
PICTURES = (".png", ".jpg", ".gif", ".bmp", ".tif", ".webp")
SPOILERS: Mapping[str, Sequence[Callable[[Path, random.Random], str]]] = {
    ".json": (spoil_json, spoil_json, spoil_json, spoil_bytes),
    ".jsonl": (spoil_lines, spoil_lines, spoil_bytes),
    ".txt": (spoil_lines, spoil_bytes),
    ".csv": (spoil_csv, spoil_csv, spoil_csv, spoil_bytes),
    ".parquet": (spoil_column, spoil_column, spoil_bytes),
    ".mat": (spoil_matlab, spoil_matlab, spoil_bytes),
    ".npy": (spoil_array, spoil_array, spoil_bytes),
    ".arrow": (spoil_bytes,),
    **dict.fromkeys(PICTURES, (spoil_picture, spoil_picture, spoil_bytes)),
}

Open = Callable[[Path], Sequence[rs.data.Sample]]


def mutate(folder: Path, rng: random.Random) -> str:
    """Spoils one file of a source, a picture less often than what is told about it."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in SPOILERS)
    told = [file for file in files if file.suffix not in PICTURES]
    file = rng.choice(told if told and rng.random() < 0.7 else files)
    spoilers = SPOILERS[file.suffix]
    if file.parent.parent.name == "sessions" and file.suffix == ".parquet":
        spoilers = (spoil_facts, spoil_facts, *spoilers)
    return rng.choice(spoilers)(file, rng)


def read(samples: Callable[[], Sequence[rs.data.Sample]]) -> str:
    """What opening a source and reading all of it ends in: "harmless", or the error's class.

    Everything of every sample that a study can see is read, as a study's own survey does.

    Raises:
        AssertionError: a message of several lines.
        Exception: an error of Python, which is what must not happen.
    """
    ends: list[str] = []

    def line(error: RetinoscopeError) -> None:
        assert str(error), "an error without a message"
        assert "\n" not in str(error), str(error)
        ends.append(type(error).__name__)

    try:
        found = samples()
        _ = found.fingerprint  # type: ignore[attr-defined]
    except RetinoscopeError as error:
        line(error)
        return ends[0]
    contents = Contents()
    for place in range(len(found)):
        try:
            sample = found[place]
            sample_fingerprint(sample)
            contents.add(sample, {})
            for gaze in sample.attention:
                gaze.density()
            if sample.objects:
                rs.data.label_map(sample, sorted({one.name for one in sample.objects}))
        except RetinoscopeError as error:
            line(error)
            contents.unreadable(str(error))
    assert not any("\n" in one for one in (contents.line, *contents.left_out))
    if ends:
        return f"{ends[0]} of a sample"
    return "something left out" if contents.skipped else "harmless"


def _named(kind: str, inner: str = "") -> Open:
    """As the command line opens it."""
    return lambda folder: rs.sources.open_source(f"{kind}:{folder / inner}")


def _scenes(folder: Path, places: str = "images", ending: str = ".png") -> list[rs.data.Sample]:
    (folder / places).mkdir(parents=True, exist_ok=True)
    scenes = [*rs.data.scenes(2, seed=3)]
    for number, scene in enumerate(scenes, 1):
        scene.image.save(folder / places / f"{number}{ending}")
    return scenes


def _json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), "utf-8")


def _coco(folder: Path) -> None:
    """Polygons, both kinds of run lengths, a box, a crowd and questions."""
    rs.data.export_coco(rs.data.scenes(2, seed=3), folder)
    file = next((folder / "annotations").glob("instances*.json"))
    content = json.loads(file.read_text("utf-8"))
    image, category = content["images"][0], content["categories"][0]
    size = [image["height"], image["width"]]
    pixels = size[0] * size[1]
    shared = {"image_id": image["id"], "category_id": category["id"], "bbox": [2, 2, 20, 20]}
    for number, (outline, crowd) in enumerate(
        (
            ([[2, 2, 20, 2, 20, 20]], 0),
            ({"size": size, "counts": [5, 9, pixels - 14]}, 0),
            ({"size": size, "counts": "PPYo4"}, 1),
            (None, 0),
        )
    ):
        extra = {"id": 9_000 + number, "segmentation": outline, "iscrowd": crowd, "area": 9.0}
        content["annotations"].append(shared | extra)
    _json(file, content)
    asked = {"question": "What color is it?", "answer": "red", "kind": "color", "about": [0]}
    _json(folder / "questions.json", [asked | {"image_id": image["id"]}] * 2)


def _genome(folder: Path) -> None:
    parts: dict[str, list[Any]] = {"image_data": [], "objects": [], "attributes": []}
    parts |= {"relationships": [], "question_answers": []}
    for number, scene in enumerate(_scenes(folder, ending=".jpg"), 1):
        here = {"image_id": number}
        width, height = scene.image.size
        parts["image_data"].append(here | {"width": width, "height": height})
        objects = [
            {"object_id": 10 * number + k, "names": [name], "x": 5 * k, "y": 5, "w": 20, "h": 20}
            | {"synsets": ["cup.n.01"], "merged_object_ids": [100 * number + k]}
            for k, name in enumerate(("cup", "table"))
        ]
        parts["objects"].append(here | {"objects": objects})
        red = {"object_id": 10 * number, "attributes": ["red"]}
        parts["attributes"].append(here | {"attributes": [red]})
        ends = {"subject": objects[0], "predicate": "ON", "object": objects[1]}
        parts["relationships"].append(here | {"relationships": [ends]})
        asked = {"qa_id": number, "question": "What color is the cup?", "answer": "Red."}
        asked |= {"q_objects": [objects[0]], "a_objects": []}
        parts["question_answers"].append({"id": number, "qas": [asked]})
    for name, content in parts.items():
        _json(folder / f"{name}.json", content)


def _labels(file: Path, top: int, size: tuple[int, int] = SIDE) -> None:
    values = np.zeros(size[::-1], np.uint8)
    values[5:15, 5:20] = 1
    values[16:20] = top
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    image.putpalette([*range(256)] * 3)
    image.save(file)


def _voc(folder: Path) -> None:
    names = [f"{number}" for number in range(1, 3)]
    size = _scenes(folder, "JPEGImages", ".jpg")[0].image.size
    for name in names:
        _labels(folder / "SegmentationClass" / f"{name}.png", 255, size)
        _labels(folder / "SegmentationObject" / f"{name}.png", 2, size)
    split = folder / "ImageSets" / "Segmentation"
    split.mkdir(parents=True)
    (split / "val.txt").write_text("\n".join(names), "utf-8")


def _ade20k(folder: Path) -> None:
    size = _scenes(folder, "images/validation", ".jpg")[0].image.size
    for number in (1, 2):
        _labels(folder / "annotations" / "validation" / f"{number}.png", 2, size)
    rows = ["Idx\tRatio\tName", "1\t.1\twall", "2\t.1\tbuilding, edifice"]
    (folder / "objectInfo150.txt").write_text("\n".join(rows), "utf-8")


_ROWS = [
    {"image": "1.png", "question": "What color?", "answer": "red", "kind": "color", "id": "a"}
    | {"object": "cup", "box": "10 10 30 30", "mask": "", "about": "0"},
    {"image": "2.png", "question": "How many?", "answer": "2", "kind": "count", "id": "b"}
    | {"object": "dog", "box": "", "mask": "m.png", "about": ""},
]


def _csv(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    lines = [",".join(rows[0]), *(",".join(f'"{one}"' for one in row.values()) for row in rows)]
    file.write_text("\n".join(lines) + "\n", "utf-8")


def _table(ending: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        size = _scenes(folder, ".")[0].image.size
        Image.new("L", size, 0).save(folder / "m.png")
        _labels(folder / "m.png", 1, size)
        file = folder / f"asked{ending}"
        if ending == ".csv":
            _csv(file, _ROWS)
            return
        listed = [
            {**row, "box": [10.0, 10.0, 30.0, 30.0] if row["box"] else None, "about": None}
            | {"mask": row["mask"] or None}
            for row in _ROWS
        ]
        if ending == ".jsonl":
            file.write_text("\n".join(map(json.dumps, listed)) + "\n", "utf-8")
        else:
            pq.write_table(pa.Table.from_pylist(listed), file)

    return make


def _folder(folder: Path) -> None:
    size = _scenes(folder, ".")[0].image.size
    _labels(folder / "masks" / "1.png", 1, size)
    _labels(folder / "masks" / "2" / "cup.png", 1, size)
    asked = {"question": "What color?", "answer": "red"}
    _csv(folder / "questions.csv", [{"image": "1.png", **asked}, {"image": "2.png", **asked}])


def _images(folder: Path) -> None:
    """One of each format that is read, an animation and pages among them."""
    image, other = (scene.image for scene in rs.data.scenes(2, seed=3))
    for ending in PICTURES:
        more = {"save_all": True, "append_images": [other]} if ending in (".gif", ".tif") else {}
        image.save(folder / f"one{ending}", **more)
    image.convert("RGBA").save(folder / "clear.png")


def _datasets(folder: Path) -> None:
    import datasets

    scenes = _scenes(folder, "pictures")
    rows = [
        {"question": "What color?", "answer": ["red", "red"], "kind": "color"}
        | {"image": {"bytes": (folder / "pictures" / f"{k}.png").read_bytes(), "path": None}}
        | {"objects": [{"name": "cup", "bbox": [1.0, 2.0, 9.0, 9.0]}]}
        for k, _ in enumerate(scenes, 1)
    ]
    shutil.rmtree(folder / "pictures")
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows).save_to_disk(folder / "saved")


def _settings(folder: Path, **more: object) -> None:
    viewport = {"x0": 0, "y0": 0, "scale_x": 1, "scale_y": 1}
    told = {"viewport": viewport, "lead": 0.1, "bandwidth": 0.05, "resize": "area"}
    told |= {"subset": ["1", "2"], "granularities": ["word", "text"], "viewports": {"1": viewport}}
    _json(folder / "gaze.json", told | more)


def _recordings(folder: Path) -> None:
    rs.gaze.write_simulated(rs.data.scenes(2, seed=3), folder, observers=2)


def _triplets(folder: Path) -> None:
    size = _scenes(folder)[0].image.size
    _settings(folder)
    rng = np.random.default_rng(0)
    np.save(folder / "a.npy", rng.random(size[::-1]))
    Image.fromarray((rng.random((30, 40)) * 255).astype(np.uint8)).save(folder / "b.png")
    shared = {"text": "a red cup", "segment": "red cup", "occurrence": 0}
    rows = [
        {"image": str(k), **shared, "map": file, "granularity": "phrase", "observer": k}
        for k, file in ((1, "a.npy"), (2, "b.png"))
    ]
    _csv(folder / "triplets.csv", rows)


def _fixations(folder: Path) -> None:
    _scenes(folder)
    _settings(folder)
    rows = [
        {"image": k % 2 + 1, "x": 5 * k, "y": 4 * k, "start": k, "end": k + 0.5, "duration": 0.5}
        | {"observer": k % 3, "text": "a red cup", "segment": "red cup", "occurrence": 0}
        | {"granularity": "phrase"}
        for k in range(6)
    ]
    _csv(folder / "fixations.csv", rows)
    _csv(folder / "texts.csv", [{"image": "1", "text": "a red cup"}])


def _matlab(folder: Path) -> None:
    from scipy.io import savemat

    size = _scenes(folder)[0].image.size
    (folder / "fixations").mkdir()
    gaze: Any = np.zeros((2, 1), dtype=[("location", "O"), ("timestamp", "O"), ("fixations", "O")])
    for one in gaze[:, 0]:
        for name in ("location", "timestamp", "fixations"):
            one[name] = np.array([[3.0, 4.0], [20.0, 10.0]])
    savemat(folder / "fixations" / "1.mat", {"gaze": gaze}, do_compression=True)
    where = np.zeros(size[::-1], np.uint8)
    where[3, 7] = 1
    savemat(folder / "fixations" / "2.mat", {"fixLocs": where})


def _maps(folder: Path) -> None:
    size = _scenes(folder)[0].image.size
    _settings(folder, viewport="image", viewports={})
    (folder / "maps").mkdir()
    np.save(folder / "maps" / "1.npy", np.random.default_rng(0).random(size[::-1]))
    _labels(folder / "maps" / "2.png", 200, size)
    rows = [{"x": k, "y": k, "duration": 1.0, "observer": k} for k in range(3)]
    (folder / "fixations").mkdir()
    _csv(folder / "fixations" / "1.csv", rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "fixations" / "2.parquet")


def _sessions(folder: Path) -> None:
    scene = _scenes(folder)[0]
    (folder / "images" / "2.png").unlink()
    _json(folder / "collection.json", {"version": 1, "task": "describe", "text": "consent"})
    words = [
        {"text": word, "start": k / 2, "end": k / 2 + 0.4} for k, word in enumerate(("a", "cup"))
    ]
    trial = rs.gaze.CollectedTrial(
        session=5,
        image="one",
        size=scene.image.size,
        radius=9.0,
        blur=4.0,
        task="describe",
        positions=[(0.0, 5.0, 5.0), (0.5, 20.0, 9.0), (1.0, None, None)],
        pauses=[(0.8, 0.9)],
        words=words,
        end=2.0,
        instruments=("mouse",),
    )
    place = rs.gaze.session_folder(folder, 5)
    _json(place / "session.json", {"version": 1, "session": 5})
    (place / "1.parquet").write_bytes(rs.gaze.trial_bytes(trial))


def _described(folder: Path) -> None:
    _scenes(folder, ".")
    _csv(folder / "texts.csv", [{"image": k, "text": "a red cup"} for k in (1, 2)])


def _curation(folder: Path) -> None:
    from retinoscope.curation import Area, Curation

    _folder(folder)
    made = Curation(None, rs.data.folder(folder), (Area(1),)).run(folder / "run")
    (folder / "curation.json").write_bytes(made.content)
    shutil.rmtree(folder / "run")


def _curated(folder: Path) -> Sequence[rs.data.Sample]:
    from retinoscope.curation import Curated

    found = Curated.load(folder / "curation.json")
    _ = str(found)
    return found.apply(rs.sources.open_source(f"folder:{folder}"))


def _described_there(folder: Path) -> Sequence[rs.data.Sample]:
    class Told(list[rs.data.Sample]):
        fingerprint = None

    return Told(rs.gaze.described(folder))


SOURCES: Mapping[str, tuple[Callable[[Path], None], Open]] = {
    "coco": (_coco, _named("coco")),
    "vg": (_genome, _named("vg")),
    "voc": (_voc, _named("voc")),
    "ade20k": (_ade20k, _named("ade20k")),
    "folder": (_folder, _named("folder")),
    "images": (_images, _named("folder")),
    "table-csv": (_table(".csv"), _named("table", "asked.csv")),
    "table-jsonl": (_table(".jsonl"), _named("table", "asked.jsonl")),
    "table-parquet": (_table(".parquet"), _named("table", "asked.parquet")),
    "datasets": (_datasets, _named("datasets", "saved")),
    "vista-recordings": (_recordings, _named("vista")),
    "vista-maps": (_triplets, _named("vista")),
    "gaze-csv": (_fixations, _named("gaze")),
    "gaze-mat": (_matlab, _named("gaze")),
    "gaze-maps": (_maps, _named("gaze")),
    "collected": (_sessions, _named("collected")),
    "texts": (_described, _described_there),
    "curation": (_curation, _curated),
}
"""How each format is written small and sound, and how it is opened."""


def make_sources(folder: Path, only: Sequence[str] = tuple(SOURCES)) -> dict[str, Path]:
    """A folder of each format."""
    for name in only:
        (folder / name).mkdir(parents=True)
        SOURCES[name][0](folder / name)
    return {name: folder / name for name in only}


def sweep(good: Mapping[str, Path], scratch: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` mutations, each of a fresh copy, of each format in turn; and what each ended in."""
    rows = []
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        name = sorted(good)[number % len(good)]
        copy = Path(shutil.copytree(good[name], scratch / f"{name}-{number}"))
        what = mutate(copy, rng)
        end = apart(lambda name=name, copy=copy: _opened(name, copy), MEMORY, SECONDS)
        fault = end if end.startswith("fault") else None
        told = {"number": number, "source": name, "what": what, "fault": fault}
        rows.append(told | {"end": "fault" if fault else end})
        shutil.rmtree(copy)
    return rows


def _opened(name: str, folder: Path) -> str:
    warnings.simplefilter("ignore")
    return read(lambda: SOURCES[name][1](folder))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if an error of Python, or too much memory or time, came through."""
    parser = argparse.ArgumentParser("python -m benchmarks.malformed_data", description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=sorted(SOURCES), choices=sorted(SOURCES))
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        good = make_sources(Path(folder) / "good", given.only)
        rows = sweep(good, Path(folder), given.count, given.seed)
    ends = Counter(row["end"] for row in rows)
    print(
        f"{len(rows)} malformed sources (seed {given.seed}): "
        f"{', '.join(f'{count} {end}' for end, count in ends.most_common())}"
    )
    for row in rows:
        if row["fault"]:
            print(f"  {row['number']}: {row['source']}: {row['what']}: {row['fault']}")
    write_json(
        RESULTS / "malformed_data.json",
        {
            "benchmark": "malformed_data",
            "seed": given.seed,
            "count": len(rows),
            "sources": sorted(good),
            "ends": dict(ends),
        },
    )
    return int(any(row["fault"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
