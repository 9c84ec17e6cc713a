"""Several kinds of lens on the same tokens: what is counted, where lenses come from, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import retinoscope as rs
from retinoscope.errors import InputError
from retinoscope.lens import FITTED, NAMED, FittedLens
from retinoscope.recipes.lenses import fit
from retinoscope.studies import LogitLens
from retinoscope.studies._sets import ImageTokens
from retinoscope.studies.lens import options
from retinoscope.studies.lens.groups import groups_of
from retinoscope.studies.lens.readers import LensFits, fits_of
from tests.studies.tabled import one


@pytest.fixture(scope="module")
def planted() -> rs.VLM:
    return rs.load("planted:on-words")


def test_the_options_name_the_kinds_that_there_are() -> None:
    assert set(options.KINDS) == {*NAMED, *FITTED} == set(options.LABELS)
    assert options.FITTED == FITTED


def test_tokens_at_the_border_have_neighbours_of_something_else(planted: rs.VLM) -> None:
    sample = rs.data.squares(1, seed=0)[0]
    run = planted.run(planted.prompt(sample.image, "What is in this image?"))
    mask = np.zeros(sample.image.size[::-1], dtype=bool)
    side = mask.shape[0] // 6
    # Three by four of the six by six tokens, at the image's left side.
    mask[side : 5 * side, : 3 * side] = True
    whole = rs.data.Sample(
        "s", sample.image, (rs.data.Object("boat", mask, (0, side, 3 * side, 5 * side)),)
    )
    other = np.zeros_like(mask)
    other[: 2 * side, : 4 * side] = True
    groups = groups_of(ImageTokens(run), whole, 0, (0.0, 0.5), other)
    inner = {6 * row + column for row in (2, 3) for column in (0, 1)}
    assert set(groups["inner", 0.0]) == inner
    assert {*groups["inner", 0.0], *groups["border", 0.0]} == set(groups["object", 0.0])
    assert len(groups["object", 0.0]) == 12
    # Of the other mask's tokens, those that the object does not touch.
    assert set(groups["shuffled", 0.5]) == {*range(4), 9}


def test_kinds_are_read_on_the_same_tokens_and_compared(planted: rs.VLM, tmp_path: Path) -> None:
    samples = rs.data.squares(6, seed=0)
    study = LogitLens(planted, samples, kinds=("logit", "embedding"), untrained=False)
    results = study.run(tmp_path / "run")
    for kind in ("logit", "embedding"):
        row = one(
            results.summary().to_pylist(),
            lens=kind,
            group="object",
            cover=0.5,
            layer=2,
            measure="strict",
        )
        assert row["share"] == 1
    table = results.extras()["agreement"].to_pylist()
    both = one(table, group="object", cover=0.5, layer=2)
    assert (both["lens"], both["other_lens"]) == ("logit", "embedding")
    assert both["same"] == both["both"] == 1
    assert one(table, group="background", layer=2)["both"] == 0
    counted = one(
        results.extras()["peak"].to_pylist(), lens="embedding", control_lens="logit", cover=0.5
    )
    assert counted["difference"] == 0


def test_a_lens_is_fitted_to_each_control_and_found_again(
    planted: rs.VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, others = rs.data.squares(3, seed=0), rs.data.squares(2, seed=1)
    study = LogitLens(planted, samples, kinds=("jacobian",), fits=LensFits(others, prompts=1))
    study.run(tmp_path / "run")
    lenses = tmp_path / "run" / "lenses"
    trained, untrained = (
        rs.lens.load(lenses / f"{weights}-jacobian.safetensors").card
        for weights in ("trained", "untrained")
    )
    assert trained.n_prompts == untrained.n_prompts == 1
    assert trained.fingerprint != untrained.fingerprint
    before = (tmp_path / "run" / "results.parquet").read_bytes()
    (tmp_path / "run" / "results.parquet").unlink()
    LogitLens(planted, samples, kinds=("jacobian",), fits=LensFits(others, prompts=1)).run(
        tmp_path / "run"
    )
    assert (tmp_path / "run" / "results.parquet").read_bytes() == before
    with pytest.raises(InputError, match="fits"):
        LogitLens(planted, samples, kinds=("jacobian",), fits=LensFits(others, prompts=2)).run(
            tmp_path / "run"
        )


def test_the_jacobian_is_fitted_at_the_positions_asked_for(planted: rs.VLM) -> None:
    fits = LensFits(rs.data.squares(2, seed=1), at="visual")
    kinds = fits.kinds(["jacobian", "tuned"], planted, "trained", lambda _: None)
    assert [kind.card.at for kind in kinds.values() if isinstance(kind, FittedLens)] == [
        "visual",
        None,
    ], "a tuned lens is fitted to all positions"


def test_a_lens_from_a_file_stands_without_fits_for_its_controls(
    planted: rs.VLM, tmp_path: Path
) -> None:
    samples = rs.data.squares(3, seed=0)
    file = tmp_path / "j.safetensors"
    fit("jacobian", planted, rs.data.squares(1, seed=1), out=file)
    given = fits_of(options.LensOptions(kinds=("jacobian",), lenses=(str(file),)), samples, 0)
    study = LogitLens(planted, samples, kinds=("logit", "jacobian"), fits=given)
    rows = study.run(tmp_path / "run").table.to_pylist()
    weights = {(row["lens"], row["weights"]) for row in rows}
    drawn = rs.sources.open_source("scenes:3")
    asked = options.LensOptions(kinds=("jacobian",), lenses=(str(file),))
    assert not len(fits_of(asked, drawn, 0).samples)
    assert len(fits_of(options.LensOptions(kinds=("jacobian",)), drawn, 0).samples)
    assert weights == {("logit", "trained"), ("logit", "untrained"), ("jacobian", "trained")}


def test_no_lens_is_fitted_to_an_image_that_is_studied(planted: rs.VLM, tmp_path: Path) -> None:
    samples = rs.data.squares(3, seed=0)
    others = [*rs.data.squares(1, seed=1), samples[2]]
    with pytest.raises(InputError, match="the same image as"):
        LogitLens(planted, samples, kinds=("jacobian",), fits=LensFits(others, prompts=2)).run(
            tmp_path / "run"
        )
    # The second is not used.
    LogitLens(planted, samples, kinds=("jacobian",), fits=LensFits(others, prompts=1)).run(
        tmp_path / "run"
    )


def test_files_of_lenses_are_checked_before_anything_is_read(
    planted: rs.VLM, tmp_path: Path
) -> None:
    samples = rs.data.squares(2, seed=0)
    other = rs.load("planted:idle-words")
    paths = tuple(str(tmp_path / name) for name in ("a.safetensors", "b.safetensors"))
    for path in paths:
        fit("jacobian", other, rs.data.squares(1, seed=1), out=path)
    with pytest.raises(InputError, match="one Jacobian lens in --lenses, got two"):
        fits_of(options.LensOptions(kinds=("jacobian",), lenses=paths), samples, 0)
    given = fits_of(options.LensOptions(kinds=("jacobian",), lenses=paths[:1]), samples, 0)
    with pytest.raises(InputError, match="fitted to other weights"):
        given.kinds(("jacobian",), planted, "trained", lambda _: None)


def test_controls_of_a_lens_from_a_file_are_fitted_as_it_is(
    planted: rs.VLM, tmp_path: Path
) -> None:
    others = rs.data.squares(2, seed=1)
    given = {
        "jacobian": fit("jacobian", planted, others, at="visual"),
        "tuned": fit("tuned", planted, others, at="all", steps=1),
    }
    fits = LensFits(others, given=given, folder=tmp_path / "lenses")
    controls = fits.kinds(("jacobian", "tuned"), planted, "untrained", lambda _: None)
    for name, lens in given.items():
        control = controls[name]
        assert isinstance(control, rs.lens.LinearLens)
        assert control is not lens
        assert control.card.at == lens.card.at


def test_lenses_with_equal_cards_are_told_apart() -> None:
    card = rs.lens.Card("jacobian", 2, (1,), n_prompts=3)
    one, other = (
        LensFits(given={"jacobian": rs.lens.Jacobian({1: scale * torch.eye(2)}, card)})
        for scale in (1, 2)
    )
    assert one.recorded(("jacobian",)) != other.recorded(("jacobian",))


def test_refusals(planted: rs.VLM, tmp_path: Path) -> None:
    samples = rs.data.squares(2, seed=0)
    with pytest.raises(InputError, match="--fit-on DATA"):
        LogitLens(planted, samples, kinds=("tuned",))
    none: tuple[options.LensKind, ...] = ()
    twice: tuple[options.LensKind, ...] = ("logit", "logit")
    for wrong in (none, twice):
        with pytest.raises(InputError, match="each once"):
            LogitLens(planted, samples, kinds=wrong)
    file = tmp_path / "j.safetensors"
    fit("jacobian", planted, samples[:1], out=file)
    with pytest.raises(InputError, match="which --kinds does not name"):
        fits_of(options.LensOptions(lenses=(str(file),)), samples, 0)
