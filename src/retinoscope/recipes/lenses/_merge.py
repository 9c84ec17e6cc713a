"""Joins lenses that were fitted on parts of the data, and indices of parts of a corpus."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace

import torch

from ... import arguments
from ...arguments import several
from ...engine import VLM
from ...errors import InputError
from ...lens import ContextFolder, Contexts, Contextual, Entries, LinearLens, load
from ...store import fingerprint_bytes
from ._admission import Admission


def merge(
    paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], vlm: VLM | None = None
) -> LinearLens | Contextual:
    """Joins the shards of one fit, writes the result and returns it.

    Args:
        paths: their files or folders; of contextual lenses in the order of the data.
        out: the file or folder of the result.
        vlm: the model, which contextual lenses need.

    Raises:
        InputError: not all shards of one fit, each once.
        CapabilityError: tuned lenses, which cannot be joined.
    """
    places = [arguments.path(path) for path in several(paths, "lenses")]
    if not places:
        raise InputError("expected lenses to merge, got none")
    lenses = [load(place, vlm) for place in places]
    if all(isinstance(lens, Contextual) for lens in lenses):
        if vlm is None:
            raise InputError("expected the model of these contextual lenses, got none: name it")
        return merge_contexts(places, vlm, out)
    linear = [lens for lens in lenses if isinstance(lens, LinearLens)]
    kinds = {type(lens) for lens in lenses}
    if len(kinds) > 1:
        raise InputError(f"expected lenses of one kind, got {', '.join(x.name for x in lenses)}")
    merged = type(linear[0]).merge(linear)
    merged.save(out)
    return merged


def merge_contexts(
    folders: Sequence[str | os.PathLike[str]], vlm: VLM, out: str | os.PathLike[str]
) -> Contextual:
    """Joins indices of the parts of a corpus, in its order, into that of the whole.

    The result has the entries of one build of the whole: of each part the whole admits some of
    those that the part admitted by itself.

    Args:
        folders: finished indices, made by this model with the same settings.
        vlm: the model, whose vocabulary says which tokens are the same string.
        out: the folder of the joint index.

    Raises:
        InputError: no indices, unfinished ones, other settings, or a folder with another index or
            with one that was begun from other parts.
        StudyError: the disk is full.
    """
    parts = [Contexts.open(arguments.path(folder)) for folder in several(folders, "folders")]
    if not parts:
        raise InputError("expected at least one index, got none")
    first, *others = (asdict(replace(part.card.settings, corpus="")) for part in parts)
    for name in (name for other in others for name in first if first[name] != other[name]):
        raise InputError(
            f"expected parts of one index, got indices with another {name}: build all of them "
            "with the same model and settings"
        )
    vlm.state()
    Contextual(parts[0]).check(vlm.adapter)
    texts = [text for part in parts for text in part.entries.table["text"].to_pylist()]
    corpus = fingerprint_bytes(*(text.encode() for text in texts))
    folder = ContextFolder(arguments.path(out))
    card = folder.begin(replace(parts[0].card.settings, corpus=corpus))
    if card.complete:
        return Contextual(Contexts.open(folder.path))
    if parts[0].projection is not None:
        folder.write_projection(parts[0].projection)
    admission = Admission(vlm.adapter, card.cap)
    shards = [(part, number) for part in parts for number in range(len(part.card.shards))]
    done = card.shards
    for place, (part, number) in enumerate(shards):
        entries = part.folder.entries(number)
        kept = _admitted(entries, admission)
        if place < len(done):
            texts_there = done[place].texts
            if (texts_there, done[place].entries) != (len(entries.table), int(kept.sum())):
                raise InputError(
                    f"{folder.path}: expected an index begun from these parts, got one with "
                    f"{texts_there} texts in shard {place}, not {len(entries.table)}: choose "
                    "another folder, or delete this one"
                )
            continue
        states = {layer: rows[kept] for layer, rows in part.shard(number).items()}
        complete = place == len(shards) - 1
        card = folder.add(card, states, entries.only(kept), complete=complete)
    return Contextual(Contexts.open(folder.path))


def _admitted(entries: Entries, admission: Admission) -> torch.Tensor:
    """Which entries of a part are entries of the whole."""
    admitted = {
        (number, position)
        for number, text in enumerate(entries.table.to_pylist())
        for position in admission.of(text["token_ids"], text["start"])
    }
    places = zip(entries.texts.tolist(), entries.positions.tolist(), strict=True)
    return torch.tensor([place in admitted for place in places], dtype=torch.bool)
