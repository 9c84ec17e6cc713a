"""A language model as judge: which objects do two descriptions name, and which do they share?

Works with any server that speaks the chat-completions protocol, in the cloud or on this machine.
Every prompt and raw answer is recorded with its cost in tokens. An answer in another format than
requested is an error, never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import InputError, StudyError, one_line
from ..store import Scalar
from .chat import ChatServer, check_address, read_key, redact, shortened
from .objects import Overlap

INSTRUCTION = """\
Compare two descriptions of one image. List the tangible physical objects that each of them names. \
Ignore colours, attributes, positions and surroundings such as walls, sky or road. An object that \
both name, if by other words, is shared.

Reference: {reference}

Candidate: {candidate}

Answer with one JSON object and nothing else:
{{"reference": ["name", ...], "candidate": ["name", ...], \
"shared": [["name in reference", "name in candidate"], ...]}}"""


@dataclass(frozen=True)
class Judgement:
    """A judge's answer.

    Attributes:
        overlap: the candidate's objects against the reference's.
        prompt, answer: as sent and as received.
        n_tokens: tokens read and written, as counted by the server; None if it does not count.
    """

    overlap: Overlap
    prompt: str
    answer: str
    n_tokens: int | None


class Judge(Protocol):
    """Compares two descriptions."""

    def describe(self) -> dict[str, str]:
        """Returns what identifies the judge in the record of a run, without secrets."""
        ...

    def check(self) -> None:
        """Raises `InputError` if it cannot be asked; called before a study computes anything."""
        ...

    def compare(self, reference: str, candidate: str) -> Judgement:
        """Compares the objects of `candidate` with those of `reference`.

        Raises:
            StudyError: the judge cannot be reached, or its answer has the wrong format.
        """
        ...


@dataclass(frozen=True)
class ChatJudge:
    """A judge behind a chat-completions endpoint.

    Args:
        url: address of the API, such as "http://localhost:8000/v1"; "/chat/completions" is added.
        model: the server's name of the model.
        key_variable: environment variable that holds the key; None for a server without one.
        timeout: maximum seconds to wait for an answer.
        seed: sent along; servers may ignore it.
    """

    url: str
    model: str
    key_variable: str | None = None
    timeout: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_address(self.url)
        name = self.key_variable
        # A key given by mistake in place of the variable's name must not be repeated.
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise InputError(
                "expected the name of an environment variable that holds the judge's key, got "
                "something else: letters, digits and '_' only"
            )

    def check(self) -> None:
        key = None if self.key_variable is None else read_key(self.key_variable)
        recorded = json.dumps(self.describe())
        if redact(recorded, key) != recorded:
            raise InputError(
                "expected a judge's address and model without the key, got it in one of them: both "
                "are recorded"
            )

    def describe(self) -> dict[str, str]:
        return {"url": self.url, "model": self.model, "seed": str(self.seed)}

    def compare(self, reference: str, candidate: str) -> Judgement:
        prompt = INSTRUCTION.format(reference=reference, candidate=candidate)
        try:
            # Read for each question: workers have the environment, and no file ever has the key.
            key = None if self.key_variable is None else read_key(self.key_variable)
        except InputError as error:
            raise StudyError(str(error)) from None
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "seed": self.seed,
        }
        reply, text = ChatServer(self.url, key, self.timeout).ask(body)
        try:
            answer = reply["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            answer = None
        if not isinstance(answer, str):
            raise StudyError(f"expected a chat completion from the judge, got {shortened(text)}")
        # Lone surrogates, which JSON may hold, cannot be stored; an escape may hide a key.
        answer = redact(answer.encode("utf-8", "replace").decode("utf-8"), key)
        usage = reply.get("usage") if isinstance(reply, dict) else None
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        counted = type(total) is int and 0 <= total < 2**31
        return Judgement(
            read_judgement(answer), redact(prompt, key), answer, total if counted else None
        )


def judge_rows(judge: Judge, rows: Sequence[dict[str, Scalar]]) -> list[dict[str, Scalar]]:
    """Adds a judge's counts to the rows that have texts; returns a row for each failure.

    Equal pairs of texts are asked about once, and only the first of them carries the tokens.
    """
    known: dict[tuple[str, str], dict[str, Scalar]] = {}
    failed: list[dict[str, Scalar]] = []
    for row in rows:
        if row.get("error") is not None:
            continue
        pair = str(row["text_before"]), str(row["text_after"])
        asked = pair in known
        if not asked:
            known[pair] = _asked(judge, *pair)
        counts = known[pair]
        if "error" in counts:
            keys = ("edges", "is_control", "reading", "layers", "first_layer", "last_layer")
            failed.append({key: row.get(key) for key in keys} | counts)
        else:
            row |= counts | ({"judge_tokens": None} if asked else {})
    return failed


def _asked(judge: Judge, before: str, after: str) -> dict[str, Scalar]:
    try:
        judgement = judge.compare(before, after)
    except StudyError as error:
        return {"error": str(error)}
    except Exception as error:
        # Whatever a judge raises, the other rows are computed and kept.
        return {"error": one_line(error)}
    overlap = judgement.overlap
    return {
        "judge_precision": overlap.precision,
        "judge_recall": overlap.recall,
        "judge_f1": overlap.f1,
        "judge_tokens": judgement.n_tokens,
        "judge_prompt": judgement.prompt,
        "judge_answer": judgement.answer,
    }


def read_judgement(answer: str) -> Overlap:
    """Parses the counts in a judge's answer.

    Raises:
        StudyError: the answer is not JSON in the requested form, repeats a name, or shares a name
            that is not in the lists.
    """
    match = re.search(r"\{.*\}", answer, re.DOTALL)
    try:
        content: Any = json.loads(match.group()) if match else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise StudyError(f"expected the judge's answer as JSON, got {shortened(answer)}")
    names = {key: content.get(key) for key in ("reference", "candidate")}
    shared = content.get("shared")
    good = all(_are_names(value) for value in names.values()) and isinstance(shared, list)
    if not good or not all(_are_names(pair) and len(pair) == 2 for pair in shared or ()):
        raise StudyError(
            "expected the judge's lists 'reference', 'candidate' and 'shared' of names, got "
            f"{shortened(answer)}"
        )
    assert isinstance(shared, list)
    for side, key in enumerate(("reference", "candidate")):
        listed = names[key]
        assert isinstance(listed, list)
        used = [pair[side] for pair in shared]
        if len(set(listed)) < len(listed) or len(set(used)) < len(used) or set(used) - set(listed):
            raise StudyError(
                "expected the judge's shared names once each and in its lists, got "
                f"{shortened(answer)}"
            )
    n = len(shared)
    return Overlap(n, len(names["candidate"] or ()) - n, len(names["reference"] or ()) - n)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
