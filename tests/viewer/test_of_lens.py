"""Documents of a lens hold the Python API's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.errors import InputError
from retinoscope.lens import (
    ContextualLens,
    Jacobian,
    Kernel,
    Kind,
    Lens,
    Logit,
    Patchscope,
    load,
)
from retinoscope.models import Adapter
from retinoscope.recipes.lenses import build_contexts
from retinoscope.tokens import RunWithStates
from retinoscope.viewer._of_lens import (
    KEPT_WORDS,
    by_name,
    lens_facts,
    lens_positions,
    read_lens,
    reading_of,
)


class Odd(Kind):
    """The logit lens at every other layer, which is not known to be quick."""

    name = "odd"
    identity = "none"

    def layers(self, adapter: Adapter) -> tuple[int, ...]:
        return tuple(range(1, adapter.n_layers + 1, 2))

    def read(
        self,
        run: RunWithStates,
        positions: Sequence[int],
        layers: Sequence[int],
        top_k: int,
        kernel: Kernel = "torch",
    ) -> Lens:
        return Logit().read(run, positions, layers, top_k, kernel)


@pytest.fixture(scope="module")
def run(pocket: rs.VLM, scenes: rs.data.Scenes) -> Run:
    return pocket.run(pocket.prompt(scenes[0].image, "What color is the car?"))


@pytest.mark.parametrize(("kind", "unit"), [("logit", "probability"), ("embedding", "similarity")])
def test_lens_columns_are_the_visual_tokens_first(run: Run, kind: str, unit: str) -> None:
    document, lens = read_lens(run, kind, 3), run.lens(3, kind=kind)
    assert document.positions[: len(run.image)] == list(run.image.positions)
    assert sorted(document.positions) == list(range(run.n))
    places = list(document.positions)
    assert (document.kind, document.unit) == (kind, unit)
    assert document.layers == list(range(run.adapter.n_layers + 1))
    assert (document.n, document.k) == (run.n, 3)
    torch.testing.assert_close(torch.from_numpy(document.values), lens.values[:, places])
    words = [[[document.words[i] for i in row] for row in layer] for layer in document.ids]
    assert words == [[layer[place] for place in places] for layer in lens.tokens]
    assert len(set(document.words)) == len(document.words)


@pytest.mark.parametrize("kind", ["logit", "embedding"])
def test_a_words_values_and_ranks_are_the_lenses(run: Run, kind: str) -> None:
    lens = run.lens(1, lens_positions(run.sequence), kind=kind)
    document = reading_of(run, by_name([kind])[kind]).finish().word(" red")
    values = lens.prob(" red") if kind == "logit" else lens.similarity(" red")
    np.testing.assert_allclose(document.values, values.numpy(), rtol=1e-5, atol=1e-7)
    assert np.array_equal(document.rank, lens.rank(" red").numpy())
    assert document.rank.min() >= 0


def test_a_kind_that_may_be_slow_is_read_layer_by_layer(run: Run) -> None:
    reading = reading_of(run, Odd(), 2)
    done = []
    while reading.done < reading.total:
        reading.step()
        done.append(reading.done)
    reading.step()
    assert done == [1, 2, 3, 4] == list(range(1, reading.done + 1))
    document = reading.document()
    wanted = run.lens(2, run.image.positions, layers=(1, 3, 5, 7))
    assert document.layers == [1, 3, 5, 7]
    torch.testing.assert_close(torch.from_numpy(document.values), wanted.values)
    assert np.array_equal(reading.word("red").rank, wanted.rank("red").numpy())


def test_a_reading_holds_few_words(run: Run) -> None:
    reading = reading_of(run, Logit(), 1).finish()
    ids = range(KEPT_WORDS + 1)
    kept = [len(reading._lenses[0]._ranks) for word in ids if reading.word(word)]
    assert max(kept) == KEPT_WORDS
    assert kept[-1] == 1


def test_kinds_of_one_name_are_numbered() -> None:
    kinds = by_name(["logit", Odd(), Odd()])
    assert list(kinds) == ["logit", "odd", "odd-2"]
    facts = {one.name: one for one in lens_facts(kinds, "not written", "--lenses FILE")}
    assert [name for name, one in facts.items() if one.ok] == ["logit", "odd", "odd-2"]
    assert "--lenses FILE" in facts["tuned"].why
    assert facts["embedding"].why == "not written"
    command = "retinoscope fit-lens tuned MODEL DATA --out FILE"
    assert facts["tuned"].command == command
    with pytest.raises(InputError, match="fit-lens tuned"):
        by_name(["tuned"])


def test_a_lens_of_another_model_is_refused(pocket: rs.VLM, jacobian: Jacobian) -> None:
    assert by_name([jacobian], pocket.adapter) == {"jacobian": jacobian}
    facts = {one.name: one for one in lens_facts(by_name([jacobian]))}
    assert facts["jacobian"].ok
    assert "scenes" in facts["jacobian"].why
    with pytest.raises(InputError, match="fitted to"):
        by_name([jacobian], rs.load("pocket-none").adapter)


def test_words_of_a_contextual_lens_stand_in_their_sentences(
    run: Run, pocket: rs.VLM, tmp_path: Path
) -> None:
    texts = ["there is a red car in this image?", "a blue cat left of the \N{CAT} tree", "a dog"]
    build_contexts(pocket, texts, tmp_path / "index", text_layers=(1, 4))
    kind = load(tmp_path / "index", pocket)
    document = read_lens(run, kind, 3)
    lens = run.lens(3, run.image.tokens, kind=kind)
    assert isinstance(lens, ContextualLens)
    assert (document.kind, document.unit, document.note) == ("contextual", "similarity", "")
    found = document.contexts
    assert found is not None
    assert found.ids.shape == document.ids.shape
    for layer, token, k in ((0, 0, 0), (4, 77, 1), (8, 143, 2)):
        wanted = lens.contexts[layer][token][k]
        number, start, end, text_layer = found.places[found.ids[layer, token, k]]
        units = str(found.sentences[int(number)]).encode("utf-16-le")
        before, word, after = (
            units[2 * one : None if two is None else 2 * two].decode("utf-16-le")
            for one, two in ((0, start), (start, end), (end, None))
        )
        assert (before + word, after) == (wanted.before + wanted.word, wanted.after)
        assert word == wanted.word.strip()
        assert text_layer == wanted.layer == lens.text_layers[layer, token, k]
    assert read_lens(run).contexts is None


def test_a_patchscope_is_read_step_by_step_and_searched(run: Run) -> None:
    kind = Patchscope()
    kind_of_two = by_name(["logit", kind])
    reading = reading_of(run, kind_of_two["patchscope"], 2)
    assert reading.total == run.adapter.n_layers + 1
    reading.step()
    assert reading.done == 1
    document = reading.finish().document()
    wanted = run.lens(2, run.image.tokens, kind="patchscope", layers=[3])
    assert document.layers == list(range(run.adapter.n_layers + 1))
    torch.testing.assert_close(torch.from_numpy(document.values[3]), wanted.values[0])
    np.testing.assert_allclose(reading.word("red").values[3], wanted.prob("red")[0], rtol=1e-4)
