"""The contextual lens in every family that reads text without an image; others refuse it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from checks import OTHER_QUESTION, QUESTION, close, pictures, run_of
from row import Row, loaded, over
from table import ROWS
from variants import VARIANTS

import retinoscope as rs
from retinoscope.lens import ContextualLens
from retinoscope.recipes.lenses import build_contexts

ALL = (*ROWS, *VARIANTS)
TEXTS = [OTHER_QUESTION, f"{QUESTION} in this image?"]


@over([row for row in ALL if row.text_only is not None])
@pytest.mark.parametrize("question", [None, QUESTION])
def test_a_text_finds_itself(row: Row, question: str | None, tmp_path: Path) -> None:
    vlm = loaded(row)
    kind = build_contexts(vlm, TEXTS, tmp_path, text_layers="all", question=question)
    table = kind.contexts.entries.table
    for number in range(len(TEXTS)):
        ids, start = (table[name][number].as_py() for name in ("token_ids", "start"))
        prompt = (
            vlm.prompt(None, TEXTS[number], raw=True)
            if question is None
            else vlm.prompt(None, question, prefill=TEXTS[number])
        )
        run = vlm.run(prompt)
        assert run.inputs.input_ids.tolist() == ids
        lens = run.lens(kind=kind, top_k=1, positions=range(max(start, 2), run.n))
        assert close(lens.similarities, torch.ones_like(lens.similarities), 2e-3)


@over([row for row in ALL if row.text_only is not None])
def test_entries_are_states_of_the_library(row: Row, tmp_path: Path) -> None:
    vlm = loaded(row)
    kind = build_contexts(vlm, TEXTS[:1], tmp_path, text_layers=[1])
    known = kind.contexts.entries
    vars(vlm.model.base_model)["rope_deltas"] = None
    seen: list[torch.Tensor] = []

    def after(_: object, __: object, output: object) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)  # type: ignore[arg-type]

    hook = vlm.adapter.decoder.layers[0].register_forward_hook(after)
    try:
        with torch.no_grad():
            reader = vlm.model.get_submodule(row.text_only or "")
            reader(input_ids=torch.tensor([known.table["token_ids"][0].as_py()]))
    finally:
        hook.remove()
    wanted = F.normalize(seen[0][0][known.positions], dim=-1)
    assert close(kind.contexts.states(torch.arange(kind.contexts.n)), wanted, 1e-3)


@over([row for row in ALL if row.text_only is not None])
def test_visual_tokens_are_read(row: Row, tmp_path: Path) -> None:
    vlm = loaded(row)
    kind = build_contexts(vlm, TEXTS, tmp_path, text_layers=[1, vlm.n_layers])
    run = run_of(vlm, pictures(next(iter(row.images.values()))))
    lens = run.lens(kind=kind, layers=[0, 2])
    assert isinstance(lens, ContextualLens)
    states = kind.contexts.states(torch.arange(2 * kind.contexts.n))
    hidden = F.normalize(torch.stack([run.hidden(0), run.hidden(2)]).float(), dim=-1)
    wanted = (hidden @ states.T).topk(5, dim=-1).values
    assert close(lens.similarities, wanted, 1e-5)


@over([row for row in ALL if row.text_only is None])
def test_a_family_without_text_alone_is_refused(row: Row, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with pytest.raises(rs.CapabilityError, match="without an image"):
        build_contexts(loaded(row), TEXTS, folder)
    assert not folder.exists()
