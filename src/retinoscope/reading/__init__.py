"""Words read in images, without a language model: what they say, and whether it is right.

words = read_words(["sign.png", image])
words[0].text, words[0].confidence
"""

from ._accuracy import ReadingScore, comparable, score
from ._open import ShownWord, open_words
from ._page import write_page
from ._read import ReadWord, read_words

__all__ = [
    "ReadWord",
    "ReadingScore",
    "ShownWord",
    "comparable",
    "open_words",
    "read_words",
    "score",
    "write_page",
]
