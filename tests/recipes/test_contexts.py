"""Indices of contextual states: which entries they have, shards, interruptions, merging."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

import retinoscope as rs
from retinoscope.lens import Contexts, Contextual
from retinoscope.recipes.lenses import (
    _contexts,
    build_contexts,
    captions,
    corpus,
    merge_contexts,
    published_layers,
)

NOUNS = ("cat", "car", "dog", "tree", "fish")
TEXTS = [
    f"{start} a {color} {noun} and two {other}"
    for start in ("there is", "It is")
    for color in ("red", "blue", "green")
    for noun, other in zip(NOUNS, (*NOUNS[1:], NOUNS[0]), strict=True)
]
LAYERS = (1, 3)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_contexts, "_TEXTS", 4)


def _content(contexts: Contexts) -> dict[str, object]:
    """Everything an index holds, whatever its shards."""
    known = contexts.entries
    places = list(zip(known.texts.tolist(), known.positions.tolist(), strict=True))
    return {
        "states": contexts.states(torch.arange(2 * contexts.n)).view(2, contexts.n, -1).tolist(),
        "tokens": known.token_ids.tolist(),
        "places": places,
        "texts": known.table.to_pylist(),
        "card": contexts.card.settings,
    }


def _published(vlm: rs.VLM, cap: int) -> list[tuple[int, int]]:
    """(text, position) of the entries, as LatentLens chooses them."""
    seen: set[tuple[int, ...]] = set()
    counts: Counter[str] = Counter()
    chosen: list[tuple[int, int]] = []
    for number, text in enumerate(TEXTS):
        ids = vlm.tokenizer(text)["input_ids"]
        for position in range(2, len(ids)):
            prefix, word = tuple(ids[: position + 1]), vlm.tokenizer.decode([ids[position]])
            if prefix not in seen and counts[word] < cap:
                seen.add(prefix)
                counts[word] += 1
                chosen.append((number, position))
    return chosen


@pytest.mark.parametrize("cap", [2, 50])
def test_entries_are_the_published_ones(tiny: rs.VLM, tmp_path: Path, cap: int) -> None:
    kind = build_contexts(tiny, TEXTS, tmp_path, text_layers=LAYERS, cap=cap)
    found = _content(kind.contexts)
    assert found["places"] == _published(tiny, cap)
    assert len(kind.contexts.card.shards) == 8
    for layer, states in zip(LAYERS, found["states"], strict=True):  # type: ignore[arg-type]
        number, position = _published(tiny, cap)[5]
        state = tiny.run(tiny.prompt(None, TEXTS[number], raw=True)).hidden(layer)[position]
        expected = torch.nn.functional.normalize(state, dim=0).half().float()
        torch.testing.assert_close(torch.tensor(states[5]), expected)


@pytest.mark.parametrize("cap", [2, 5, 50])
@pytest.mark.parametrize("width", [None, 8])
def test_merged_parts_equal_the_joint_build(
    tiny: rs.VLM, tmp_path: Path, cap: int, width: int | None
) -> None:
    settings = {"text_layers": LAYERS, "cap": cap, "width": width, "seed": 1}
    whole = build_contexts(tiny, TEXTS, tmp_path / "whole", **settings)  # type: ignore[arg-type]
    parts = [slice(0, 7), slice(7, 9), slice(9, None)]
    for part in parts:
        build_contexts(tiny, TEXTS[part], tmp_path / str(part.start), **settings)  # type: ignore[arg-type]
    folders = [tmp_path / str(part.start) for part in parts]
    merged = merge_contexts(folders, tiny, tmp_path / "merged")
    assert _content(merged.contexts) == _content(whole.contexts)
    again = merge_contexts(folders, tiny, tmp_path / "merged")
    assert _content(again.contexts) == _content(whole.contexts)


def test_the_same_call_goes_on(tiny: rs.VLM, tmp_path: Path) -> None:
    whole = build_contexts(tiny, TEXTS, tmp_path / "whole", text_layers=LAYERS)

    def interrupt(done: int, total: int, what: str) -> None:
        assert (total, what) == (len(TEXTS), "texts")
        if done == 10:
            raise KeyboardInterrupt

    out = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        build_contexts(tiny, TEXTS, out, text_layers=LAYERS, progress=interrupt)
    with pytest.raises(rs.InputError, match="not finished"):
        Contextual.open(out)
    done: list[int] = []
    kind = build_contexts(
        tiny, TEXTS, out, text_layers=LAYERS, progress=lambda n, *_: done.append(n)
    )
    # Two shards of four texts were kept.
    assert done == list(range(9, len(TEXTS) + 1))
    assert _content(kind.contexts) == _content(whole.contexts)
    done.clear()
    again = build_contexts(
        tiny, TEXTS, out, text_layers=LAYERS, progress=lambda n, *_: done.append(n)
    )
    assert not done
    assert _content(again.contexts) == _content(whole.contexts)
    with pytest.raises(rs.InputError, match="one with another cap"):
        build_contexts(tiny, TEXTS, out, text_layers=LAYERS, cap=3)


def test_parts_are_not_joined_to_a_build_that_was_interrupted(tiny: rs.VLM, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if done == 10:
            raise KeyboardInterrupt

    for name, part in (("a", TEXTS[:3]), ("b", TEXTS[3:])):
        build_contexts(tiny, part, tmp_path / name, text_layers=LAYERS)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        build_contexts(tiny, TEXTS, out, text_layers=LAYERS, progress=interrupt)
    with pytest.raises(rs.InputError, match="4 texts in shard 0, not 3"):
        merge_contexts([tmp_path / "a", tmp_path / "b"], tiny, out)
    whole = build_contexts(tiny, TEXTS, out, text_layers=LAYERS)
    again = merge_contexts([tmp_path / "a", tmp_path / "b"], tiny, out)
    assert _content(again.contexts) == _content(whole.contexts)


def test_a_budget_makes_shards_smaller(tiny: rs.VLM, tmp_path: Path) -> None:
    few = build_contexts(tiny, TEXTS, tmp_path / "few", text_layers=LAYERS, memory=1)
    assert len(few.contexts.card.shards) > 8
    whole = build_contexts(tiny, TEXTS, tmp_path / "whole", text_layers=LAYERS)
    assert _content(few.contexts) == _content(whole.contexts)


def test_texts_as_answers_to_a_question(tiny: rs.VLM, tmp_path: Path) -> None:
    kind = build_contexts(tiny, TEXTS[:3], tmp_path, text_layers=LAYERS, question="What is this")
    table = kind.contexts.entries.table
    prompt = tiny.prompt(None, "What is this", prefill=TEXTS[0])
    assert table["token_ids"][0].as_py() == prompt.inputs.input_ids.tolist()
    n = len(tiny.prompt(None, "What is this").inputs.input_ids)
    assert table["start"].to_pylist() == [n] * 3
    assert kind.contexts.entries.positions[0] == n
    run = tiny.run(prompt)
    lens = run.lens(kind=kind, top_k=1, layers=3, positions=range(n, run.n))
    torch.testing.assert_close(
        lens.similarities, torch.ones_like(lens.similarities), atol=1e-3, rtol=0
    )


def test_layers_and_corpora(tmp_path: Path) -> None:
    assert published_layers(32) == (1, 2, 4, 8, 16, 24, 30, 31)
    assert published_layers(8) == (1, 2, 4, 6, 7)
    assert published_layers(1) == (0,)
    lines = tmp_path / "texts.txt"
    lines.write_text("a cat\n\n  two dogs \n", "utf-8")
    assert corpus(lines) == ["a cat", "two dogs"]
    table = tmp_path / "texts.csv"
    table.write_text('caption,source\n"a cat, asleep",1\n,2\ntwo dogs,3\n', "utf-8")
    assert corpus(table) == ["a cat, asleep", "two dogs"]
    table.write_text("a cat\ntwo dogs\n", "utf-8")
    assert corpus(table) == ["a cat", "two dogs"]
    lines.write_text("\n")
    with pytest.raises(rs.InputError, match="got none in"):
        corpus(lines)
    with pytest.raises(rs.InputError, match="expected a corpus"):
        corpus(tmp_path / "missing.txt")
    lines.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(rs.InputError, match="UTF-8"):
        corpus(lines)
    scenes = rs.data.scenes(2, seed=0)
    assert captions(scenes) == [text for scene in scenes for text in scene.captions]


def test_refusals(tiny: rs.VLM, tmp_path: Path) -> None:
    with pytest.raises(rs.InputError, match="text layers"):
        build_contexts(tiny, TEXTS, tmp_path / "a", text_layers=[5])
    with pytest.raises(rs.InputError, match="at least one text layer"):
        build_contexts(tiny, TEXTS, tmp_path / "a", text_layers=[])
    with pytest.raises(rs.InputError, match="width"):
        build_contexts(tiny, TEXTS, tmp_path / "a", width=33)
    with pytest.raises(rs.InputError, match="cap"):
        build_contexts(tiny, TEXTS, tmp_path / "a", cap=0)
    with pytest.raises(rs.InputError, match="at least one text, got none"):
        build_contexts(tiny, [], tmp_path / "a")
    with pytest.raises(rs.InputError, match="the text ' '"):
        build_contexts(tiny, ["a cat", " "], tmp_path / "b")
    # What was refused leaves no claim on its folder.
    build_contexts(tiny, TEXTS, tmp_path / "b")
    with pytest.raises(rs.InputError, match="no entries"):
        build_contexts(tiny, ["cat"], tmp_path / "c")
    with pytest.raises(rs.InputError, match="at least one index, got none"):
        merge_contexts([], tiny, tmp_path / "d")
    build_contexts(tiny, TEXTS[:2], tmp_path / "e", text_layers=[1])
    build_contexts(tiny, TEXTS[2:], tmp_path / "f", text_layers=[2])
    with pytest.raises(rs.InputError, match="got indices with another text_layers"):
        merge_contexts([tmp_path / "e", tmp_path / "f"], tiny, tmp_path / "g")
