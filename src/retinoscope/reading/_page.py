"""A page of words that were read: each image, and where each letter was seen."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..report.blocks import Figure, Picture, Record, Section, number_interval, percent_interval
from ..report.page import Page
from ..report.style import BLUE, INK
from ..report.tables import plain_number, table, text
from ._accuracy import ReadingScore, comparable
from ._open import ShownWord
from ._read import ReadWord

_SHOWN = 60
"""Words that are drawn; the table has all."""
_WIDTH, _ROW, _LETTER = 480, 18, 28


def write_page(
    folder: Path,
    shown: Sequence[ShownWord],
    words: Sequence[ReadWord],
    score: ReadingScore | None,
) -> Path:
    """Writes report.html, with its table and figures, into `folder`; returns the page's path.

    Args:
        folder: where to write.
        shown: the images, of which the first sixty are drawn.
        words: what was read in each.
        score: over those of which it is known what they say.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    pairs = list(zip(shown, words, strict=True))
    facts = [("Images", str(len(words)))]
    if score is not None:
        facts += [
            ("Read right", percent_interval(score.right)),
            ("Edit distance, letters", number_interval(score.distance)),
            ("1 - normalised distance", number_interval(score.similarity)),
        ]
    return Page(
        title="Words in images",
        lead="Each word was read from its image alone: no language model corrects it. Below an "
        "image, each row shows where the reader looked for one letter.",
        facts=facts,
        sections=[_section(pairs)],
        failures=[],
        pictures=[_picture(number, *pair) for number, pair in enumerate(pairs[:_SHOWN])],
        definitions=[],
        runs=[],
    ).write(folder)


def _section(pairs: Sequence[tuple[ShownWord, ReadWord]]) -> Section:
    rows: list[Record] = [
        {
            "image": one.name,
            "read": word.text,
            "says": one.says or "",
            "confidence": word.confidence,
        }
        for one, word in pairs
    ]
    columns = [
        text("image"),
        text("read"),
        text("says", "the label says"),
        plain_number("confidence", hint="probability of exactly this text"),
    ]
    return Section(
        key="words",
        title="All words",
        question="What was read, and how sure was the reader?",
        tables=(table("words", "What was read in each image", rows, columns),),
    )


def _picture(number: int, shown: ShownWord, word: ReadWord) -> Picture:
    said = f"Read as {word.text!r}" if word.text else "No word was found"
    told = f"{said}; confidence {word.confidence:.2f}."
    if shown.says is not None:
        right = comparable(word.text) == comparable(shown.says)
        told += " Right." if right else f" The label says {shown.says!r}."
    figure = Figure(
        name=f"word-{number}",
        svg=_drawn(shown.image, word),
        alt=f"{shown.name}: {told} Where the reader looked for each letter.",
        caption=shown.name,
        wide=False,
    )
    return Picture(title=word.text or "(nothing)", text=told, figures=(figure,))


def _drawn(image: Image.Image, word: ReadWord) -> str:
    """The image, and below it a row for each letter: darker where its slot looked more."""
    height = round(_WIDTH * image.height / image.width)
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    whole = height + 6 + _ROW * len(word.text)
    parts = [
        f'<image href="data:image/png;base64,{data}" x="{_LETTER}" y="0" width="{_WIDTH}" '
        f'height="{height}" preserveAspectRatio="none"/>'
    ]
    step = _WIDTH / max(1, word.attention.shape[1])
    for row, (letter, looks) in enumerate(zip(word.text, word.attention, strict=True)):
        y = height + 6 + row * _ROW
        parts.append(
            f'<text x="{_LETTER - 8}" y="{y + 13}" text-anchor="end" '
            f'style="font-size:14px;font-family:monospace;fill:{INK}">{html.escape(letter)}</text>'
        )
        parts += [
            f'<rect x="{_LETTER + column * step:.2f}" y="{y}" width="{step:.2f}" '
            f'height="{_ROW - 3}" style="fill:{BLUE};fill-opacity:{share:.3f}"/>'
            for column, share in enumerate(looks / looks.max())
            if share > 0.02
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + _LETTER} {whole}" '
        f'width="{_WIDTH + _LETTER}" height="{whole}">{"".join(parts)}</svg>'
    )
