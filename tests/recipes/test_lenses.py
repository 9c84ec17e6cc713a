"""Fitting lenses: prompts, checkpoints, shards, and what is refused."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.data import Sample
from retinoscope.lens import Contextual, Jacobian, JacobianFit, LinearLens, Tuned
from retinoscope.recipes.lenses import _checkpoint, fit, merge
from retinoscope.recipes.lenses._prompts import FitPrompts

WORDS = ("there", "is", "a", "red", "cat", "and", "two", "fish", "in", "the", "blue", "car")
TEXTS = [" ".join((WORDS[start:] + WORDS) * 2)[:90] for start in range(5)]


@pytest.fixture
def samples(noise_image: Callable[..., Image.Image]) -> list[Sample]:
    sizes = ((50, 70), (28, 28), (30, 90), (60, 40))
    return [Sample(str(size), noise_image(*size)) for size in sizes]


@pytest.fixture(autouse=True)
def at_every_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checkpoint, "SECONDS", 0.0)


def same(one: object, other: object) -> bool:
    assert isinstance(one, LinearLens)
    assert isinstance(other, LinearLens)
    return one.card == other.card and all(
        torch.equal(matrix, other.matrices[layer]) for layer, matrix in one.matrices.items()
    )


def stop_at(n: int) -> Callable[[int, int, str], None]:
    def progress(done: int, _: int, __: str) -> None:
        if done == n:
            raise RuntimeError("stopped")

    return progress


def test_images_are_described_by_the_model(tiny: rs.VLM, samples: list[Sample]) -> None:
    lens = fit("jacobian", tiny, samples[:2], new_tokens=5, corpus="drawn")
    assert isinstance(lens, Jacobian)
    wanted = JacobianFit(tiny.adapter, skip_first=1)
    for sample in samples[:2]:
        run = tiny.run(tiny.prompt(sample.image, "Describe this image."))
        wanted.add(run.generate(5).run())
    for layer, matrix in lens.matrices.items():
        assert torch.equal(matrix, wanted.sums[layer] / 2)
    card = lens.card
    assert (card.n_prompts, card.corpus, card.at) == (2, "drawn", "text")
    assert card.settings == {"question": "Describe this image.", "new_tokens": 5, "skip_first": 1}
    other = fit("jacobian", tiny, samples[1:3], new_tokens=5)
    assert isinstance(other, Jacobian)
    assert other.card.corpus_hash != card.corpus_hash


def test_texts_are_cut_and_short_ones_left_out(tiny: rs.VLM) -> None:
    long = " ".join(WORDS * 20)
    prompts = FitPrompts.of(tiny, [long, TEXTS[0]], "", 0)
    assert [prompts.run(index).n for index in range(2)] == [
        128,
        len(TEXTS[0].split()) + 1,
    ]
    lens = fit("jacobian", tiny, [*TEXTS[:2], "a cat"])
    assert isinstance(lens, Jacobian)
    assert lens.card.n_prompts == 2
    assert lens.card.settings == {"max_positions": 128, "skip_first": 16}
    with pytest.raises(rs.InputError, match="longer texts"):
        fit("jacobian", tiny, ["a cat", "a dog"])


@pytest.mark.parametrize(("kind", "stop"), [("jacobian", 2), ("tuned", 9)])
def test_a_fit_goes_on_where_it_stopped(
    kind: str, stop: int, tiny: rs.VLM, samples: list[Sample], tmp_path: Path
) -> None:
    options = {"new_tokens": 2, "steps": 8}
    whole = fit(kind, tiny, samples, **options)  # type: ignore[arg-type]
    out = tmp_path / "lens.safetensors"
    with pytest.raises(RuntimeError, match="stopped"):
        fit(kind, tiny, samples, out=out, progress=stop_at(stop + 1), **options)  # type: ignore[arg-type]
    assert [file.name for file in tmp_path.iterdir()] == ["lens.part.safetensors"]
    with pytest.raises(rs.InputError, match=r"another new_tokens \(2, not 3\)"):
        fit(kind, tiny, samples, out=out, new_tokens=3, steps=8)  # type: ignore[arg-type]
    seen: list[int] = []
    again = fit(kind, tiny, samples, out=out, progress=lambda n, *_: seen.append(n), **options)  # type: ignore[arg-type]
    assert same(again, whole)
    assert stop not in seen
    assert stop + 1 in seen
    assert [file.name for file in tmp_path.iterdir()] == ["lens.safetensors"]
    seen.clear()
    once = fit(kind, tiny, samples, out=out, progress=lambda n, *_: seen.append(n), **options)  # type: ignore[arg-type]
    assert same(once, whole)
    assert seen == []
    with pytest.raises(rs.InputError, match="another corpus_hash"):
        fit(kind, tiny, samples[:3], out=out, **options)  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="another at"):
        fit(kind, tiny, samples, at="visual", out=out, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "stop"), [("jacobian", 2), ("tuned", 7)])
def test_a_signal_keeps_what_is_finished(
    kind: str,
    stop: int,
    tiny: rs.VLM,
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_checkpoint, "SECONDS", 1000.0)

    def progress(done: int, _: int, __: str) -> None:
        seen.append(done)
        if done == stop:
            signal.raise_signal(signal.SIGTERM)

    seen: list[int] = []
    options = {"out": tmp_path / "lens.safetensors", "new_tokens": 0, "steps": 6}
    with pytest.raises(KeyboardInterrupt):
        fit(kind, tiny, samples, progress=progress, **options)  # type: ignore[arg-type]
    assert seen[-1] == stop
    seen.clear()
    fit(kind, tiny, samples, progress=progress, **options)  # type: ignore[arg-type]
    assert stop not in seen
    assert stop + 1 in seen


def test_shards_merge_to_the_joint_fit(tiny: rs.VLM, samples: list[Sample], tmp_path: Path) -> None:
    whole = fit("jacobian", tiny, samples[:3], at="visual", new_tokens=0)
    files = [tmp_path / f"{k}.safetensors" for k in (1, 2)]
    for k, file in enumerate(files, 1):
        fit("jacobian", tiny, samples[:3], at="visual", new_tokens=0, out=file, shard=(k, 2))
    with pytest.raises(rs.InputError, match="another shard"):
        fit("jacobian", tiny, samples[:3], at="visual", new_tokens=0, out=files[0])
    merged = merge(files, tmp_path / "all.safetensors")
    assert isinstance(merged, Jacobian)
    assert isinstance(whole, Jacobian)
    assert merged.card == whole.card
    for layer, matrix in whole.matrices.items():
        torch.testing.assert_close(merged.matrices[layer], matrix)
    assert same(rs.lens.load(tmp_path / "all.safetensors", tiny), merged)


def test_contexts(tiny: rs.VLM, samples: Sequence[Sample], tmp_path: Path) -> None:
    lens = fit("contextual", tiny, TEXTS, out=tmp_path / "whole", text_layers=[1])
    for k in (1, 2):
        fit("contextual", tiny, TEXTS, out=tmp_path / str(k), text_layers=[1], shard=(k, 2))
    merged = merge([tmp_path / "1", tmp_path / "2"], tmp_path / "all", tiny)
    assert isinstance(lens, Contextual)
    assert isinstance(merged, Contextual)
    assert torch.equal(merged.contexts.entries.token_ids, lens.contexts.entries.token_ids)
    assert isinstance(rs.lens.load(tmp_path / "all", tiny), Contextual)
    narrow = fit("contextual", tiny, TEXTS, out=tmp_path / "narrow", width=8, seed=3)
    assert isinstance(narrow, Contextual)
    assert (narrow.card.settings["width"], narrow.card.settings["seed"]) == (8, 3)
    with pytest.raises(rs.InputError, match="the model"):
        merge([tmp_path / "1", tmp_path / "2"], tmp_path / "more")
    with pytest.raises(rs.InputError, match="captions"):
        fit("contextual", tiny, samples, out=tmp_path / "none")


def test_refusals(tiny: rs.VLM, samples: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(rs.InputError, match="kind"):
        fit("logit", tiny, TEXTS)  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="as at"):
        fit("jacobian", tiny, TEXTS, at="all")
    with pytest.raises(rs.InputError, match="with images"):
        fit("jacobian", tiny, TEXTS, at="visual")
    with pytest.raises(rs.InputError, match="got none"):
        fit("jacobian", tiny, [])
    with pytest.raises(rs.InputError, match="samples or texts"):
        fit("jacobian", tiny, [samples[0].image])  # type: ignore[arg-type]
    with pytest.raises(rs.InputError, match="safetensors"):
        fit("jacobian", tiny, TEXTS, out=tmp_path / "lens.pt")
    with pytest.raises(rs.InputError, match="a folder"):
        fit("contextual", tiny, TEXTS)
    with pytest.raises(rs.CapabilityError, match="cannot be merged"):
        fit("tuned", tiny, TEXTS, shard=(1, 2))
    with pytest.raises(rs.InputError, match="fewer shards"):
        fit("jacobian", tiny, TEXTS[:1], shard=(1, 2))
    one = fit("tuned", tiny, TEXTS, steps=1)
    assert isinstance(one, Tuned)
    one.save(tmp_path / "one.safetensors")
    with pytest.raises(rs.CapabilityError, match="do not add up"):
        merge([tmp_path / "one.safetensors"] * 2, tmp_path / "two.safetensors")
