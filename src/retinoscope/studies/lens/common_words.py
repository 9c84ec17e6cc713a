"""The words that are most often the most probable."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

import polars as pl

from ..summary import Record

_LISTED = 20


def common_words(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields the most common words of one group at one layer, at each cover.

    `share` is of all tokens of the group; `n_tokens` of them have the word, in `n_images` images;
    `objects` are the objects under whose mask it occurs most often, with their counts. A row keeps
    the dozen most common words of each object, so rare ones are slightly undercounted.
    """
    for (cover,), some in rows.partition_by("cover", maintain_order=True, as_dict=True).items():
        total = int(some["n_tokens"].sum())
        counts: Counter[str] = Counter()
        images: dict[str, set[str]] = defaultdict(set)
        objects: dict[str, Counter[str]] = defaultdict(Counter)
        for sample, name, words in some.select("sample", "object", "words").iter_rows():
            for word, n in json.loads(words).items():
                counts[word] += n
                images[word].add(sample)
                objects[word][str(name)] += n
        for place, (word, n) in enumerate(counts.most_common(_LISTED), start=1):
            yield {
                **{name: some[name][0] for name in ("weights", "lens", "group")},
                "cover": cover,
                "layer": some["layer"][0],
                "rank": place,
                "word": word,
                "n_tokens": n,
                "share": n / total,
                "n_images": len(images[word]),
                "objects": ", ".join(f"{o} {k}" for o, k in objects[word].most_common(3)),
            }
