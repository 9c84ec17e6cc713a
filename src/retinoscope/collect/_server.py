"""The page's routes. No part of a request is used as a file name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from ..errors import RetinoscopeError, StudyError
from ..viewer.serving import RETRY_AFTER, TOKEN_COOKIE, Guard, Limits, matches
from ._allowance import Allowance
from ._collection import Collection
from ._page import ASSETS, asset, page
from ._requests import Begin, Record

SESSION_COOKIE = "retinoscope-session"
LIMITS = Limits(body=4_000_000)
_MONTH = 30 * 24 * 3600
_log = logging.getLogger(__name__)

T = TypeVar("T")


def make_app(
    collection: Collection,
    *,
    token: str | None = None,
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
    any_address: bool = False,
    limits: Limits = LIMITS,
) -> Guard:
    """Builds the server's application; the arguments are those of `Guard`."""
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _errors(api)
    _pages(api, collection, token)
    _session_routes(api, collection)
    _trial_routes(api, collection)
    return Guard(api, token=token, names=names, any_address=any_address, limits=limits)


def _error(status: int, text: str) -> Response:
    headers = {"retry-after": RETRY_AFTER.decode()} if status in (429, 503) else None
    return JSONResponse({"error": " ".join(text.split())[:500]}, status, headers)


def _errors(api: FastAPI) -> None:
    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:5])
        return _error(400, f"{place}: {first['msg']}" if place else str(first["msg"]))

    @api.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @api.exception_handler(StudyError)
    async def failed(_: Request, error: StudyError) -> Response:
        # A fault of this machine (disk, permissions), not of the request.
        _log.error("a request failed: %s", error.__cause__ or error)
        return _error(500, str(error))

    @api.exception_handler(RetinoscopeError)
    async def refused_input(_: Request, error: RetinoscopeError) -> Response:
        return _error(400, str(error))

    @api.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        _log.error("a request failed", exc_info=error)
        return _error(500, "the server met an unexpected error; its terminal has the details")


def _pages(api: FastAPI, collection: Collection, token: str | None) -> None:
    @api.get("/")
    async def index(request: Request) -> Response:
        given = request.query_params.get("token")
        if token is not None and given is not None and matches(given, token):
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(TOKEN_COOKIE, token, httponly=True, samesite="strict")
            return response
        return Response(page(collection.options.title), media_type="text/html; charset=utf-8")

    @api.get("/{name}")
    async def front_end(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404, "there is no such page")
        return Response(asset(name), media_type=ASSETS[name])


def _session(request: Request, collection: Collection) -> int | None:
    number = request.cookies.get(SESSION_COOKIE, "")
    if not (number.isascii() and number.isdecimal() and len(number) < 17):
        return None
    return int(number) if collection.knows(int(number)) else None


def _required_session(request: Request, collection: Collection) -> int:
    session = _session(request, collection)
    if session is None:
        raise HTTPException(403, "accept the text on the first page before you begin")
    return session


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def _session_routes(api: FastAPI, collection: Collection) -> None:
    allowance = Allowance()

    @api.get("/api/welcome")
    async def welcome(request: Request) -> Response:
        return JSONResponse(
            {
                "title": collection.options.title,
                "consent": list(collection.consent),
                "consentId": collection.consent_id,
                "task": collection.options.task,
                "images": len(collection.shown),
                "radius": collection.options.radius,
                "session": _session(request, collection) is not None,
            }
        )

    @api.post("/api/session")
    async def begin(request: Request, asked: Begin) -> Response:
        if not asked.accepted or asked.consentId != collection.consent_id:
            raise HTTPException(400, "accept this text before you begin: reload the page")
        if not allowance.take("" if request.client is None else request.client.host):
            raise HTTPException(429, "too many people are starting at once: try again in a moment")
        number = await _in_thread(collection.begin)
        response = JSONResponse({"begun": True})
        response.set_cookie(
            SESSION_COOKIE, str(number), httponly=True, samesite="strict", max_age=_MONTH
        )
        return response

    @api.delete("/api/session")
    async def withdraw(request: Request) -> Response:
        session = _required_session(request, collection)
        await _in_thread(lambda: collection.withdraw(session))
        response = JSONResponse({"deleted": True})
        response.delete_cookie(SESSION_COOKIE)
        return response


def _trial_routes(api: FastAPI, collection: Collection) -> None:
    @api.get("/api/next")
    async def following(request: Request) -> Response:
        session = _required_session(request, collection)
        return JSONResponse(await _in_thread(lambda: collection.next(session)))

    @api.get("/api/images/{place}/{kind}.jpg")
    async def picture(request: Request, place: int, kind: str) -> Response:
        _required_session(request, collection)
        if kind not in ("sharp", "blurred"):
            raise HTTPException(404, "there is no such image")
        content = await _in_thread(lambda: collection.picture(place, kind == "blurred"))
        return Response(content, media_type="image/jpeg")

    @api.post("/api/trials/{place}")
    async def finish(request: Request, place: int, record: Record) -> Response:
        session = _required_session(request, collection)
        await _in_thread(lambda: collection.store(session, place, record.model_dump()))
        return JSONResponse({"done": len(await _in_thread(lambda: collection.done(session)))})

    @api.get("/api/export.zip")
    async def export(request: Request) -> Response:
        session = _required_session(request, collection)
        content = await _in_thread(lambda: collection.export(session))
        headers = {"content-disposition": 'attachment; filename="attention.zip"'}
        return Response(content, media_type="application/zip", headers=headers)
