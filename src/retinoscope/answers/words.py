"""The words that name an object: synonyms and plurals, for whole-word matching."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ..arguments import checked

SYNONYMS: dict[str, tuple[str, ...]] = {
    "person": (
        *("people", "man", "men", "woman", "women", "boy", "girl", "child", "children", "kid"),
        *("lady", "guy", "player", "skier", "surfer", "skateboarder", "snowboarder", "rider"),
        *("baby", "toddler", "pedestrian", "human"),
    ),
    "bicycle": ("bike", "cycle"),
    "car": ("automobile", "sedan", "suv", "van", "taxi"),
    "motorcycle": ("motorbike", "moped", "scooter"),
    "airplane": ("aeroplane", "plane", "aircraft", "jet", "airliner"),
    "bus": ("coach", "minibus"),
    "train": ("locomotive", "tram"),
    "truck": ("lorry", "pickup"),
    "boat": ("ship", "sailboat", "canoe", "kayak", "ferry", "yacht"),
    "traffic light": ("stoplight", "traffic signal"),
    "fire hydrant": ("hydrant",),
    "cat": ("kitten", "kitty"),
    "dog": ("puppy", "hound"),
    "horse": ("pony", "foal", "stallion"),
    "sheep": ("lamb", "ewe"),
    "cow": ("cattle", "calf", "calves", "bull", "ox", "oxen"),
    "bird": ("seagull", "duck", "goose", "geese", "pigeon", "parrot", "gull"),
    "handbag": ("purse",),
    "backpack": ("rucksack", "knapsack"),
    "suitcase": ("luggage",),
    "tie": ("necktie",),
    "frisbee": ("disc",),
    "sports ball": ("ball", "football", "basketball", "baseball", "volleyball"),
    "couch": ("sofa", "settee"),
    "potted plant": ("houseplant", "plant"),
    "dining table": ("table",),
    "tv": ("television", "monitor", "screen"),
    "laptop": ("notebook",),
    "cell phone": ("phone", "cellphone", "smartphone", "mobile"),
    "refrigerator": ("fridge", "freezer"),
    "donut": ("doughnut",),
    "wine glass": ("wineglass", "goblet"),
    "cup": ("mug",),
    "hair drier": ("hair dryer", "hairdryer"),
    "teddy bear": ("teddy",),
    "remote": ("remote control",),
    "hot dog": ("hotdog",),
    "ski": ("skis",),
    "skis": ("ski",),
}
"""Other names of COCO's categories. Broader words (animal, vehicle, food) are deliberately absent:
a text that says only "animal" does not identify a cat."""

_IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "mouse": "mice",
    "knife": "knives",
    "leaf": "leaves",
    "wolf": "wolves",
    "calf": "calves",
    "loaf": "loaves",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "ox": "oxen",
}
_SAME = frozenset({"sheep", "fish", "scissors", "skis", "people", "cattle", "luggage", "deer"})
_ALREADY_PLURAL = frozenset({*_IRREGULAR.values(), *_SAME})


@checked
def plural(word: str) -> str:
    """Returns `word` with its last word in the plural ("wine glass" gives "wine glasses")."""
    head, space, last = word.rpartition(" ")
    if last in _ALREADY_PLURAL:
        form = last
    elif last in _IRREGULAR:
        form = _IRREGULAR[last]
    elif re.search(r"(s|x|z|ch|sh)$", last):
        form = f"{last}es"
    elif re.search(r"[^aeiou]y$", last):
        form = f"{last[:-1]}ies"
    else:
        form = f"{last}s"
    return f"{head}{space}{form}"


@checked
@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Returns every accepted form of an object's name, lower case: name, synonyms, plurals."""
    base = (name.lower().strip(), *SYNONYMS.get(name.lower().strip(), ()))
    return tuple(dict.fromkeys(form for word in base for form in (word, plural(word))))


@lru_cache(maxsize=4096)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(forms, key=len, reverse=True)
    choice = "|".join(r"\s+".join(map(re.escape, form.split())) for form in longest_first)
    # Not \b alone: a hyphen or an apostrophe in a compound ("cat-like") still leaves that word, but
    # letters and digits on either side make it another word.
    return re.compile(rf"(?<![^\W_])(?:{choice})(?![^\W_])", re.IGNORECASE)


def names_any(text: str, forms: Iterable[str]) -> bool:
    """Whether `text` contains one of `forms` as a whole word."""
    return _pattern(tuple(forms)).search(text) is not None


def without(text: str, forms: Iterable[str]) -> str:
    """Returns `text` without the words that `names_any` would find."""
    return _pattern(tuple(forms)).sub(" ", text)


def first_span(text: str, forms: Iterable[str]) -> tuple[int, int] | None:
    """Returns start and end of the first word that `names_any` would find."""
    match = _pattern(tuple(forms)).search(text)
    return None if match is None else match.span()
