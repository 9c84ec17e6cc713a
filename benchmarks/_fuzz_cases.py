"""Requests that no page would send, each drawn from its own number, so that one can be repeated."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image


@dataclass(frozen=True)
class Known:
    """What valid requests name: an image and a run that `serve` keeps, or a session of `collect`.

    Attributes:
        consent: hash of the text that was accepted; empty for `serve`.
    """

    image: str = ""
    run: str = ""
    token: str | None = None
    cookie: str = ""
    consent: str = ""


@dataclass(frozen=True)
class Case:
    """What is sent on one connection.

    Attributes:
        whole: a complete request, or what cannot become one: an answer is due. Of the others the
            client breaks off.
    """

    kind: str
    sent: bytes
    whole: bool = True


VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 7, 2**31, 2**63, 10**30, -(10**30), 10**400, 0.5, 1e308),
    *(float("nan"), float("-inf"), "", " ", "x", "1", "\x00", "\ud800", "\u202e", "9" * 5_000),
    *("../../etc/passwd", "<script>alert(1)</script>", "last", "question", "<image>", "😀" * 999),
    *([], {}, [[]], [None], ["x"], [-1], [0], [10**9], [1e9], {"a": {}}, [0] * 70_000),
)
TRAVERSALS = (
    *("..", "%2e%2e", "..%2f", "..%5c", "..\\", "%252e%252e", "..;", ".%00.", "%c0%ae%c0%ae"),
    *("//", "/./", "%2f", "etc/passwd", "proc/self/environ", "C:%5cwin.ini", "%00", "~", "file:"),
    *("\xff", "%ff", "%", "%zz", "?token=", "#", ";x=1", "x" * 3_000, "_server.py", ".git/config"),
)
PLACES = (
    *("/", "/viewer.js", "/viewer.css", "/api/manifest", "/api/data/", "/api/data/sample-0"),
    *("/api/data/lens-3", "/api/data/attention-1", "/api/data/table-", "/api/samples/images/0.jpg"),
    *("/api/welcome", "/api/next", "/api/images/1/sharp.jpg", "/api/export.zip", "/api/trials/"),
    *("/api/samples/thumbs/0.jpg", "/api/images/", "/api/jobs/", "/api/ask", "/docs", "/static/"),
)
NUMBERS = ("-1", "00", "1e9", "9" * 30, "0x1", "%31", "\u0661".encode().decode("latin-1"), "1.0")
METHODS = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"),
    *("PROPFIND", "X" * 200, "G\x00T", "", "GET GET"),
)
HOSTS = (
    *("127.0.0.1", "localhost", "LOCALHOST:80", "[::1]", "127.0.0.1:1:2", "evil.example", ""),
    *("127.0.0.1@evil.example", "evil.example@127.0.0.1", "127.0.0.1/x", "127.0.0.1 ", "[::1"),
    *("127.1", "2130706433", "0x7f.1", "127.0.0.1.evil.example", "\xff", "a" * 5_000, "[::1]:x"),
)
LENGTHS = (
    *("-1", "+5", "5, 5", "1e3", "0x5", "", " ", "5 5", "9" * 18, "9" * 40, "\xb2", "05", "5;"),
)
CODINGS = ("chunked", "Chunked", "identity", "gzip, chunked", "chunked, chunked", " chunked", "x")
CHUNKS = (
    *(b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"-1\r\n\r\n", b"ffffffffffffffffff\r\nx"),
    *(
        b"zz\r\nx\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"0\r\n\r\n",
        b"5\nhello\n0\n\n",
    ),
    *(b"5" + b";x" * 9_000 + b"\r\nhello\r\n", b"\r\n" * 50, b"00000000000000005\r\nhello\r\n"),
)
HEADS = (
    *(
        "Origin: null",
        "Origin: http://evil.example",
        "Origin: \xff",
        "Origin: http://[",
        "Cookie: =",
    ),
    *("Cookie: retinoscope-client=" + "x" * 4_000, 'Cookie: a="\\', "Cookie: \x80;;;=,", "Cookie:"),
    *("Sec-Fetch-Site: cross-site", "Expect: 100-continue", "Expect: x", "Upgrade: websocket"),
    *("Upgrade: h2c\r\nConnection: Upgrade", "Connection: \x0bclose", "Range: bytes=0-,-1,5-2"),
    *("X: " + "y" * 40_000, "\r\n".join(f"X-{n}: y" for n in range(400)), "No colon", ": empty"),
    *("X: a\r\n b: folded", "X\x00Y: z", "X: \x00", "Content-Type: \xff/x; charset=none", "Te: x"),
    *("Content-Type: multipart/form-data", "Content-Encoding: gzip", "Authorization: Basic ="),
    *("X-Forwarded-For: ../..", "X-Forwarded-Host: evil.example", "X-HTTP-Method-Override: PUT"),
    *("Accept: " + "*/*," * 2_000, "If-None-Match: *", 'Forwarded: for="_x"', "Date: never"),
)
TEXTS = (
    *("Describe the image.", "<image>", "<image><image>", "<pad><s></s>", "ASSISTANT:", "\n\t "),
    *(
        "word " * 800,
        "\x00",
        "\u202eabc",
        "é" * 4_000,
        "q" * 4_000,
        "{{ 7 * 7 }}",
        "%s%n",
        "日本語",
    ),
)


def plain(path: str, known: Known, method: str = "GET", body: bytes = b"", kind: str = "") -> bytes:
    """A request as it should be; the connection ends after the answer."""
    lines = [f"{method} {path} HTTP/1.1", *_heads(known)]
    if method == "POST":
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return head(*lines) + body


def head(*lines: str) -> bytes:
    """A request's head; what is not ASCII goes out as it is."""
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def posted(name: str, body: object, known: Known) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return plain(f"/api/{name}", known, "POST", text, "application/json")


def _path(rng: random.Random, known: Known) -> Case:
    parts = rng.choices((*TRAVERSALS, *NUMBERS, known.run, known.image), k=rng.randint(1, 4))
    path = rng.choice(PLACES) + rng.choice(("", "/")).join(parts) + rng.choice(("", ".png", ".jpg"))
    if rng.random() < 0.2:
        path = rng.choice(("http://evil.example", "*", "", "//evil.example", "a:b")) + path
    return Case("path", plain(path, known, rng.choice(("GET", "GET", "HEAD", "DELETE"))))


def _method(rng: random.Random, known: Known) -> Case:
    path = rng.choice(PLACES) + rng.choice(("", known.run, known.image + ".png"))
    version = rng.choice(("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "HTTP/1.1 x", "ICY", ""))
    sent = head(f"{rng.choice(METHODS)} {path} {version}", *_heads(known), "Content-Length: 0")
    return Case("method", sent)


def _heads(known: Known) -> list[str]:
    own = [] if known.token is None else [f"X-Retinoscope-Token: {known.token}"]
    own += [f"Cookie: {known.cookie}"] * bool(known.cookie)
    return ["Host: 127.0.0.1", "Connection: close", *own]


def _headers(rng: random.Random, known: Known) -> Case:
    lines = [*_heads(known), *rng.choices(HEADS, k=rng.randint(1, 3))]
    rng.shuffle(lines)
    return Case("headers", head(f"GET {rng.choice(PLACES)} HTTP/1.1", *lines))


def _host(rng: random.Random, known: Known) -> Case:
    hosts = [f"Host: {host}" for host in rng.choices(HOSTS, k=rng.choice((0, 1, 1, 1, 2)))]
    lines = [*hosts, *_heads(known)[1:]]
    return Case("host", head(f"GET {rng.choice(PLACES)} HTTP/1.1", *lines))


def _length(rng: random.Random, known: Known) -> Case:
    """Lengths and codings that contradict each other or the body."""
    path = rng.choice(("ask", "effect", "images", "manifest", "trials/1"))
    lines = [f"Content-Length: {one}" for one in rng.choices(LENGTHS, k=rng.choice((0, 1, 1, 2)))]
    lines += [f"Transfer-Encoding: {one}" for one in rng.choices(CODINGS, k=rng.choice((0, 1, 2)))]
    kind = rng.choice(("application/json", "image/png"))
    method = rng.choice(("POST", "POST", "GET", "DELETE"))
    begun = head(f"{method} /api/{path} HTTP/1.1", *_heads(known), f"Content-Type: {kind}", *lines)
    body = rng.choice(CHUNKS) if rng.random() < 0.8 else rng.randbytes(rng.randint(0, 99))
    return Case("length", begun + body, whole=False)


def _pipelined(rng: random.Random, known: Known) -> Case:
    """Several at once, some of them inside another's body for whoever counts otherwise."""
    inner = plain(rng.choice(PLACES), known)
    first = head(f"GET {rng.choice(PLACES)} HTTP/1.1", *_heads(known)[::2]) * rng.randint(0, 8)
    smuggled = head(
        "POST /api/ask HTTP/1.1",
        *_heads(known)[::2],
        f"Content-Length: {rng.choice((0, 4, 5, len(inner)))}",
        *rng.choice(((), ("Transfer-Encoding: chunked",), ("Content-Length: 6",))),
    )
    both = smuggled + rng.choice((b"", b"0\r\n\r\n", b"{}")) + inner
    return Case("pipelined", first + rng.choice((inner, both)), whole=False)


def _cut(rng: random.Random, known: Known) -> Case:
    """A good request, of which only a part arrives."""
    name, body = rng.choice(list(_bodies(rng, known).items()))
    whole = rng.choice((posted(name, body, known), _upload(rng, known).sent))
    return Case("cut", whole[: rng.randrange(len(whole))], whole=False)


def _noise(rng: random.Random, known: Known) -> Case:
    del known
    first = rng.choice(
        (b"", b"GET ", b"POST /api/ask HTTP/1.1\r\n", b"\x16\x03\x01", b"PRI * HTTP")
    )
    return Case("noise", first + rng.randbytes(rng.randint(1, 4_000)) + b"\r\n\r\n", whole=False)


def _bodies(rng: random.Random, known: Known) -> dict[str, dict[str, Any]]:
    """A body of every endpoint; most of what it names is there, not all."""

    def some(most: int) -> list[int]:
        return [rng.randint(0, most) for _ in range(rng.randint(1, 12))]

    if known.consent:
        return _records(rng, known)
    layers = sorted(rng.choices(range(7), k=2))
    span = layers if rng.random() < 0.9 else layers[::-1]
    target = rng.choice(("last", "question", some(170)))
    heads = rng.choice((None, [0], [0, 1, 2], some(9)))
    edits = [
        {"kind": "ablate", "tokens": some(150), "fill": rng.choice(("mean", "zero", "noise"))},
        {"kind": "knockout", "tokens": some(150), "target": target, "layers": span, "heads": heads},
        {"kind": "patch", "tokens": some(150), "layers": span, "donor": known.run},
    ]
    edits = rng.sample(edits, rng.randint(1, 3))
    text, run = rng.choice(TEXTS), {"run": known.run}
    image = rng.choice((known.image, known.image, "sample-2", "sample-99"))
    return {
        "ask": {
            "image": image,
            "question": text,
            "prefill": rng.choice((None, *TEXTS)),
            "raw": False,
        },
        "generate": run | {"edits": edits, "max_new_tokens": rng.randint(1, 5)},
        "lens": run | {"top_k": rng.randint(1, 20)},
        "word": run | {"word": text[:100]},
        "attention": run | {"query": rng.randint(-1, 200)},
        "effect": run | {"edits": edits, "word": rng.choice((None, "cat", text[:100]))},
        "sweep": run | {"tokens": some(150), "target": target, "width": rng.randint(1, 8)},
    }


def _records(rng: random.Random, known: Known) -> dict[str, dict[str, Any]]:
    """Bodies of the page that collects where people look."""
    times = sorted(rng.uniform(0, 1) for _ in range(rng.randint(1, 30)))
    record = {
        "task": rng.choice(("describe", "read")),
        "positions": [[time, rng.uniform(-9, 300), rng.uniform(-9, 300)] for time in times],
        "pauses": [],
        "words": [{"text": rng.choice(TEXTS)[:400] or "a", "start": 0.1, "end": 0.4}],
        "end": 1.0,
        "instruments": [rng.choice(("mouse", "touch", "pen", "keyboard"))],
    }
    place = rng.choice(("0", "1", "2", "3", "9", "-1", "9" * 30, "x", "%00"))
    begin = {"accepted": True, "consentId": known.consent}
    return {"session": begin, f"trials/{place}": record}


def _field(rng: random.Random, known: Known) -> Case:
    """A wrong value somewhere in a body, a field too many, or one missing."""
    name, body = rng.choice(list(_bodies(rng, known).items()))
    place: Any = body
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        deeper = place[key]
        if not isinstance(deeper, dict | list) or not deeper or rng.random() < 0.3:
            break
        place = deeper
    how = rng.random()
    if how < 0.1:
        del place[key]
    elif how < 0.2 and isinstance(place, dict):
        place[rng.choice(("path", "__class__", "model", "x" * 500, "\ud800"))] = rng.choice(VALUES)
    else:
        place[key] = rng.choice(VALUES)
    return Case("field", posted(name, body, known))


def _valid(rng: random.Random, known: Known) -> Case:
    """Of the right types; whether the run has such tokens and layers is drawn."""
    name, body = rng.choice(list(_bodies(rng, known).items()))
    if name == "ask":
        body["raw"] = rng.random() < 0.5
    return Case("valid", posted(name, body, known))


def _json(rng: random.Random, known: Known) -> Case:
    name, body = rng.choice(list(_bodies(rng, known).items()))
    text = json.dumps(body).encode()
    spot = rng.randrange(len(text))
    made: tuple[Callable[[], bytes], ...] = (
        lambda: text[:spot],
        lambda: text[:spot] + rng.randbytes(3) + text[spot:],
        lambda: b"[" * rng.choice((10, 1_000, 100_000)),
        lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        lambda: b"\xef\xbb\xbf" + text,
        lambda: text.decode().encode("utf-16"),
        lambda: text + text,
        lambda: b'{"run": 1' + b"0" * 50_000 + b"}",
        lambda: b"",
        lambda: json.dumps(rng.choice(VALUES)).encode(),
        lambda: rng.randbytes(rng.randint(1, 2_000)),
        lambda: text.replace(b'":', b'": NaN, "x":', 1),
        lambda: b" " * 999_000 + text,
        lambda: b" " * 1_100_000,
    )
    sent = plain(f"/api/{name}", known, "POST", rng.choice(made)(), "application/json")
    if rng.random() < 0.2:
        kind = rng.choice(
            (b"text/plain", b"application/xml", b"application/json; charset=utf-7", b"")
        )
        sent = sent.replace(b"application/json", kind, 1)
    return Case("json", sent)


def png(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _claiming(width: int, height: int, content: bytes = b"", bits: int = 8, kind: int = 2) -> bytes:
    """A PNG that says a size, whatever its content is."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    told = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    begun = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", told)
    return begun + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


def _upload(rng: random.Random, known: Known) -> Case:
    """An image that is none, half of one, or one of an odd size or kind."""
    size = rng.choice(((8, 8), (1, 1), (144, 144), (3, 700), (700, 3), (1, 20_000), (40, 3_000)))
    mode = rng.choice(("RGB", "L", "1", "P", "RGBA", "LA", "I;16"))
    image = Image.new(mode, size, rng.randrange(2))
    kinds = ["PNG"] if mode in ("LA", "I;16", "RGBA", "P") else ["PNG", "BMP", "TIFF", "GIF"]
    good = png(image, rng.choice(kinds))
    spot = rng.randrange(len(good))
    n = rng.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1))
    made: tuple[Callable[[], bytes], ...] = (
        lambda: good,
        lambda: good,
        lambda: good[:spot],
        lambda: good[:spot] + bytes([good[spot] ^ 1 << rng.randrange(8)]) + good[spot + 1 :],
        lambda: good[:40] + rng.randbytes(200),
        lambda: _claiming(n, rng.choice((1, n)), b"\x00" * 1_000),
        lambda: _claiming(9, 9, b"\x00" * 9, rng.randrange(20), rng.randrange(9)),
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        lambda: b"8BPS\x00\x01" + rng.randbytes(100),
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        lambda: b"GIF89a" + rng.randbytes(60),
        lambda: b"\xff\xd8\xff\xe0" + rng.randbytes(300),
        lambda: b"RIFF\xff\xff\xff\xffWEBPVP8 " + rng.randbytes(99),
        lambda: b"P6 99999 99999 255\n",
        lambda: b"II*\x00\x08\x00\x00\x00" + rng.randbytes(200),
        lambda: rng.randbytes(rng.randint(0, 5_000)),
    )
    kind = rng.choice(
        ("image/png", "image/png", "application/octet-stream", "image/\xff", "text/css")
    )
    return Case("image", plain("/api/images", known, "POST", rng.choice(made)(), kind))


def _token(rng: random.Random, known: Known) -> Case:
    """Without the token, or with almost it."""
    right = known.token or "none"
    wrong = rng.choice((right[:-1], right + "x", right.upper() + "x", "", "\xff", "x" * 9_000, "*"))
    shown = rng.choice(
        (f"X-Retinoscope-Token: {wrong}", f"Cookie: retinoscope-token={wrong}", "Accept: */*")
    )
    query = rng.choice(("", f"?token={wrong}", "?token=", "?token=%00&token=x", f"?TOKEN={wrong}"))
    path = rng.choice(PLACES).replace(" ", "") + query.replace("\xff", "%ff")
    return Case(
        "token", head(f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", shown)
    )


DRAWN: tuple[Callable[[random.Random, Known], Case], ...] = (
    *(_path, _method, _headers, _host, _length, _pipelined, _cut, _noise, _token),
    *(_field, _field, _field, _valid, _valid, _json, _upload, _upload),
)
"""Fields and images come more often: they have the most to be wrong about."""


def drawn(number: int, seed: int, known: Known) -> Case:
    """Request `number`; the same for the same names."""
    rng = random.Random(f"{seed}-{number}")
    return rng.choice(DRAWN)(rng, known)
