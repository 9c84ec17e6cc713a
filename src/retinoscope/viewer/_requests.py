"""The page's requests, typed and bounded; none of them names a file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TOKENS = 65_536
MAX_TEXT = 4_000
MAX_TOP_K = 20

Index = Annotated[int, Field(ge=0, le=1_000_000)]
Indices = Annotated[list[Index], Field(min_length=1, max_length=MAX_TOKENS)]
Span = Annotated[list[Annotated[int, Field(ge=0, le=4_096)]], Field(min_length=2, max_length=2)]
"""First and last, inclusive."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
Target = Literal["last", "question"] | Indices


class Request(BaseModel):
    """A strict model: numbers are not parsed from strings, and unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class AblateEdit(Request):
    kind: Literal["ablate"]
    tokens: Indices
    fill: Literal["mean", "zero", "noise"] = "mean"


class KnockoutEdit(Request):
    kind: Literal["knockout"]
    tokens: Indices
    target: Target = "last"
    layers: Span
    heads: Annotated[list[Index], Field(min_length=1, max_length=1_024)] | None = None


class PatchEdit(Request):
    kind: Literal["patch"]
    tokens: Indices
    layers: Span
    donor: Name


Edit = Annotated[AblateEdit | KnockoutEdit | PatchEdit, Field(discriminator="kind")]
Edits = Annotated[list[Edit], Field(max_length=16)]


class RunRequest(Request):
    image: Name
    question: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    prefill: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    raw: bool = False


class OfRun(Request):
    run: Name


class GenerateRequest(OfRun):
    edits: Edits = []
    max_new_tokens: Annotated[int, Field(ge=1, le=256)] = 64


class LensRequest(OfRun):
    kind: Name = "logit"
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = 5


class WordRequest(OfRun):
    kind: Name = "logit"
    word: Annotated[str, Field(min_length=1, max_length=100)]


class AttentionRequest(OfRun):
    query: Annotated[int, Field(ge=-1, le=1_000_000)] = -1


class EffectRequest(OfRun):
    edits: Annotated[list[Edit], Field(min_length=1, max_length=16)]
    word: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class SweepRequest(OfRun):
    tokens: Indices
    target: Target = "last"
    width: Annotated[int, Field(ge=1, le=4_096)] = 1
