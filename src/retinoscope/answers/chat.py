"""One question to a chat-completions server, with a key that never leaves the request.

The client is httpx. Redirects are not followed, since they would carry the key to another host; the
answer is limited in bytes and seconds; every failure is a `StudyError` without the key.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from ..errors import InputError, StudyError

LARGEST = 4_000_000
"""Maximum size of an answer in bytes."""
SHORTEST_KEY = 4
"""Minimum number of characters: a shorter key occurs in ordinary text and cannot be redacted."""
REDACTED = "[redacted]"
_LONGEST = 200


def redact(text: str, key: str | None) -> str:
    """Removes `key` from `text`, also as JSON, a URL, HTML or base64 would write it."""
    if not key:
        return text
    escaped = key.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    forms = {key, json.dumps(key)[1:-1], repr(key)[1:-1], quote(key), quote(key, safe="")}
    forms |= {escaped, escaped.replace('"', "&#34;").replace("'", "&#39;")}
    forms.add(base64.b64encode(key.encode()).decode().rstrip("="))
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    return text


def shortened(text: str) -> str:
    """Returns the beginning of `text`, quoted, with control characters escaped."""
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= _LONGEST else flat[:_LONGEST] + "...")


def read_key(variable: str) -> str:
    """Returns the key in an environment variable, stripped of surrounding spaces.

    Raises:
        InputError: it is empty, too short to be redacted, or has characters not allowed in headers.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"expected the judge's key in the environment variable {variable}, which is empty"
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise InputError(
            f"expected the judge's key in {variable} in printable ASCII characters on one line, got"
            " others: set it again without line breaks and spaces"
        )
    if len(key) < SHORTEST_KEY:
        raise InputError(
            f"expected the judge's key in {variable} to have at least {SHORTEST_KEY} characters, "
            f"got {len(key)}: leave the variable out for a server without a key"
        )
    return key


def check_address(url: str) -> None:
    """Refuses invalid addresses, and those that contain secrets, since addresses are recorded.

    Raises:
        InputError: names the wrong part, but does not repeat parts that may be secret.
    """
    expected = "expected a judge's address such as http://localhost:8000/v1"
    secret = "put the key in an environment variable and name it"
    if not re.fullmatch(r"[!-~]+", url):
        raise InputError(f"{expected} in printable ASCII characters, got others")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError(f"{expected}, got one that cannot be read") from None
    # An address may be repeated only once a password is ruled out.
    if "@" in url:
        raise InputError(f"{expected}, got one with '@' (a name or a password): {secret}")
    if "?" in url or "#" in url:
        raise InputError(f"{expected}, got one with '?' or '#': {secret}")
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"{expected}, got {url!r}")


@dataclass(frozen=True)
class ChatServer:
    """A server that answers questions.

    Attributes:
        url: address of the API, without "/chat/completions".
        key: sent as a bearer token; not in the repr.
        timeout: maximum seconds for the whole answer.
    """

    url: str
    key: str | None = field(repr=False)
    timeout: float

    def ask(self, body: dict[str, Any]) -> tuple[Any, str]:
        """Returns the parsed JSON of the answer, and its text; the key is in neither.

        Raises:
            StudyError: the server cannot be reached, refuses, redirects, or does not send JSON.
        """
        text = redact(self._post(body).decode("utf-8", "replace"), self.key)
        try:
            return json.loads(text), text
        except (ValueError, RecursionError):
            raise StudyError(f"expected JSON from the judge, got {shortened(text)}") from None

    def _post(self, body: dict[str, Any]) -> bytes:
        import httpx

        headers = {"Accept-Encoding": "identity"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        where = f"{self.url.rstrip('/')}/chat/completions"
        started = time.monotonic()
        try:
            with (
                httpx.Client(timeout=self.timeout, follow_redirects=False) as client,
                client.stream("POST", where, json=body, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise self._refused(response.status_code, response.reason_phrase)
                content = bytearray()
                for piece in response.iter_bytes():
                    content += piece
                    if len(content) > LARGEST:
                        raise StudyError(
                            f"expected at most {LARGEST:,} bytes from the judge, got more"
                        )
                    if time.monotonic() - started > self.timeout:
                        raise httpx.ReadTimeout(f"no whole answer within {self.timeout:g} s")
                return bytes(content)
        # Besides its own errors, httpx lets some of the socket's and the URL parser's through.
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            why = redact(str(error), self.key) or type(error).__name__
            # No cause: it holds the same text with the key, and --debug would print it.
            raise StudyError(
                f"the judge at {self.url} cannot be reached: {' '.join(why.split())}"
            ) from None

    def _refused(self, status: int, reason: str) -> StudyError:
        text = redact(f"the judge at {self.url} answered {status} {reason}".rstrip(), self.key)
        if 300 <= status < 400:
            text += ": redirects are not followed, give the address that it points to"
        return StudyError(text)
