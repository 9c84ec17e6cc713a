"""Options that cannot work are refused where a study is made, not where it is run."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import retinoscope as rs
from retinoscope.answers.tasks import PromptOptions
from retinoscope.studies import (
    AlignmentRules,
    AttentionAlignment,
    AttentionKnockout,
    AttributionLocalisation,
    Grouping,
    ImageReprompting,
    InformationFlow,
    LogitLens,
    Probe,
    TokenAblation,
    WordAttention,
)

SAMPLES = rs.data.scenes(2)
OPTIONS: list[tuple[type, dict[str, Any], str]] = [
    (TokenAblation, {"tasks": ("write",)}, "task"),
    (TokenAblation, {"conditions": ()}, "condition"),
    (TokenAblation, {"fill": "grey"}, "fill"),
    (TokenAblation, {"sizes": (5, 0)}, "sizes"),
    (TokenAblation, {"gradient_steps": 1}, "gradient_steps"),
    (TokenAblation, {"caption_tokens": 0}, "caption_tokens"),
    (TokenAblation, {"min_cover": 1.5}, "min_cover"),
    (LogitLens, {"covers": (2.0,)}, "covers"),
    (LogitLens, {"covers": (0.0, 0.0)}, "cover"),
    (LogitLens, {"near": -1}, "near"),
    (AttentionKnockout, {"sources": ("sky",)}, "source"),
    (AttentionKnockout, {"windows": ("noon",)}, "window"),
    (AttentionKnockout, {"slide": 0}, "slide"),
    (AttentionKnockout, {"max_questions": 0}, "max_questions"),
    (AttentionKnockout, {"mode": "exact"}, "mode"),
    (InformationFlow, {"edges": ()}, "edges"),
    (InformationFlow, {"readings": ("aloud",)}, "reading"),
    (InformationFlow, {"layers": ("some",)}, "layer sets"),
    (InformationFlow, {"answer_tokens": 0}, "answer_tokens"),
    (WordAttention, {"max_new_tokens": 0}, "max_new_tokens"),
    (ImageReprompting, {"shares": (2.0,)}, "shares"),
    (ImageReprompting, {"description_tokens": 0}, "description_tokens"),
    (AttributionLocalisation, {"tasks": ("write",)}, "tasks"),
    (AttributionLocalisation, {"methods": ("guess",)}, "methods"),
    (AttributionLocalisation, {"score": "belief"}, "score"),
    (AttributionLocalisation, {"controls": -1}, "controls"),
    (AttentionAlignment, {"distractors": -1}, "distractors"),
    (AttentionAlignment, {"rules": AlignmentRules(("cosine",))}, "metrics"),
    (Grouping, {"groupings": ("dbscan",)}, "groupings"),
    (Grouping, {"n_groups": 0}, "n_groups"),
    (Grouping, {"classes": ("apple", "apple")}, "classes"),
    (Grouping, {"template": "a photo"}, "template"),
    (Grouping, {"upsample": "cubic"}, "upsample"),
    (Probe, {"tasks": ("colour",)}, "tasks"),
    (Probe, {"tasks": ()}, "tasks"),
]
OF_A_MODEL: list[tuple[type, dict[str, Any], str]] = [
    (LogitLens, {"near": 10**6}, "near"),
    (AttentionKnockout, {"slide": 99}, "sliding window"),
    (InformationFlow, {"width": 99}, "sliding window"),
    (AttributionLocalisation, {"layers": (99,)}, "layers"),
    (AttributionLocalisation, {"steps": {"rise": 9}, "methods": ("attention",)}, "rise"),
    (AttentionAlignment, {"methods": ("attention",), "layers": (99,)}, "layers"),
]


@pytest.mark.parametrize(("study", "options", "named"), OPTIONS)
def test_options_are_refused_before_there_is_a_model(
    study: type, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(rs.InputError, match=named):
        study(None, SAMPLES, **options)


@pytest.mark.parametrize(("study", "options", "named"), OF_A_MODEL)
def test_options_that_a_model_does_not_allow_are_refused_with_it(
    study: type, options: dict[str, Any], named: str, tiny: rs.VLM
) -> None:
    study(None, SAMPLES, **options)
    with pytest.raises(rs.InputError, match=named):
        study(tiny, SAMPLES, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"unique": "yes"},
        {"max_objects": "2"},
        {"min_area": "a"},
        {"article": "the"},
        {"question_kinds": "color"},
    ],
    ids=str,
)
def test_prompts_are_checked_too(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(rs.InputError, match=name):
        PromptOptions(**options)


@pytest.mark.parametrize("study", [Grouping, Probe])
def test_a_package_that_is_missing_is_named_before_there_is_a_model(
    study: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(rs.MissingExtraError, match=r"retinoscope\[probe\]"):
        study(None, SAMPLES)
