"""A judge behind an endpoint: its good answers, its bad ones, and its absence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from retinoscope.answers.judge import ChatJudge, read_judgement
from retinoscope.errors import InputError, StudyError
from tests.studies.judged import judged_study


class _Server(ThreadingHTTPServer):
    said: str | None = None
    status = 200
    requests: list[tuple[str, dict, str | None]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, sent, self.headers.get("Authorization")))
        text = sent["messages"][0]["content"]
        before, after = (
            text.split(f"{side}: ")[1].split("\n")[0].split() for side in ("Reference", "Candidate")
        )
        said = self.server.said or json.dumps(
            {
                "reference": before,
                "candidate": after,
                "shared": [[name, name] for name in before if name in after],
            }
        )
        body = {"choices": [{"message": {"content": said}}], "usage": {"total_tokens": 50}}
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    found = _Server(("127.0.0.1", 0), _Handler)
    found.requests = []
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()


def _judge(server: _Server, **options) -> ChatJudge:
    return ChatJudge(f"http://127.0.0.1:{server.server_port}/v1", "strict", **options)


def test_an_answer_is_counted_and_recorded(server: _Server, monkeypatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "secret")
    judge = _judge(server, key_variable="JUDGE_KEY")
    found = judge.compare("car star tree", "car fish")
    assert (found.overlap.tp, found.overlap.fp, found.overlap.fn) == (1, 1, 2)
    assert found.n_tokens == 50
    ((path, sent, key),) = server.requests
    assert path == "/v1/chat/completions"
    assert (sent["model"], sent["temperature"]) == ("strict", 0)
    assert sent["messages"][0]["content"] == found.prompt
    assert key == "Bearer secret"
    assert "secret" not in json.dumps(judge.describe())
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(StudyError, match="JUDGE_KEY"):
        judge.compare("a", "b")


def test_a_study_asks_about_every_description_and_keeps_what_was_said(server, tmp_path) -> None:
    results = judged_study(_judge(server)).run(tmp_path / "run")
    assert results.errors() == []
    rows = results.table.to_pylist()
    assert len(rows) == 2 * 3
    for row in rows:
        assert row["judge_f1"] == row["f1"]
        assert json.loads(row["judge_answer"])["reference"] == row["text_before"].split()
    # Blocking image -> generated changes nothing here: that pair was asked about already.
    assert len(server.requests) == 2 * 2
    assert sum(row["judge_tokens"] or 0 for row in rows) == 50 * len(server.requests)
    found = {row["edges"]: row["judge_f1"] for row in results.summary().to_pylist()}
    assert found == {"image:query": 0, "image:generated": 1}
    assert results.manifest["parameters"]["judge"]["model"] == "strict"


@pytest.mark.parametrize("status", [500, 401])
def test_a_judge_that_fails_is_an_error_beside_the_whole_words(server, status, tmp_path) -> None:
    server.status = status
    results = judged_study(_judge(server)).run(tmp_path / "run")
    assert len(results.errors()) == 2 * 3
    assert all(f"answered {status}" in error for _, error in results.errors())
    assert {r["edges"]: r["f1"] for r in results.summary().to_pylist()} == {
        "image:query": 0,
        "image:generated": 1,
    }
    assert {r["judge_f1"] for r in results.summary().to_pylist()} == {None}


def test_a_judge_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StudyError, match="cannot be reached") as caught:
        ChatJudge("http://127.0.0.1:9", "gone", timeout=2).compare("a", "b")
    assert "\n" not in str(caught.value)
    for url in ("localhost:8000", "ftp://host", "http://me:key@host/v1"):
        with pytest.raises(InputError):
            ChatJudge(url, "model")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "They share most objects: 0.8",
        "{}",
        '{"reference": ["a"], "candidate": ["a"]}',
        '{"reference": "a", "candidate": ["a"], "shared": []}',
        '{"reference": ["a"], "candidate": ["a"], "shared": [["a"]]}',
        '{"reference": ["a"], "candidate": ["b"], "shared": [["a", "a"]]}',
        '{"reference": ["a"], "candidate": ["a", "a"], "shared": []}',
        '{"reference": ["a"], "candidate": ["b", "c"], "shared": [["a", "b"], ["a", "c"]]}',
        '{"reference": [1], "candidate": [], "shared": []}',
    ],
)
def test_an_answer_that_was_not_asked_for_is_no_number(answer: str) -> None:
    with pytest.raises(StudyError, match="judge"):
        read_judgement(answer)


def test_an_answer_may_stand_in_other_text() -> None:
    answer = 'Sure:\n{"reference": ["a", "b"], "candidate": [], "shared": []}\nDone.'
    found = read_judgement(answer)
    assert (found.tp, found.fp, found.fn) == (0, 0, 2)
    assert (found.precision, found.recall, found.f1) == (None, 0, 0)
