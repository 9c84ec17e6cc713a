"""`retinoscope read`, and what it is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.cli import main
from retinoscope.interfaces import (
    END,
    ReaderShape,
    WordReader,
    open_reader,
    round_as_stored,
    to_pixels,
    write_reader,
)
from retinoscope.reading import comparable, open_words, read_words, score
from retinoscope.recipes.reading import HELD_OUT_SEED

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "reading"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """An untrained reader on disk."""
    torch.manual_seed(0)
    reader = WordReader(ReaderShape(d=48, heads=2, ff=96, layers=1))
    path = tmp_path_factory.mktemp("reader") / "reader.safetensors"
    write_reader(path, reader, {"arm": "none"})
    return path


def test_a_stored_reader_reads_as_it_was_judged(tmp_path: Path) -> None:
    torch.manual_seed(1)
    reader = WordReader(ReaderShape(d=48, heads=2, ff=96, layers=1)).eval()
    with torch.no_grad():
        for name, value in reader.named_buffers():
            if name.endswith("running_mean"):
                value.normal_()
    round_as_stored(reader)
    # torch fuses the layers only of what has no gradient.
    reader.requires_grad_(False)
    write_reader(tmp_path / "r.safetensors", reader, {"seed": 3})
    opened = open_reader(tmp_path / "r.safetensors")
    assert opened.facts == {"seed": 3}
    pixels = torch.rand(2, 3, 24, 96) * 2 - 1
    with torch.no_grad():
        assert torch.equal(opened.reader(pixels).logits, reader(pixels).logits)


def test_what_was_read_agrees_with_the_reader(file: Path) -> None:
    boards = rs.data.words(3)
    reader = open_reader(file).reader
    words = read_words([board.image for board in boards], reader)
    pixels = to_pixels(np.stack([np.asarray(board.image) for board in boards]))
    with torch.no_grad():
        reading = reader(pixels)
    probs = reading.logits.softmax(-1)
    for row, word in enumerate(words):
        ids = reading.logits[row].argmax(-1).tolist()
        n = ids.index(END) if END in ids else len(ids)
        assert len(word.text) == len(word.letters) == len(word.attention) == n
        read = range(min(n + 1, len(ids)))
        expected = np.prod([float(probs[row, slot].max()) for slot in read])
        assert word.confidence == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(word.attention.sum(-1), 1, rtol=1e-5)


def test_images_of_any_size_are_read(file: Path) -> None:
    images = [Image.new("RGB", size) for size in ((96, 24), (300, 20), (5, 90))]
    assert len(read_words(images, open_reader(file).reader)) == 3


def test_words_are_compared_as_in_the_benchmarks() -> None:
    assert comparable("Bob's 2nd!") == "bobs2nd"
    found = score(["hello", "", "cat"], ["Hello!", "ab", "cut"])
    assert found.right.value == pytest.approx(1 / 3)
    assert found.distance.value == pytest.approx((0 + 2 + 1) / 3)
    assert found.similarity.value == pytest.approx((1 + 0 + 2 / 3) / 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gt.txt", '\ufeffa.png, "Caf\\"e, 1"\nb.png, "two"\n'),
        ("labels.txt", 'test/a.png\tCaf"e, 1\n\ntest/b.png two\n'),
    ],
)
def test_labels_of_the_benchmarks_are_read(name: str, content: str, tmp_path: Path) -> None:
    for image in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (30, 10)).save(tmp_path / image)
    (tmp_path / name).write_text(content, "utf-8")
    assert [word.says for word in open_words(str(tmp_path))] == ['Caf"e, 1', "two", None]
    samples = rs.data.folder(tmp_path)
    assert samples[0].questions[0].kind == "sign"
    before = samples.fingerprint
    (tmp_path / name).write_text(content.replace("two", "too"), "utf-8")
    assert rs.data.folder(tmp_path).fingerprint != before


@pytest.mark.parametrize(
    ("content", "said"),
    [("a.png\n", "line 1: expected word_1.png"), ('z.png, "far"\n', "got 'z.png'")],
)
def test_other_labels_are_refused(content: str, said: str, tmp_path: Path) -> None:
    Image.new("RGB", (30, 10)).save(tmp_path / "a.png")
    (tmp_path / "gt.txt").write_text(content, "utf-8")
    with pytest.raises(rs.InputError, match=said):
        rs.data.folder(tmp_path)


def test_the_command_reads_and_draws(file: Path, tmp_path: Path, capsys) -> None:
    rs.data.words(1)[0].image.save(tmp_path / "one.png")
    given = ["read", str(tmp_path / "one.png"), "words:2", "--reader", str(file)]
    assert main([*given, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("one.png")
    assert f"(says {rs.data.words(1)[0].meta['word']})" in told[1]
    assert told[3].startswith("read right: ")
    assert (tmp_path / "out" / "report.html").is_file()
    assert len((tmp_path / "out" / "tables" / "words.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "expected images to read, got none"),
        (("nowhere.png",), "nowhere.png"),
        (("words:2", "--reader", "nowhere"), "nowhere: expected a trained reader"),
    ],
)
def test_bad_input_is_one_line(given: tuple[str, ...], said: str, tmp_path: Path, capsys) -> None:
    assert main(["read", *given]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1


def test_the_packaged_reader_reads_what_its_table_says() -> None:
    stored, boards = open_reader(), rs.data.WordBoards(40, HELD_OUT_SEED)
    words = read_words([board.image for board in boards], stored.reader)
    right = [w.text == board.meta["word"] for w, board in zip(words, boards, strict=True)]
    name = f"{stored.facts['arm']}-{stored.facts['seed']}.parquet"
    kept = pl.read_parquet(RESULTS / name).filter(condition="clean").sort("board")["word"][:40]
    # Another processor may tip a close decision.
    assert sum(a != b for a, b in zip(right, kept, strict=True)) <= 1
    assert words[0].confidence > 0.5
