"""The live page: routes over one model. No request names a file."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, StreamingResponse
from PIL import Image
from starlette.exceptions import HTTPException

from ..data import open_image
from ..errors import RetinoscopeError
from ..memory import is_out_of_memory
from ._clients import Clients
from ._documents import CapabilityFacts, ViewerManifest
from ._guard import CLIENT_COOKIE, RETRY_AFTER, TOKEN_COOKIE, Guard, Limits, matches
from ._json import plain, text_of
from ._library import SHOWN, THUMB, Library, jpeg_of, model_facts
from ._of_lens import lens_facts
from ._page import ASSETS, asset, page
from ._requests import (
    AttentionRequest,
    EffectRequest,
    GenerateRequest,
    LensRequest,
    RunRequest,
    SweepRequest,
    WordRequest,
)
from ._session import ClientItems, GoneError, Session, Work
from ._worker import BusyError, LateError, LeftError, ModelWorker

if TYPE_CHECKING:
    from ..engine import VLM

T = TypeVar("T")

KEPT_IMAGES, IMAGE_MEMORY = 12, 1_000_000_000
"""Maximum number of uploaded images of one client, and bytes of all clients' images."""
KEPT_DOCUMENTS = 64
KEPT_PICTURES = 256
MAX_JOBS, JOBS_OF_ONE = 64, 4
"""Maximum number of sweeps and readings under way, and of one client."""
_log = logging.getLogger(__name__)


class App:
    """State shared by the routes.

    Args:
        session: runs of the model.
        library: the run directories that the server was started with, or None.
        timeout: maximum seconds for a request, waiting included.
    """

    def __init__(
        self, session: Session, library: Library | None, limits: Limits, timeout: float
    ) -> None:
        self.session, self.library, self.limits, self.timeout = session, library, limits, timeout
        self.worker = ModelWorker()
        self.images: ClientItems[Image.Image] = ClientItems(
            KEPT_IMAGES, "image", IMAGE_MEMORY, lambda image: 3 * image.width * image.height
        )
        self.pictures: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self.clients = Clients()
        self.busy: Counter[str] = Counter()
        self.documents: OrderedDict[str, bytes] = OrderedDict()
        self.jobs: dict[str, asyncio.Event] = {}
        self._decoding = asyncio.Semaphore(2)

    def client(self, request: Request) -> str:
        """Returns the client of a request; each has its own queue, runs and images."""
        address = "" if request.client is None else request.client.host
        return self.clients.of(request.cookies.get(CLIENT_COOKIE), address)

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """Calls `work` in the model's thread."""
        return await self.worker.run(
            self.client(request), work, self.timeout, request.is_disconnected
        )

    async def decode(self, content: bytes) -> Image.Image:
        async with self._decoding:
            return await asyncio.to_thread(open_image, content, max_pixels=self.limits.pixels)

    async def document(self, request: Request, key: str) -> bytes:
        """Returns a document of the run directories; HTTPException 404 for an unknown key."""
        if key in self.documents:
            self.documents.move_to_end(key)
            return self.documents[key]
        library = self.library
        if library is None or key == "manifest":
            raise HTTPException(404, "there is no such document")
        try:
            content = await self.run(
                request, lambda: text_of(library.document(key)).encode("ascii")
            )
        except KeyError:
            raise HTTPException(404, "there is no such document") from None
        self.documents[key] = content
        while len(self.documents) > KEPT_DOCUMENTS:
            self.documents.popitem(last=False)
        return content

    async def sample_image(self, request: Request, index: int) -> Image.Image:
        library = self.library
        if library is None or not 0 <= index < len(library.ids):
            raise HTTPException(404, "there is no such image")
        image = await self.run(request, lambda: library.image(index))
        if image is None:
            raise HTTPException(404, "this sample's image could not be opened again")
        return image

    async def picture(self, request: Request, folder: str, index: int) -> bytes:
        """Returns a sample's image or thumbnail as JPEG."""
        key = folder, index
        if key not in self.pictures:
            image = await self.sample_image(request, index)
            longest = SHOWN if folder == "images" else THUMB
            self.pictures[key] = await asyncio.to_thread(jpeg_of, image, longest)
            while len(self.pictures) > KEPT_PICTURES:
                self.pictures.popitem(last=False)
            return self.pictures[key]
        self.pictures.move_to_end(key)
        return self.pictures[key]

    def manifest(self) -> ViewerManifest:
        vlm, library = self.session.vlm, self.library
        methods = [
            CapabilityFacts(method.name, method.supported, method.why)
            for method in vlm.capabilities.methods
        ]
        known = {method.name for method in methods}
        kept = library.manifest() if library is not None else None
        more = (
            [] if kept is None else [view for view in kept.capabilities if view.name not in known]
        )
        return ViewerManifest(
            mode="live",
            title=f"{vlm.name.rstrip('/').rpartition('/')[2]}, live",
            model=model_facts(vlm),
            capabilities=[*methods, *more],
            studies=() if kept is None else kept.studies,
            samples=() if kept is None else kept.samples,
            lenses=lens_facts(self.session.kinds, option="--lenses FILE"),
            mean=self.session.mean_of,
        )


def make_app(
    vlm: VLM,
    library: Library | None = None,
    *,
    token: str | None = None,
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
    any_address: bool = False,
    limits: Limits | None = None,
    timeout: float = 120.0,
    session: Session | None = None,
) -> Guard:
    """Makes the server's application.

    Args:
        vlm: the model.
        library: documents of the run directories that may be read.
        token: token that every request must present; None to require none.
        names: host names that the server answers to.
        any_address: also answer to every IP address.
        limits: limits of requests and responses.
        timeout: maximum seconds for a request, waiting included.
        session: runs of the model; made anew if None.
    """
    limits = limits or Limits()
    state = App(session or Session(vlm), library, limits, timeout)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        state.worker.close()

    api = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _errors(api)
    _pages(api, state, token)
    _library_routes(api, state)
    _live_routes(api, state)
    _jobs(api, state)
    # Outermost, so that error responses pass it as well.
    return Guard(
        api,
        token=token,
        names=names,
        any_address=any_address,
        limits=limits,
        shared=state,
        client=lambda read, address: state.clients.of(read(CLIENT_COOKIE), address),
    )


def _json(document: object, status: int = 200) -> Response:
    return Response(text_of(document), status, media_type="application/json")


def _error(status: int, text: str) -> Response:
    response = _json({"error": " ".join(text.split())[:500]}, status)
    if status in (429, 503):
        response.headers["retry-after"] = RETRY_AFTER.decode()
    return response


def _errors(api: FastAPI) -> None:
    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _error(400, "expected JSON in the body, got something else")
        place = ".".join(str(part)[:40] for part in first["loc"][1:5])
        return _error(400, f"{place}: {first['msg']}" if place else str(first["msg"]))

    @api.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @api.exception_handler(LeftError)
    async def left(_: Request, error: LeftError) -> Response:
        return _error(503, "the client left")

    async def failed(_: Request, error: Exception) -> Response:
        return _error(*_status_of(error))

    for kind in (BusyError, LateError, RetinoscopeError, Exception):
        api.add_exception_handler(kind, failed)


def _status_of(error: Exception) -> tuple[int, str]:
    """Returns an error's status and text; the server's log alone gets unexpected ones."""
    if isinstance(error, BusyError):
        return (429 if error.client else 503), str(error)
    if isinstance(error, LateError):
        return 504, str(error)
    if isinstance(error, RetinoscopeError):
        return (404 if isinstance(error, GoneError) else 400), str(error)
    if is_out_of_memory(error):
        return 507, "the model ran out of memory: choose fewer tokens or a smaller image"
    _log.error("a request failed", exc_info=error)
    return 500, "the server met an unexpected error; see its terminal for details"


def _pages(api: FastAPI, state: App, token: str | None) -> None:
    title = state.session.vlm.name.rstrip("/").rpartition("/")[2]

    @api.get("/")
    async def index(request: Request) -> Response:
        shown = request.query_params.get("token")
        if token is not None and shown is not None and matches(shown, token):
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(TOKEN_COOKIE, token, httponly=True, samesite="strict")
            return response
        response = Response(page("live", title), media_type="text/html; charset=utf-8")
        if not state.clients.of(request.cookies.get(CLIENT_COOKIE), ""):
            name = state.clients.new()
            response.set_cookie(CLIENT_COOKIE, name, httponly=True, samesite="strict")
        return response

    @api.get("/{name}")
    async def front_end(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404, "there is no such page")
        return Response(asset(name), media_type=ASSETS[name])


def _library_routes(api: FastAPI, state: App) -> None:
    @api.get("/api/manifest")
    async def manifest(request: Request) -> Response:
        if "manifest" not in state.documents:
            built = await state.run(request, state.manifest)
            state.documents["manifest"] = text_of(built).encode("ascii")
        return Response(state.documents["manifest"], media_type="application/json")

    @api.get("/api/data/{key}")
    async def data(request: Request, key: str) -> Response:
        return Response(await state.document(request, key), media_type="application/json")

    @api.get("/api/samples/{folder}/{index}.jpg")
    async def picture(
        request: Request, folder: Literal["images", "thumbs"], index: int
    ) -> Response:
        content = await state.picture(request, folder, index)
        return Response(content, media_type="image/jpeg")


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind.startswith("image/") or kind == "application/octet-stream"):
        raise HTTPException(400, "expected an image's bytes, with its Content-Type")
    return await request.body()


def _live_routes(api: FastAPI, state: App) -> None:
    session = state.session

    @api.post("/api/images")
    async def upload(request: Request, content: Annotated[bytes, Depends(_body)]) -> Response:
        start = time.perf_counter()
        name = state.images.add(await state.decode(content), state.client(request))
        return _json({"image": name, "ms": (time.perf_counter() - start) * 1000})

    @api.get("/api/images/{name}.png")
    async def show(name: str) -> Response:
        content = await asyncio.to_thread(_png, state.images[name])
        return Response(content, media_type="image/png")

    @api.post("/api/ask")
    async def ask(request: Request, asked: RunRequest) -> Response:
        start = time.perf_counter()
        if asked.image.startswith("sample-"):
            number = asked.image.removeprefix("sample-")
            if not (number.isdecimal() and len(number) < 8):
                raise HTTPException(404, "there is no such image")
            image = await state.sample_image(request, int(number))
            src = f"api/samples/images/{number}.jpg"
        else:
            image, src = state.images[asked.image], f"api/images/{asked.image}.png"
        client = state.client(request)
        name, sample, answer = await state.run(
            request, lambda: session.ask(image, asked, src, client)
        )
        ms = (time.perf_counter() - start) * 1000
        return _json({"run": name, "sample": sample, "answer": answer, "ms": ms})

    @api.post("/api/generate")
    async def generate(request: Request, asked: GenerateRequest) -> Response:
        return await timed(request, lambda: session.generate(asked))

    @api.post("/api/word")
    async def word(request: Request, asked: WordRequest) -> Response:
        return await timed(request, lambda: session.word(asked))

    @api.post("/api/attention")
    async def attention(request: Request, asked: AttentionRequest) -> Response:
        return await timed(request, lambda: session.attention(asked))

    @api.post("/api/effect")
    async def effect(request: Request, asked: EffectRequest) -> Response:
        return await timed(request, lambda: session.effect(asked))

    async def timed(request: Request, work: Callable[[], object]) -> Response:
        start = time.perf_counter()
        document = plain(await state.run(request, work))
        assert isinstance(document, dict)
        return _json({"ms": (time.perf_counter() - start) * 1000} | document)


def _png(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def _jobs(api: FastAPI, state: App) -> None:
    session = state.session

    @api.post("/api/sweep")
    async def sweep(request: Request, asked: SweepRequest) -> Response:
        return await started(request, lambda: session.sweep(asked))

    @api.post("/api/lens")
    async def lens(request: Request, asked: LensRequest) -> Response:
        return await started(request, lambda: session.lens(asked))

    async def started(request: Request, prepare: Callable[[], Work]) -> Response:
        client = state.client(request)
        if state.busy[client] >= JOBS_OF_ONE or len(state.jobs) >= MAX_JOBS:
            raise HTTPException(
                429, "too many sweeps and lenses at once: wait for one, or cancel it"
            )
        work = await state.run(request, prepare)
        return StreamingResponse(_stream(state, client, work), media_type="application/x-ndjson")

    @api.delete("/api/jobs/{name}")
    async def cancel(name: str) -> Response:
        job = state.jobs.get(name)
        if job is None:
            raise HTTPException(404, "there is no such job, or it has ended")
        job.set()
        return _json({"cancelled": name, "ms": 0})


async def _stream(state: App, client: str, work: Work) -> AsyncIterator[bytes]:
    """Yields a line as each piece is done; ends when the client leaves."""
    name, cancelled = secrets.token_hex(8), asyncio.Event()
    state.jobs[name] = cancelled
    state.busy[client] += 1
    try:
        yield _line({"job": name})
        while work.done < work.total:
            if cancelled.is_set():
                yield _line({"cancelled": True})
                return
            await state.worker.run(client, work.step, state.timeout)
            yield _line({"done": work.done, "total": work.total})
        yield _line({"result": work.document()})
    except Exception as error:
        yield _line({"error": _status_of(error)[1]})
    finally:
        state.jobs.pop(name, None)
        state.busy[client] -= 1
        if not state.busy[client]:
            del state.busy[client]


def _line(document: dict[str, Any]) -> bytes:
    return (json.dumps(plain(document), allow_nan=False) + "\n").encode("ascii")
