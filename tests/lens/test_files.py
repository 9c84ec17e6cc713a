"""Files of fitted lenses: our own, and those of other packages, which are written by torch here."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.lens import Card, Jacobian, JacobianFit, LinearLens, Tuned, load, read_card

WIDTH, LAYERS = 32, 4


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    assert (tiny.d_model, tiny.n_layers) == (WIDTH, LAYERS)
    return tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))


def matrices(n: int = 3) -> dict[int, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {layer: torch.randn(WIDTH, WIDTH, generator=draw) for layer in range(n)}


def opened(path: Path, model: rs.VLM | None = None) -> LinearLens:
    lens = load(path, model)
    assert isinstance(lens, LinearLens)
    return lens


def lens_of(kind: type[LinearLens], tiny: rs.VLM) -> LinearLens:
    biases = {layer: matrix[0] for layer, matrix in matrices(LAYERS).items()}
    card = Card.of(
        tiny.adapter,
        kind.name,
        tuple(range(LAYERS)),
        model="tiny",
        n_prompts=7,
        at="visual",
        corpus="drawn",
        corpus_hash="0" * 32,
        settings={"skip_first": 1, "held_out": [0.5, None]},
    )
    return kind(matrices(LAYERS), card, biases if kind is Tuned else None)


@pytest.mark.parametrize("kind", [Jacobian, Tuned])
def test_a_lens_is_read_as_it_was_written(
    kind: type[LinearLens], tiny: rs.VLM, tmp_path: Path
) -> None:
    lens = lens_of(kind, tiny)
    file = lens.save(tmp_path / "new" / "lens.safetensors")
    again = opened(file, tiny)
    assert type(again) is kind
    assert again.card == lens.card == read_card(file)
    for layer, matrix in lens.matrices.items():
        assert torch.equal(again.matrices[layer], matrix)
        assert kind is Jacobian or torch.equal(again.biases[layer], lens.biases[layer])
    with pytest.raises(rs.InputError, match=r"\.safetensors"):
        lens.save(tmp_path / "lens.bin")


def published(**more: object) -> dict[str, object]:
    known = {layer: matrix.half() for layer, matrix in matrices().items()}
    return {"J": known, "n_prompts": 5, "source_layers": [0, 1, 2], "d_model": WIDTH, **more}


def test_a_published_jacobian_lens(run: Run, tmp_path: Path) -> None:
    torch.save(published(metadata={"model_name": "some-llama"}), tmp_path / "lens.pt")
    lens = opened(tmp_path / "lens.pt", run.vlm)
    card = lens.card
    assert (card.kind, card.layers, card.n_prompts) == ("jacobian", (1, 2, 3), 5)
    assert (card.model, card.fingerprint, card.at) == ("some-llama", None, "text")
    read = run.lens(kind=lens)
    assert read.layers == (1, 2, 3, 4)
    model = run.vlm.model
    for layer, matrix in matrices().items():
        # The format's layer is the output of that block.
        states = run.hidden(layer + 1) @ matrix.half().float().T
        logits = model.lm_head(model.model.language_model.norm(states))
        torch.testing.assert_close(read.probs[layer], logits.softmax(-1).topk(5).values)


def test_a_checkpoint_of_a_fit(run: Run, tmp_path: Path) -> None:
    content = {"jacobian_sum": matrices(), "n_done": 4, "target_layer": 3, "skip_first": 16}
    torch.save(content, tmp_path / "fit.pt")
    lens = opened(tmp_path / "fit.pt", run.vlm)
    assert lens.card.n_prompts == 4
    torch.testing.assert_close(lens.matrices[2], matrices()[1] / 4)


def test_the_published_format_is_written(tiny: rs.VLM, tmp_path: Path) -> None:
    lens = lens_of(Jacobian, tiny)
    file = lens.save(tmp_path / "lens.pt")
    content = torch.load(file, weights_only=True)
    assert list(content["J"]) == content["source_layers"] == [0, 1, 2]
    assert (content["n_prompts"], content["d_model"]) == (7, WIDTH)
    assert torch.equal(content["J"][2], lens.matrices[3])
    again = opened(file, tiny)
    assert again.card == replace(lens.card, layers=(1, 2, 3))
    assert torch.equal(again.matrices[1], lens.matrices[1])


def tuned_folder(folder: Path, bias: bool = True, **more: object) -> Path:
    folder.mkdir()
    facts = {"base_model_name_or_path": "some-llama", "d_model": WIDTH, "bias": bias}
    config = {**facts, "num_hidden_layers": LAYERS, "lens_type": "linear_tuned_lens", **more}
    (folder / "config.json").write_text(json.dumps(config))
    known = {f"{layer}.weight": matrix for layer, matrix in matrices(LAYERS).items()}
    if bias:
        known |= {f"{layer}.bias": matrix[1] for layer, matrix in matrices(LAYERS).items()}
    torch.save(known, folder / "params.pt")
    return folder


@pytest.mark.parametrize("bias", [True, False])
def test_a_lens_of_tuned_lens(run: Run, tmp_path: Path, bias: bool) -> None:
    lens = opened(tuned_folder(tmp_path / "lens", bias), run.vlm)
    assert (lens.card.kind, lens.card.model) == ("tuned", "some-llama")
    read, model = run.lens(kind=lens), run.vlm.model
    for layer, matrix in matrices(LAYERS).items():
        hidden = run.hidden(layer)
        states = hidden + hidden @ matrix.T + (matrix[1] if bias else 0)
        logits = model.lm_head(model.model.language_model.norm(states))
        torch.testing.assert_close(
            read.probs[layer], logits.softmax(-1).topk(5).values, atol=1e-5, rtol=1e-4
        )
    assert isinstance(lens, Tuned)
    content = torch.load(lens.save(tmp_path / "again") / "params.pt", weights_only=True)
    assert len(content) == (2 if bias else 1) * LAYERS
    torch.testing.assert_close(content["3.weight"], matrices(LAYERS)[3])
    assert opened(tmp_path / "again").card == lens.card


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_files_that_run_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(published(metadata=Harmful()), tmp_path / "lens.pt")
    with pytest.raises(rs.InputError, match="run code"):
        load(tmp_path / "lens.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "got a list"),
        ({"K": {}}, "the entries K"),
        ({"J": {}}, "Jacobian lens"),
        ({"J": {0: 3}}, "Jacobian lens"),
        ({"J": {"a": torch.eye(WIDTH)}}, "numbers of layers"),
        ({"J": {0: torch.zeros(WIDTH, 3)}}, "expected a matrix"),
        ({"J": {0: torch.full((WIDTH, WIDTH), torch.inf)}}, "finite"),
        ({"J": {0: torch.eye(3)}}, "with d_model 3"),
        ({"J": {3: torch.eye(WIDTH)}}, "layer 4"),
        ({"jacobian_sum": matrices()}, "n_done"),
        ({"J": {-1: torch.eye(WIDTH)}}, "numbers of layers"),
        ({"J": {1: torch.eye(WIDTH), "1": torch.eye(WIDTH)}}, "each once"),
        ({"J": {0: torch.eye(WIDTH).to_sparse()}}, "Jacobian lens"),
        ({"J": {0: torch.eye(WIDTH, dtype=torch.complex64)}}, "Jacobian lens"),
        ({"J": {0: torch.eye(WIDTH, device="meta")}}, "Jacobian lens"),
        (published(target_layer="last"), "target_layer"),
        (published(target_layer=-1), "target_layer"),
        (published(target_layer=2), "output of block 2"),
        (published(metadata={"retinoscope": "{}"}), "card"),
    ],
)
def test_other_archives_are_refused(
    content: object, message: str, tiny: rs.VLM, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "lens.pt")
    with pytest.raises(rs.InputError, match=message):
        load(tmp_path / "lens.pt", tiny)


def test_damaged_files_are_refused(tiny: rs.VLM, tmp_path: Path) -> None:
    with pytest.raises(rs.InputError, match="does not exist"):
        load(tmp_path / "none.pt")
    with pytest.raises(rs.InputError, match="tuned lens"):
        load(tmp_path)
    file = lens_of(Jacobian, tiny).save(tmp_path / "lens.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(rs.InputError, match="damaged"):
        load(file)
    half = tmp_path / "half.pt"
    torch.save(published(), half)
    half.write_bytes(half.read_bytes()[:5000])
    with pytest.raises(rs.InputError, match=r"half\.pt"):
        load(half)
    folder = tuned_folder(tmp_path / "more", num_hidden_layers=5)
    with pytest.raises(rs.InputError, match="each of 5 layers"):
        load(folder)


def test_cards_and_names_that_do_not_fit_are_refused(tiny: rs.VLM, tmp_path: Path) -> None:
    lens = lens_of(Jacobian, tiny)
    card = replace(lens.card, kind="tuned", layers=(1, 2, 3)).to_json()
    torch.save(published(metadata={"retinoscope": card}), tmp_path / "lens.pt")
    with pytest.raises(rs.InputError, match="card of a tuned one"):
        load(tmp_path / "lens.pt")
    with pytest.raises(rs.InputError, match="linear_tuned_lens"):
        load(tuned_folder(tmp_path / "other", lens_type="mlp"))
    file = lens.save(tmp_path / "lens.safetensors")
    tensors = load_file(file)
    # A second name of layer 0 does not take its place.
    save_file(
        tensors | {"matrix.00": 2 * tensors["matrix.0"]},
        file,
        {"retinoscope_lens": lens.card.to_json()},
    )
    assert torch.equal(opened(file).matrices[0], lens.matrices[0])
    facts = json.loads(lens.card.to_json()) | {"settings": [1]}
    save_file(tensors, file, {"retinoscope_lens": json.dumps(facts)})
    with pytest.raises(rs.InputError, match="expected the card of a lens"):
        load(file)


def test_a_lens_that_was_used_goes_to_another_process(tiny: rs.VLM, tmp_path: Path) -> None:
    run = tiny.run(tiny.prompt(None, "Is there a cat in this image?"))
    fit = JacobianFit(tiny.adapter, skip_first=1)
    fit.add(run)
    lens = fit.lens()
    wanted = run.lens(kind=lens).probs
    assert lens._moved
    sent = pickle.loads(pickle.dumps(lens))
    assert not sent._moved
    assert sent.card == lens.card
    assert torch.equal(run.lens(kind=sent).probs, wanted)


@pytest.mark.parametrize(
    ("n", "corpus", "said"),
    [(1, "scenes:1", "1 prompt of scenes:1"), (5, None, "5 prompts"), (None, None, "an unknown")],
)
def test_a_lens_says_what_it_was_fitted_on(
    n: int | None, corpus: str | None, said: str, tiny: rs.VLM
) -> None:
    known = lens_of(Jacobian, tiny)
    lens = Jacobian(known.matrices, replace(known.card, n_prompts=n, corpus=corpus))
    assert repr(lens).startswith(f"Jacobian({len(known.matrices)} layers, ")
    assert f"; {said}" in repr(lens)
