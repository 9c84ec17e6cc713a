"""When does an answer count as correct? Two rule sets, side by side.

`corrected` rules: an object is named by a whole word (its name, a synonym or a plural); a yes/no
answer is read from the two logits; a question's answer is its first token, or a whole word of the
generated text.

`paper` rules: those of the released code of Neo et al. 2024 (clemneo/llava-interp,
scripts/ablation_experiment.py and the question scripts, state of 2024-10-15), with their defects,
so that its numbers can be compared:

- caption: case-sensitive substring, in a text that includes the prompt ("cat" is in "located");
- polling: "yes" anywhere in the lower-cased text, which includes the prompt;
- question: the first piece of the answer must *start with* the predicted token, so that a
  one-letter token counts as correct (the reverse of what the code's comment says), and so does an
  empty one. Special tokens are skipped in decoding: a predicted end of text is empty.
"""

from __future__ import annotations

from ..arguments import checked
from .words import names_any, words_of

MODES = ("paper", "corrected", "whole-word")
"""`whole-word` exists for questions only: the generated text is searched for the answer."""


@checked
def names_object(text: str, name: str) -> bool:
    """Corrected rule for captions: `text` names the object by a whole word."""
    return names_any(text, words_of(name))


@checked
def paper_names_object(decoded: str, name: str) -> bool:
    """The released code's rule for captions; `decoded` includes the prompt."""
    return name in decoded


def paper_says_yes(decoded: str) -> bool:
    """The released code's rule for polling; `decoded` includes the prompt."""
    return "yes" in decoded.lower()


def paper_first_piece(predicted: str, first_piece: str) -> bool:
    """The released code's rule for questions: `first_piece` starts with the predicted token.

    Args:
        predicted: the predicted token's text, special tokens skipped.
        first_piece: first piece of the name in lower case, as the tokenizer writes it.
    """
    return first_piece.strip().lstrip("Ġ▁").lower().startswith(predicted.strip().lower())


@checked
def answers(text: str, answer: str) -> bool:
    """Whole-word rule for questions: the generated text contains the answer as a whole word."""
    return names_any(text, words_of(answer))
