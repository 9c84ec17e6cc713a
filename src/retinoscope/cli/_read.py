"""`retinoscope read`."""

from __future__ import annotations

from pathlib import Path

from ._say import say


def read(*images: str, out: Path | None = None, reader: Path | None = None) -> None:
    """Read the word in each image, without a language model.

    Each image shows one word and little else: crop it first. The packaged reader is VisionLAN's
    (arXiv 2108.09661), small, and trained on drawn boards of four to eight lower-case letters;
    photographs need a reader that was trained on such. Where it is known what the images say, the
    share of words read right and the edit distance are printed too: upper case, spaces and
    punctuation do not count, as in IIIT5K and ICDAR.

    For example:

        retinoscope read sign.png label.png

        retinoscope read words:200 --out runs/words

        retinoscope read crops --out runs/crops

    Args:
        images: files, a folder of images (with gt.txt or labels.txt, if it is known what they say:
            `word_1.png, "Text"` or `word_1.png Text` in each line), or any DATA such as words:100.
        out: folder for report.html, which shows where the reader looked for each letter.
        reader: a file that `retinoscope train reader` wrote, instead of the packaged reader.
    """
    from ._common import quiet

    quiet()
    from ..errors import InputError
    from ..interfaces import open_reader
    from ..reading import open_words, read_words, score, write_page
    from ..report.blocks import number_interval, percent_interval

    if not images:
        raise InputError("expected images to read, got none: name files, a folder, or words:10")
    shown = [word for given in images for word in open_words(given)]
    words = read_words((one.image for one in shown), open_reader(reader).reader)
    for one, word in zip(shown, words, strict=True):
        said = f"{word.text or '(no word)':<10} {word.confidence:.2f}  {one.name}"
        told = one.says is not None and one.says != word.text
        say(f"{said}  (says {one.says})" if told else said)
    known = [(w.text, one.says) for one, w in zip(shown, words, strict=True) if one.says]
    found = score(*zip(*known, strict=True)) if known else None
    if found is not None:
        right, distance = percent_interval(found.right), number_interval(found.distance)
        say(f"read right: {right}; edit distance: {distance} letters")
    if out is not None:
        say(f"report: {write_page(out, shown, words, found)}")
