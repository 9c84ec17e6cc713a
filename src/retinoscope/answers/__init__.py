"""Questions to a model, its answers, and whether they are correct.

`tasks` are the paper's questions, `matching` and `scoring` the rules for correct answers, `words`
the spellings of an object's name, `judge` a language model in place of the rules, `hallucination`
the paper's filter, `clean` the answers about an image without any edit.
"""

from . import clean, hallucination, judge, matching, scoring, tasks, words

__all__ = ["clean", "hallucination", "judge", "matching", "scoring", "tasks", "words"]
