"""Requests that no page would send do no harm; `python -m benchmarks.fuzz` sends more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from benchmarks import fuzz
from benchmarks._fuzz_cases import Case

COUNT = 600


def test_no_request_breaks_a_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = fuzz.main(["--count", str(COUNT), "--seed", "7", "--out", str(tmp_path)])
    assert code == 0, capsys.readouterr().out
    told = json.loads((tmp_path / "fuzz.json").read_text("utf-8"))
    # Requests of every kind arrived, and enough of them got past the checks to the model.
    assert told["kinds"].keys() >= {"field 400", "json 400", "image 400", "host 400", "path 404"}
    assert told["kinds"].keys() >= {"token 401", "cut none", "odd image 200", "noise 400"}
    assert told["kinds"]["valid 200"] > 10
    assert told["kinds"].keys() >= {"collect valid 200", "collect field 400"}


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (b"HTTP/1.1 500 x\r\na: b\r\n\r\n{}", "status 500"),
        (b"HTTP/1.1 503 x\r\na: b\r\n\r\n{}", "status 503"),
        (b"HTTP/1.1 200 x\r\na: b\r\n\r\n{}HTTP/1.1 502 x\r\na: b\r\n\r\n", "status 502"),
        (b"HTTP/1.1 200 x\r\na: b\r\n\r\n" + fuzz.TOKEN.encode(), "told"),
        (b"HTTP/1.1 200 x\r\na: b\r\n\r\n" + fuzz.__file__.encode(), "told"),
        (b"HTTP/1.1 404 x\r\na: b\r\n\r\nTraceback (most recent call last)", "told"),
        (b"", "no answer"),
        (b"\x16\x03", "not HTTP"),
    ],
)
def test_a_broken_promise_is_seen(answer: bytes, wrong: str) -> None:
    """The judge itself: each of these would make the command fail."""
    case = Case("path", b"GET / HTTP/1.1\r\n\r\n")
    assert any(wrong in one for one in fuzz.faults(case, answer, fuzz.secrets_of_machine(), True))


def test_a_token_that_is_wrong_lets_nobody_in() -> None:
    answer = b"HTTP/1.1 200 x\r\na: b\r\n\r\n{}"
    case = Case("token", b"")
    assert fuzz.faults(case, answer, [], True)
    assert not fuzz.faults(case, answer, [], False)
    later = b"HTTP/1.1 503 x\r\nretry-after: 1\r\n\r\n"
    assert not fuzz.faults(Case("path", b""), later, [], True)
