"""Checks on every request before it reaches a route, and security headers of responses."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._clients import Receiving

TOKEN_HEADER, TOKEN_COOKIE = b"x-retinoscope-token", "retinoscope-token"
CLIENT_COOKIE = "retinoscope-client"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)

RETRY_AFTER = b"1"
"""Seconds after which the page repeats a request that was refused for now (429, 503)."""


@dataclass(frozen=True)
class Limits:
    """Limits in bytes and seconds.

    Attributes:
        upload, body: maximum size of an image and of any other body, in bytes.
        pixels: maximum number of pixels of an image.
        reading: maximum seconds for a request's body to arrive.
        writing: maximum seconds for the client to take each piece of a response.
        uploads: maximum number of images received from one client at the same time.
        receiving: maximum bytes of bodies held in memory, of all clients; a client may hold a
            quarter of it, or one upload.
    """

    upload: int = 20_000_000
    body: int = 1_000_000
    pixels: int = 16_000_000
    reading: float = 30.0
    writing: float = 60.0
    uploads: int = 8
    receiving: int = 256_000_000


class Guard:
    """Checks host, origin, token, size and pace of requests; adds security headers to responses.

    Args:
        token: token that a request must present; None to require none.
        names: host names that the server answers to.
        any_address: also answer to every IP address in the Host header. A name that an attacker
            points at this machine (DNS rebinding) is a name, never an address.
        shared: object shared by the routes behind the guard.
        client: returns the client of a request, given a reader of its cookies and its address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        names: Iterable[str],
        any_address: bool,
        limits: Limits,
        shared: object = None,
        client: Callable[[Callable[[str], str | None], str], str] = lambda _, address: address,
    ) -> None:
        self._app, self._token, self._limits = app, token, limits
        self.shared = shared
        self._names = frozenset(name.lower() for name in names)
        self._any_address = any_address
        self._client = client
        share = max(limits.receiving // 4, limits.upload)
        self._receiving = Receiving(limits.receiving, share, limits.uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        started: list[bool] = []
        guarded = self._sending(send, started)
        try:
            await self._answered(scope, receive, guarded)
        except asyncio.CancelledError:
            # The server is stopping; an unanswered request would keep it from doing so.
            if started:
                raise
            await _answer(guarded, 503, "the server is stopping")

    async def _answered(self, scope: Scope, receive: Receive, guarded: Send) -> None:
        headers = _headers(scope)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _answer(guarded, *refused)
            return
        if scope["method"] in ("GET", "HEAD", "DELETE"):
            if _length(headers) not in (0, None) or b"transfer-encoding" in headers:
                await _answer(guarded, 400, "expected a request without a body")
                return
            await self._app(scope, receive, guarded)
            return
        address = scope["client"][0] if scope.get("client") else ""
        client = self._client(partial(cookie, headers), address)
        if scope["path"] != "/api/images":
            await self._received(scope, headers, receive, guarded, client, self._limits.body)
        elif self._receiving.begin(client):
            try:
                await self._received(scope, headers, receive, guarded, client, self._limits.upload)
            finally:
                self._receiving.end(client)
        else:
            await _answer(guarded, 429, "too many uploads at once: try again in a moment")

    async def _received(
        self,
        scope: Scope,
        headers: dict[bytes, list[bytes]],
        receive: Receive,
        send: Send,
        client: str,
        most: int,
    ) -> None:
        """Receives the body and passes the request on, within the client's share of memory."""
        body = bytearray()
        try:
            if await self._body(headers, receive, most, send, body, client):
                await self._app(scope, _replayed(bytes(body), receive), send)
        finally:
            self._receiving.release(client, len(body))

    def _refusal(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> tuple[int, str] | None:
        hosts = headers.get(b"host", [])
        host = _host(hosts[0]) if len(hosts) == 1 else None
        if host is None or not self._known(host):
            return 400, "this server does not answer to that host name"
        origins = headers.get(b"origin", [])
        if any(not _same_origin(origin, hosts[0]) for origin in origins):
            return 400, "requests from other sites are refused"
        foreign = any(b"cross-site" in value for value in headers.get(b"sec-fetch-site", []))
        # Following a link to the page itself is allowed.
        if foreign and scope["path"] != "/":
            return 400, "requests from other sites are refused"
        if b"content-length" in headers and b"transfer-encoding" in headers:
            return 400, "expected a body with a length or in chunks, got both"
        if self._token is None or self._shows_token(scope, headers):
            return None
        return 401, "a token is needed: open the address that the server printed when it started"

    def _known(self, host: str) -> bool:
        if host in self._names:
            return True
        return self._any_address and _address(host) is not None

    def _shows_token(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> bool:
        assert self._token is not None
        shown = [value.decode("latin-1") for value in headers.get(TOKEN_HEADER, [])]
        shown += [value for value in [cookie(headers, TOKEN_COOKIE)] if value is not None]
        if scope["path"] == "/":
            query = parse_qs(scope["query_string"].decode("latin-1"))
            shown += query.get("token", [])
        return any(matches(value, self._token) for value in shown)

    async def _body(
        self,
        headers: dict[bytes, list[bytes]],
        receive: Receive,
        most: int,
        send: Send,
        body: bytearray,
        client: str,
    ) -> bool:
        """Fills `body`, counting its bytes; returns False if it was refused or the client left."""
        length = _length(headers)
        if length == -1:
            await _answer(send, 400, "expected one Content-Length, a whole number")
            return False
        if length is not None and length > most:
            await _answer(send, 413, f"expected at most {most:,} bytes, got {length:,}")
            return False
        try:
            async with asyncio.timeout(self._limits.reading):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return False
                    piece = message.get("body", b"")
                    if not self._receiving.hold(client, len(piece)):
                        await _answer(send, 429, "too much at once: try again in a moment")
                        await _answer(send, 429, "too much data at once: try again in a moment")
                    body += piece
                    if len(body) > most:
                        await _answer(send, 413, f"expected at most {most:,} bytes, got more")
                        return False
                    if not message.get("more_body", False):
                        return True
        except TimeoutError:
            reading = self._limits.reading
            await _answer(send, 400, f"the request did not arrive within {reading:g} seconds")
            return False

    def _sending(self, send: Send, started: list[bool]) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(True)
                own = {name.lower() for name, _ in message.get("headers", [])}
                added = [(name, value) for name, value in HEADERS if name not in own]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            # A client that reads nothing must not keep its response open for ever.
            async with asyncio.timeout(self._limits.writing):
                await send(message)

        return guarded


def matches(shown: str, token: str) -> bool:
    """Compares in a time that does not depend on where they differ."""
    return secrets.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def cookie(headers: dict[bytes, list[bytes]], name: str) -> str | None:
    """Returns a cookie's value; None if there is none, or the header is not a valid one."""
    for line in headers.get(b"cookie", []):
        try:
            morsel = SimpleCookie(line.decode("latin-1")).get(name)
        except CookieError:
            continue
        if morsel is not None:
            return morsel.value
    return None


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        by_name.setdefault(name.lower(), []).append(value)
    return by_name


def _length(headers: dict[bytes, list[bytes]]) -> int | None:
    """Returns Content-Length; None if absent, -1 if repeated or not a number."""
    values = headers.get(b"content-length", [])
    if not values:
        return None
    text = values[0].decode("latin-1")
    if len(values) > 1 or not (text.isascii() and text.isdecimal() and len(text) < 19):
        return -1
    return int(text)


_HOST = re.compile(rb"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?", re.IGNORECASE)


def _host(header: bytes) -> str | None:
    """Returns the host of a Host header without its port; None if the header is malformed."""
    match = _HOST.fullmatch(header)
    return None if match is None else (match[1] or match[2]).decode("ascii").lower()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _same_origin(origin: bytes, host: bytes) -> bool:
    """Whether an Origin header names the requested host."""
    try:
        parts = urlsplit(origin.decode("ascii"))
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower().encode() == host.lower()


def _replayed(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # The rest of a refused body is not read.
    headers.append((b"connection", b"close"))
    if status in (429, 503):
        headers.append((b"retry-after", RETRY_AFTER))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
