"""The comparison from end to end, with tiny towers and a few steps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import Blip2ForConditionalGeneration

import retinoscope as rs
from retinoscope.interfaces import (
    TowersShape,
    interface_tokenizer,
    open_decoder,
    open_towers,
    read_trained,
    untrained_towers,
    write_towers,
)
from retinoscope.recipes.comparison import read_comparison
from retinoscope.recipes.interfaces import (
    MEASURES,
    OF_REFINERS,
    RECONSTRUCTION_TRIALS,
    InterfaceRecipe,
    ReadingRecipe,
    gap_table,
    of_completion,
    train_interfaces,
    try_mechanism,
    write_decoder,
)
from retinoscope.recipes.interfaces._decoder import build_decoder
from retinoscope.recipes.pocket import Sizes, Stage

SHAPE = TowersShape(
    image=144, patch=48, width=16, layers=1, heads=2, ff=16, text_layers=1, text_ff=16
)
ARMS_TRIED = ("projector", "qformer", "lyrics", "lyrics-dense", "scl", "x-former", "lavit")
STAGE = Stage(steps=2, batch=4, lr=1e-3, warmup=1)
RECIPE = InterfaceRecipe(
    first=STAGE, reading=ReadingRecipe(alone=STAGE, both=STAGE), scenes=8, held_out=6
)


def quiet(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    write_towers(folder, untrained_towers(SHAPE))
    sizes = Sizes(text_width=16, text_layers=2, text_heads=2, text_ff=16)
    write_decoder(build_decoder(sizes, interface_tokenizer()), folder / "decoder")
    return folder


@pytest.fixture(scope="module")
def trained(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(shared, folder, ARMS_TRIED, (0, 1))
    return folder / "out"


def run(
    shared: Path, folder: Path, arms: tuple[str, ...], seeds: tuple[int, ...]
) -> list[tuple[str, int]]:
    done: list[tuple[str, int]] = []
    train_interfaces(
        folder / "work",
        folder / "out",
        arms=arms,
        seeds=seeds,
        recipe=RECIPE,
        towers=shared,
        decoder=shared / "decoder",
        report=quiet,
        finished=lambda name, seed, scores: done.append((name, seed)),
    )
    return done


def test_every_arm_and_seed_has_its_results(trained: Path) -> None:
    comparison = read_comparison(trained)
    assert comparison.arms == tuple(sorted(ARMS_TRIED))
    assert [result.seed for result in comparison.results("qformer")] == [0, 1]
    share = comparison.share("qformer", MEASURES["color"])
    assert 0 <= share.low <= share.value <= share.high <= 1
    gap = comparison.difference("qformer", "qformer", MEASURES["color"])
    assert (gap.value, gap.low, gap.high) == (0, 0, 0)


def test_a_share_is_that_of_its_rows(trained: Path) -> None:
    comparison = read_comparison(trained)
    for name, measure in MEASURES.items():
        shares = []
        for seed in (0, 1):
            rows = pl.read_parquet(trained / f"qformer-{seed}.parquet").filter(measure.of)
            shares.append(rows.select(measure.hit.mean()).item())
        found = comparison.share("qformer", measure)
        assert found.value == pytest.approx(np.mean(shares), nan_ok=True), name
    precision = OF_REFINERS["precision"]
    finds = pl.concat(pl.read_parquet(trained / f"lyrics-{seed}-finds.parquet") for seed in (0, 1))
    if finds["reported"].sum():
        share = comparison.share("lyrics", precision).value
        assert share == pytest.approx(finds["found"].sum() / finds["reported"].sum())
    partner = [of_completion("text", 1.0, partner) for partner in ("same", "another")]
    gain = comparison.difference("scl", "scl", *partner)
    rows = pl.concat(pl.read_parquet(trained / f"scl-{s}-completion.parquet") for s in (0, 1))
    means = [rows.filter(measure.of)["right"].mean() for measure in partner]
    assert gain.value == pytest.approx(means[0] - means[1])


def test_systems_have_tables_of_their_own(trained: Path) -> None:
    rows = {
        path.stem: len(pl.read_parquet(path))
        for path in trained.glob("*-1-*.parquet")
        if "reports" not in path.stem and "finds" not in path.stem
    }
    assert rows == {
        "scl-1-retrieval": 2 * 6,
        "scl-1-completion": 5 * 2 * 2 * 6,
        "scl-1-attention": 6,
        "x-former-1-reconstruction": 6,
        "lavit-1-lengths": 6,
    }
    for arm in ("lyrics", "lyrics-dense"):
        reports = pl.read_parquet(trained / f"{arm}-1-reports.parquet")
        polling = pl.read_parquet(trained / f"{arm}-1.parquet").filter(
            pl.col("kind").str.starts_with("polling")
        )
        assert len(reports) == len(polling) > 0
        assert reports["reported"].null_count() == 0
        finds = pl.read_parquet(trained / f"{arm}-1-finds.parquet")
        assert finds["scene"].n_unique() == 6


def test_what_is_finished_is_not_trained_again(shared: Path, trained: Path) -> None:
    folder = trained.parent
    assert run(shared, folder, ARMS_TRIED, (0, 1)) == []
    table = trained / "scl-0-retrieval.parquet"
    measured = table.read_bytes()
    table.unlink()
    assert run(shared, folder, ARMS_TRIED, (0, 1)) == []
    assert table.read_bytes() == measured
    (trained / "qformer-1.json").unlink()
    before = (trained / "qformer-1.safetensors").read_bytes()
    assert run(shared, folder, ARMS_TRIED, (0, 1)) == [("qformer", 1)]
    assert (trained / "qformer-1.safetensors").read_bytes() == before


def test_the_mechanism_is_tried_setting_by_setting(shared: Path, tmp_path: Path) -> None:
    trials = RECONSTRUCTION_TRIALS[:2]
    table = try_mechanism(
        tmp_path / "work",
        tmp_path / "out",
        seeds=(0, 1),
        recipe=RECIPE,
        towers=shared,
        trials=trials,
        stage=STAGE,
        report=quiet,
    )
    assert table["hidden"].to_list() == [trial.hidden for trial in trials]
    rows = pl.read_parquet(tmp_path / "out" / "mechanism.parquet")
    assert len(rows) == 2 * 2 * RECIPE.held_out
    assert gap_table(rows).equals(table)


def test_a_file_knows_its_scores(trained: Path) -> None:
    facts = json.loads((trained / "scl-1.json").read_text())
    assert read_trained(trained / "scl-1.safetensors").facts == facts


def test_the_qformer_is_an_ordinary_blip2(trained: Path) -> None:
    folder = trained / "qformer"
    assert json.loads((folder / "config.json").read_text())["model_type"] == "blip-2"
    alone = Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    vlm = rs.load(str(folder))
    run = vlm.run(vlm.prompt(rs.data.scenes(1)[0].image, "What color is the car?"))
    assert run.tokens[: 16 + 3] == [*["<image>"] * 16, "<s>", " question", ":"]
    ids, pixels = run.inputs.input_ids[None], run.inputs.pixels[0]["pixel_values"][None]
    with torch.no_grad():
        logits = alone(input_ids=ids, pixel_values=pixels).logits[0, -1]
    torch.testing.assert_close(run.logits, logits, atol=1e-5, rtol=1e-5)


def test_parts_and_folder_are_the_same_model(shared: Path, trained: Path) -> None:
    part = read_trained(trained / "projector-0.safetensors")
    decoder = open_decoder(shared / "decoder")
    interface = part.interface(open_towers(shared), 16)
    vlm = rs.load(str(trained / "projector"))
    pixels = torch.randn(1, 3, 144, 144, generator=torch.Generator().manual_seed(0))
    whole = vlm.model.get_image_features(pixels).pooler_output
    torch.testing.assert_close(interface.encode(pixels).embeddings, whole, atol=5e-3, rtol=5e-3)
    merged = part.decoder(decoder).state_dict()
    for name, value in vlm.model.language_model.state_dict().items():
        torch.testing.assert_close(merged[name], value, atol=5e-3, rtol=5e-3)


def test_towers_of_another_shape_are_refused(trained: Path) -> None:
    part = read_trained(trained / "projector-0.safetensors")
    with pytest.raises(rs.InputError, match="expected weights and towers of one architecture"):
        part.interface(untrained_towers(replace(SHAPE, width=24)), 16)


def test_bad_names_and_folders_are_refused(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(rs.InputError, match="expected arms of projector, qformer"):
        run(shared, tmp_path, ("qformers",), (0,))
    with pytest.raises(rs.InputError, match="expected a folder of trained towers"):
        run(tmp_path, tmp_path, ("qformer",), (0,))
    assert not (tmp_path / "out").exists()
    with pytest.raises(rs.InputError, match="expected results of `retinoscope train interface`"):
        read_comparison(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(rs.InputError, match="expected a trained interface"):
        read_trained(tmp_path / "x.safetensors")
