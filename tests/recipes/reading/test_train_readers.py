"""Readers from end to end, with tiny sizes and a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from retinoscope.data.words import BoardOptions, words
from retinoscope.errors import InputError
from retinoscope.interfaces import ReaderShape, WordReader
from retinoscope.recipes.pocket import Stage
from retinoscope.recipes.reading import (
    READING_ARMS,
    ReaderRecipe,
    Speller,
    draw_boards,
    judge_reader,
    train_readers,
)
from retinoscope.recipes.reading._judge import columns_of

SHAPE = ReaderShape(d=32, heads=2, ff=32, layers=1)
STAGE = Stage(steps=2, batch=6, lr=1e-3, warmup=1)
RECIPE = ReaderRecipe(SHAPE, base=STAGE, learn=STAGE, branch=STAGE, boards=20, held_out=5)


def quiet(*_: object) -> None:
    pass


def run(folder: Path, **more: object) -> list[tuple[str, int]]:
    done: list[tuple[str, int]] = []
    settings = {"recipe": RECIPE, "report": quiet, **more}
    train_readers(
        folder / "work",
        folder / "out",
        finished=lambda name, seed, _: done.append((name, seed)),
        **settings,  # type: ignore[arg-type]
    )
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readers")
    run(folder)
    return folder / "out"


def test_every_arm_has_its_results(trained: Path) -> None:
    for arm in READING_ARMS:
        facts = json.loads((trained / f"{arm}-0.json").read_text())
        wanted = {"clean: word", "columns: letter", "full: letter", "strings: word"}
        assert wanted <= set(facts["scores"])
        assert ("clean: learned_inside" in facts["scores"]) == (arm == "visionlan")
        rows = pl.read_parquet(trained / f"{arm}-0.parquet")
        assert rows.group_by("condition").len()["len"].to_list() == [5] * 7


def test_arms_begin_alike_and_end_unlike(trained: Path) -> None:
    ends = {arm: load_file(trained / f"{arm}-0.safetensors") for arm in READING_ARMS}
    name = "predict.head.weight"
    assert torch.equal(ends["vision"][name], ends["two-step"][name])
    # An untrained slot looks everywhere: the strip is then the whole board too.
    others = [ends[arm][name] for arm in ("vision", "visionlan", "attention")]
    assert len({tuple(weight.flatten().tolist()) for weight in others}) == 3
    WordReader(SHAPE).load_state_dict(ends["visionlan"])


def test_what_is_finished_is_not_trained_again(trained: Path) -> None:
    folder = trained.parent
    assert run(folder) == []
    (trained / "attention-0.json").unlink()
    before = (trained / "attention-0.safetensors").read_bytes()
    assert run(folder) == [("attention", 0)]
    assert (trained / "attention-0.safetensors").read_bytes() == before


def test_bad_arms_and_other_recipes_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected arms of vision, visionlan"):
        run(tmp_path, arms=("visions",))
    with pytest.raises(InputError, match="another recipe"):
        run(trained.parent, recipe=RECIPE.scaled(2))


def test_boards_are_drawn_once_with_their_truth(tmp_path: Path) -> None:
    parts = [(3, BoardOptions()), (2, BoardOptions("full"))]
    boards = draw_boards(tmp_path, parts, 8, quiet)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = draw_boards(tmp_path, parts, 8, quiet)
    assert file.stat().st_mtime_ns == written
    assert np.array_equal(again.images, boards.images)
    plain, covered = words(5, 8), words(5, 8, occlusion="full")
    for number in range(5):
        board = (plain if number < 3 else covered)[number]
        assert np.array_equal(boards.images[number], np.asarray(board.image))
        assert boards.words[number] == board.meta["word"]
        x0, _, x1, _ = plain[number].objects[boards.letter[number]].box
        assert boards.edges[number].tolist() == [x0 / 96, x1 / 96]
    assert boards.letter[3] == covered[3].meta["hidden"]


def test_a_letter_reaches_into_its_columns() -> None:
    edges = np.array([[0.0, 1 / 96], [8 / 96, 13 / 96], [90 / 96, 1.0]])
    inside = columns_of(edges, 24)
    assert [row.nonzero().flatten().tolist() for row in inside] == [[0], [2, 3], [22, 23]]


def test_the_judge_reads_what_is_there(tmp_path: Path) -> None:
    boards = draw_boards(tmp_path, [(6, BoardOptions())], 8, quiet)

    class Knowing(WordReader):
        """Reads the words of the boards, and another letter where columns are hidden."""

        def reading(self, columns):
            reading = super().reading(columns)
            ids = self.shape.ids(boards.words)
            hidden = (columns == 0).all(-1).any(1)
            letter = torch.from_numpy(boards.letter)
            right = ids[hidden, letter[hidden]]
            ids[hidden, letter[hidden]] = right % 26 + 1
            logits = torch.nn.functional.one_hot(ids, 27).float()
            return type(reading)(logits, reading.slots, reading.attention)

    rows, scores = judge_reader(Knowing(SHAPE), {"clean": boards, "weak": boards})
    assert scores["clean: word"] == scores["clean: letter"] == scores["weak: word"] == 1
    assert scores["columns: word"] == scores["columns: letter"] == 0
    assert 0 < scores["clean: width"] < 0.4
    assert 0 <= scores["clean: attention_inside"] <= 1
    assert len(rows) == 18


def test_a_letter_does_not_reach_its_own_guess() -> None:
    torch.manual_seed(0)
    speller = Speller(SHAPE).eval()
    letters = torch.rand(1, 9, 27, generator=torch.Generator().manual_seed(0)).softmax(-1)
    other = letters.clone()
    other[0, 4] = other[0, 4].flip(0)
    with torch.no_grad():
        before, after = speller.guesses(letters), speller.guesses(other)
    same = [torch.allclose(before[0, k], after[0, k], atol=1e-6) for k in range(9)]
    assert same == [k == 4 for k in range(9)]
