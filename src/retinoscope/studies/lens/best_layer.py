"""The paper's best-layer statistic and the most common words, from the rows of a lens study."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa

from ...stats import cluster_mean, cluster_share
from .._paper import paper_number
from .._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    make_table,
    rank,
    records,
)

MEASURES = (
    *("strict", "lenient", "colour", "any_kind"),
    *("piece", "synonym", "near", "near_other"),
)
"""What is counted; the second line only where the study measured what is near a name."""
WEIGHTS = ("trained", "untrained", "random adapter", "untrained language")
GROUPS = ("object", "background", "shuffled")
_WEIGHTS, _GROUPS = rank(WEIGHTS), rank(GROUPS)
_LISTED = 20
_WORDS = {
    **dict.fromkeys(("weights", "group"), "string"),
    "cover": "float",
    **dict.fromkeys(("layer", "rank"), "int"),
    "word": "string",
    "n_tokens": "int",
    "share": "float",
    "n_images": "int",
    "objects": "string",
}
_MEASURES = rank(MEASURES)
_BEST = {
    **dict.fromkeys(("weights", "group"), "string"),
    "cover": "float",
    **dict.fromkeys(("measure", "images"), "string"),
    **estimate("share"),
    **estimate("layer"),
    **dict.fromkeys(("n_layers", "n_images", "n_objects"), "int"),
    **dict.fromkeys(("paper_share", "paper_layer"), "float"),
}


def common_words(table: pa.Table) -> pa.Table:
    """The words that stand on top most often, by weights, group, cover and layer.

    `share` is of all tokens of the group; `n_tokens` of them have the word, in `n_images` images;
    `objects` are the objects under whose mask it stands most often, with their counts. A row keeps
    the dozen most common words of each object, so rare ones are counted a little too low.
    """
    found: list[Record] = []
    rows = [row for row in records(table) if row.get("words") is not None]
    keys = ("weights", "group", "cover", "layer")
    for (weights, group, cover, layer), items in grouped(rows, keys).items():
        total = sum(_count(row, "n_tokens") for row in items)
        counts: Counter[str] = Counter()
        images: dict[str, set[str]] = defaultdict(set)
        objects: dict[str, Counter[str]] = defaultdict(Counter)
        for row in items:
            for word, n in json.loads(str(row["words"])).items():
                counts[word] += n
                images[word].add(str(row["sample"]))
                objects[word][str(row["object"])] += n
        for place, (word, n) in enumerate(counts.most_common(_LISTED), start=1):
            found.append(
                {
                    "weights": str(weights),
                    "group": str(group),
                    "cover": cover,
                    "layer": layer,
                    "rank": place,
                    "word": word,
                    "n_tokens": n,
                    "share": n / total,
                    "n_images": len(images[word]),
                    "objects": ", ".join(f"{o} {k}" for o, k in objects[word].most_common(3)),
                }
            )
    found.sort(key=words_order)
    return make_table(found, _WORDS)


def words_order(record: Record) -> tuple[int, int, float, int, int]:
    """Sorts the records of `common_words`."""
    weights, group = str(record["weights"]), str(record["group"])
    return (
        *(_WEIGHTS[weights], _GROUPS[group], _cover(record)),
        *(int(record["layer"] or 0), int(record["rank"] or 0)),
    )


def best_order(record: Record) -> tuple[int, int, int, float]:
    """Sorts the records of `best_layer`."""
    weights, measure, group = (str(record[name]) for name in ("weights", "measure", "group"))
    return _WEIGHTS[weights], _MEASURES[measure], _GROUPS[group], _cover(record)


def _cover(record: Record) -> float:
    cover = record["cover"]
    return -1.0 if cover is None else float(cover)


def best_layer(table: pa.Table) -> pa.Table:
    """The paper's statistic: for each object the layer with the largest share (the first of equal
    ones), then means over objects.

    `images` says over which: "all" (an object that never hits has share 0 at layer 0), "hitting"
    (without those), or "mean curve" (the peak of the curve averaged over objects). The maximum over
    layers is biased upwards; the same statistic for the control groups shows by how much.
    """
    rows = measured(table)
    layers = rows["layer"].to_numpy()
    n_layers = 1 + int(layers.max(initial=0))
    found: list[Record] = []
    for (weights, group, cover), chosen in _groups_of(rows).items():
        images, objects = _objects_of(rows.take(pa.array(chosen)))
        for measure in MEASURES[:2]:
            shares = rows[measure].to_numpy()[chosen] / rows["n_tokens"].to_numpy()[chosen]
            matrix = np.zeros((len(images), n_layers))
            matrix[objects, layers[chosen]] = shares
            base: dict[str, Cell] = {
                "weights": str(weights),
                "group": str(group),
                "cover": cover,
                "measure": measure,
                "n_layers": n_layers,
            }
            for record in _best(matrix, images):
                found.append({**base, **record, **_paper(str(weights), str(group))})
    found.sort(key=best_order)
    return make_table(found, _BEST)


def measured(table: pa.Table) -> pa.Table:
    """Rows without an error, of the columns that the statistic reads; counts as integers."""
    counts = ("layer", "n_tokens", *MEASURES[:2])
    columns = {name: table[name] for name in ("weights", "group", "sample", "item")}
    # Runs of earlier versions had one cover, which only their parameters name.
    nulls = pa.nulls(table.num_rows, pa.float64())
    columns["cover"] = table["cover"] if "cover" in table.column_names else nulls
    columns |= {name: table[name].cast(pa.int64()).fill_null(0) for name in counts}
    return pa.table(columns).filter(table["error"].is_null())


def _groups_of(rows: pa.Table) -> dict[tuple[str, str, float | None], np.ndarray]:
    """Row numbers by weights, group and cover, in the order of first appearance."""
    found: dict[tuple[str, str, float | None], np.ndarray] = {}
    pairs = pa.table({name: rows[name] for name in ("weights", "group", "cover")})
    number, first = coded_rows(pairs)
    for index, row in enumerate(pairs.take(pa.array(first)).to_pylist()):
        found[row["weights"], row["group"], row["cover"]] = np.flatnonzero(number == index)
    return found


def _objects_of(rows: pa.Table) -> tuple[list[str], np.ndarray]:
    """The image of each object, in the order of first appearance, and each row's object."""
    number, first = coded_rows(rows.select(["sample", "item"]))
    return rows["sample"].take(pa.array(first)).to_pylist(), number


def coded_rows(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of equal rows by first appearance, and where each number appears first."""
    code = np.zeros(rows.num_rows, np.int64)
    for column in rows.columns:
        plain = pa.concat_arrays([pa.nulls(0, column.type), *column.chunks])
        coded = plain.dictionary_encode()
        indices = coded.indices.fill_null(len(coded.dictionary)).to_numpy(zero_copy_only=False)
        code = code * (len(coded.dictionary) + 1) + indices
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    by_first = np.argsort(first, kind="stable")
    rank_of = np.empty_like(by_first)
    rank_of[by_first] = np.arange(len(by_first))
    return rank_of[number], first[by_first]


def _best(matrix: np.ndarray, images: list[str]) -> list[dict[str, Cell]]:
    """`matrix` is (objects, layers) shares."""
    best, layer = matrix.max(1), matrix.argmax(1)
    found = []
    for name, chosen in (("all", np.full(len(best), True)), ("hitting", best > 0)):
        kept = [image for image, use in zip(images, chosen, strict=True) if use]
        if not kept:
            continue
        share = cluster_share(best[chosen], groups=kept)
        found.append(
            {
                "images": name,
                **interval_columns("share", share),
                **interval_columns("layer", cluster_mean(layer[chosen], kept)),
                "n_images": share.n_groups,
                "n_objects": share.n,
            }
        )
    mean = matrix.mean(0)
    peak = int(mean.argmax())
    found.append(
        {
            "images": "mean curve",
            **interval_columns("share", cluster_share(matrix[:, peak], groups=images)),
            "layer": float(peak),
            "n_images": len(set(images)),
            "n_objects": len(images),
        }
    )
    return found


def _paper(weights: str, group: str) -> Record:
    if (weights, group) != ("trained", "object"):
        return {}
    share = paper_number("lens", of="share")
    layer = paper_number("lens", of="layer")
    return {
        "paper_share": share and share.value,
        "paper_layer": layer and layer.value,
    }


def _count(row: Record, column: str) -> int:
    return int(row[column] or 0)
