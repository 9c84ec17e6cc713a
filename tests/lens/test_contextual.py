"""The contextual lens against plain cosines with every entry of its index."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import Contexts, Contextual, ContextualLens, _stream
from retinoscope.recipes.lenses import build_contexts

TEXTS = [
    "there is a red car in this image?",
    "there is a blue cat left of the tree and a green dog",
    "there is a red car and a fish",
    "What is the color of the tree",
    "two dog and a blue fish right of the red cat",
]
LAYERS = (0, 2, 4)


@pytest.fixture(scope="module")
def folder(tiny: rs.VLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contexts")
    build_contexts(tiny, TEXTS, folder, text_layers=LAYERS)
    return folder


@pytest.fixture(scope="module")
def kind(folder: Path) -> Contextual:
    return Contextual.open(folder)


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    return tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))


def test_it_loads(tiny: rs.VLM, folder: Path) -> None:
    found = rs.lens.load(folder, tiny)
    assert isinstance(found, Contextual)
    assert found.card.settings["text_layers"] == LAYERS
    assert found.card.n_prompts == len(TEXTS)


def _read(run: Run, kind: Contextual, **options: object) -> ContextualLens:
    lens = run.lens(kind=kind, **options)  # type: ignore[arg-type]
    assert isinstance(lens, ContextualLens)
    return lens


def _entries(tiny: rs.VLM) -> tuple[torch.Tensor, list[tuple[int, int, int]]]:
    """All entries by text layer with transformers alone: states, and (token, text, position)."""
    rows: list[torch.Tensor] = []
    places: list[tuple[int, int, int]] = []
    seen: set[tuple[int, ...]] = set()
    for number, text in enumerate(TEXTS):
        ids = tiny.tokenizer(text)["input_ids"]
        with torch.no_grad():
            done = tiny.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        # The library's last states are after the final norm.
        hidden = [*done.hidden_states[:-1], tiny.run(tiny.prompt(None, text, raw=True)).hidden(4)]
        for position in range(2, len(ids)):
            if tuple(ids[: position + 1]) not in seen:
                seen.add(tuple(ids[: position + 1]))
                states = [hidden[layer].reshape(-1, 32)[position] for layer in LAYERS]
                rows.append(torch.stack(states))
                places.append((ids[position], number, position))
    return F.normalize(torch.stack(rows, 1), dim=-1), places


def _cosines(run: Run, tiny: rs.VLM) -> torch.Tensor:
    """(layers + 1, n, text layer, entry)."""
    states = F.normalize(torch.stack([run.hidden(layer) for layer in range(5)]), dim=-1)
    return torch.einsum("lnd,ted->lnte", states, _entries(tiny)[0])


@pytest.mark.parametrize("width", [7, 1 << 11])
def test_the_nearest_of_all_text_layers(
    tiny: rs.VLM, run: Run, kind: Contextual, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stream, "_WIDTH", width)
    lens, cosines = _read(run, kind, top_k=6), _cosines(run, tiny).flatten(2)
    close = partial(torch.testing.assert_close, atol=1e-3, rtol=0)  # float16 in the index
    close(lens.similarities, cosines.topk(6, dim=-1).values)
    close(cosines.gather(-1, lens.entries), lens.similarities)
    tokens, n = torch.tensor([token for token, _, _ in _entries(tiny)[1]]), kind.contexts.n
    assert torch.equal(lens.ids, tokens[lens.entries % n])
    assert torch.equal(lens.text_layers, torch.tensor(LAYERS)[lens.entries // n])


def test_words_have_their_best_entry(tiny: rs.VLM, run: Run, kind: Contextual) -> None:
    lens = _read(run, kind)
    tokens = torch.tensor([token for token, _, _ in _entries(tiny)[1]])
    best = _cosines(run, tiny).amax(2)
    by_token = {
        int(token): best[..., tokens == token].amax(-1) for token in tokens.unique().tolist()
    }
    for word in ("cat", "red"):
        goal = tiny.adapter.vocabulary.first_piece(word)
        found = lens.similarity(word)
        torch.testing.assert_close(found, by_token[goal], atol=1e-3, rtol=0)
        # Rounding to float16 moves words past each other only where they are about as near.
        margin = 2e-3
        low = sum((other > by_token[goal] + margin).long() for other in by_token.values())
        high = sum((other > by_token[goal] - margin).long() for other in by_token.values()) - 1
        assert bool(((low <= lens.rank(word)) & (lens.rank(word) <= high)).all())
    goal = tiny.adapter.vocabulary.first_piece("cat")
    assert torch.equal(lens.rank("cat") == 0, lens.ids[..., 0] == goal)
    assert lens.rank(["cat", "red"]).shape == (2, 5, run.n)


@pytest.mark.parametrize("width", [3, 1 << 11])
def test_ranks_do_not_depend_on_tiles(
    run: Run, kind: Contextual, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _read(run, kind).rank(["cat", "tree"])
    monkeypatch.setattr(_stream, "_WIDTH", width)
    monkeypatch.setattr(_stream, "_LEAST", 12)
    assert torch.equal(_read(run, kind).rank(["cat", "tree"]), whole)


def test_a_text_finds_itself(tiny: rs.VLM, kind: Contextual) -> None:
    text = TEXTS[1]
    lens = _read(tiny.run(tiny.prompt(None, text, raw=True)), kind, top_k=1, layers=LAYERS)
    # Positions from 2 on are entries.
    found = lens.similarities[:, 2:, 0]
    torch.testing.assert_close(found, torch.ones_like(found), atol=1e-3, rtol=0)
    # At layer 0 a word looks the same in every text.
    for row, layer in list(enumerate(LAYERS))[1:]:
        for column, contexts in list(enumerate(lens.contexts[row]))[2:]:
            assert (contexts[0].position, contexts[0].layer) == (column, layer)
            assert contexts[0].text.split()[:column] == text.split()[:column]


def test_words_in_context(run: Run, kind: Contextual) -> None:
    lens = _read(run, kind, top_k=2, positions="image")
    context = lens.contexts[3][0][0]
    start = context.before.split()
    assert [*start, context.word.strip(), *context.after.split()] == context.text.split()
    assert str(context).split()[len(start)] == f"*{context.word.strip()}*"
    assert lens.tokens[3][0][0] == context.word
    frame = lens.to_frame()
    row = 3 * len(lens.positions) * 2
    assert frame["context"][row].as_py() == str(context)
    assert frame["text_layer"].to_pylist() == lens.text_layers.flatten().tolist()


def test_a_small_budget_changes_nothing(run: Run, folder: Path) -> None:
    # Two entries of 32 numbers, as float32 and while they are converted.
    few, many = _read(run, Contextual.open(folder, memory=512)), _read(run, Contextual.open(folder))
    assert torch.equal(few.ids, many.ids)
    torch.testing.assert_close(few.values, many.values)


def test_projected_states_give_estimates(tiny: rs.VLM, run: Run, tmp_path: Path) -> None:
    kind = build_contexts(tiny, TEXTS, tmp_path, text_layers=LAYERS, width=24, seed=3)
    lens, cosines = _read(run, kind, top_k=1), _cosines(run, tiny).flatten(2)
    assert lens.estimated
    assert kind.contexts.card.projected
    errors = lens.similarities - cosines.gather(-1, lens.entries)
    # The standard error of a cosine in 24 dimensions is at most 24 ** -0.5.
    assert 1e-3 < float(errors.square().mean().sqrt()) < 2 * 24**-0.5


def test_refusals(tiny: rs.VLM, run: Run, kind: Contextual, folder: Path, tmp_path: Path) -> None:
    lens = _read(run, kind, positions="last")
    with pytest.raises(rs.CapabilityError, match="contextual lens gives a similarity"):
        lens.prob("cat")
    with pytest.raises(rs.InputError, match=r"a word of the index's texts, got ' ?yes'"):
        lens.similarity("yes")
    with pytest.raises(rs.InputError, match="a word of the index's texts"):
        lens.rank("yes")
    with pytest.raises(rs.CapabilityError, match="use kernel='torch'"):
        run.lens(kind=kind, kernel="triton")
    with pytest.raises(rs.InputError, match="top_k"):
        run.lens(kind=kind, top_k=10_000)
    with pytest.raises(rs.InputError, match="an amount of memory"):
        Contextual.open(folder, memory="much")
    with pytest.raises(rs.InputError, match="expected an index of contexts"):
        Contextual.open(tmp_path)
    (tmp_path / "layer_3").mkdir()
    (tmp_path / "layer_3" / "embeddings_cache.pt").write_bytes(b"")
    with pytest.raises(rs.InputError, match=r"a pickle, .* build it anew"):
        rs.lens.load(tmp_path)


def test_damaged_indices_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = copy / "00000" / "layer-02.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(rs.InputError, match="damaged"):
        Contexts.open(copy)
    (copy / "contexts.json").write_text('{"model": 3}')
    with pytest.raises(rs.InputError, match="expected an index of contexts"):
        Contexts.open(copy)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("token_ids", lambda ids: ids.roll(1)),
        ("token_ids", lambda ids: ids[:-1].clone()),
        ("positions", lambda places: places + 100),
        ("texts", lambda texts: texts + 100),
        ("texts", lambda texts: texts - 1),
    ],
)
def test_entries_that_are_not_their_texts_are_refused(
    run: Run,
    folder: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = copy / "00000" / "entries.safetensors"
    held = {key: part.clone() for key, part in load_file(file).items()}
    save_file(held | {name: change(held[name])}, file)
    with pytest.raises(rs.InputError, match="the index is damaged"):
        run.lens(kind=Contextual.open(copy))


def test_states_that_are_not_finite_are_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = copy / "00000" / "layer-02.safetensors"
    states = load_file(file)["states"].clone()
    states[3] = torch.nan
    save_file({"states": states}, file)
    with pytest.raises(rs.InputError, match="NaN or infinity"):
        run.lens(kind=Contextual.open(copy))


def test_a_projection_of_another_shape_is_refused(tiny: rs.VLM, run: Run, tmp_path: Path) -> None:
    build_contexts(tiny, TEXTS, tmp_path, text_layers=LAYERS, width=8)
    save_file({"projection": torch.zeros(3, 8)}, tmp_path / "projection.safetensors")
    with pytest.raises(rs.InputError, match=r"the shape \(32, 8\)"):
        run.lens(kind=Contextual.open(tmp_path))


def test_an_index_that_was_used_is_opened_anew_in_another_process(run: Run, folder: Path) -> None:
    kind = Contextual.open(folder)
    before = len(pickle.dumps(kind))
    lens = _read(run, kind)
    lens.rank("cat")
    content = pickle.dumps(kind)
    # Neither its states nor its entries are sent.
    assert len(content) == before
    sent = pickle.loads(content)
    assert torch.equal(_read(run, sent).entries, lens.entries)


def test_another_model_is_refused(kind: Contextual, build: SimpleNamespace) -> None:
    other = rs.load(model=build.model(seed=1), processor=build.processor())
    run = other.run(other.prompt(None, "Is there a cat"))
    with pytest.raises(rs.InputError, match="contextual lens was fitted to other weights"):
        run.lens(kind=kind)
