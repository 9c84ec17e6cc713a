"""The page in a notebook: the same views of a run, a lens or effects in memory."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..engine import Effects, Run
from ..errors import InputError, MissingExtraError, RetinoscopeError
from ..lens import Lens
from ._documents import CapabilityFacts, LensFacts, SampleFacts, ViewerManifest
from ._json import plain
from ._library import SHOWN, model_facts
from ._of_lens import Reading, lens_document, lens_facts, read_lens
from ._of_run import attention_of
from ._page import asset

if TYPE_CHECKING:
    from anywidget import AnyWidget

    from ._session import Session, Work


def show(thing: object) -> AnyWidget:
    """Returns a notebook widget of a run, a lens or effects.

    The widget asks this process for what it needs: words, attention rows, edits and their answers.

    Raises:
        InputError: `thing` is something else, or a lens whose run no longer exists.
        MissingExtraError: the extra "notebook" is not installed.
    """
    if isinstance(thing, Effects):
        return _widget(thing.run, "effects", _of_effects(thing))
    if isinstance(thing, Run):
        return _widget(thing, "image", {"lens-0": read_lens(thing)})
    if isinstance(thing, Lens):
        run = thing.of
        if not isinstance(run, Run):
            raise InputError(
                "expected a lens whose run still exists, got one without: keep the run in a "
                "variable"
            )
        return _widget(run, "lens", {"lens-0": lens_document(thing)}, thing)
    raise InputError(
        f"expected a run, its lens or its effects to show, got a {type(thing).__name__}"
    )


def documents_of(
    run: Run, more: Mapping[str, object], session: Session, name: str, given: Lens | None
) -> dict:
    """Returns all documents that the page reads at the start, by key."""
    from ._session import live_sample

    capabilities = run.vlm.capabilities.methods
    sample = live_sample(run, name, _data_url(run))
    manifest = ViewerManifest(
        mode="widget",
        title=run.vlm.name.rstrip("/").rpartition("/")[2],
        model=model_facts(run.vlm),
        capabilities=[CapabilityFacts(m.name, m.supported, m.why) for m in capabilities],
        studies=(),
        samples=[SampleFacts(0, name, run.prompt.text, None, (), {})],
        lenses=_lenses(session, given),
        mean=session.mean_of,
    )
    documents: dict[str, object] = {"manifest": manifest, "sample-0": replace(sample, index=0)}
    if run.vlm.capabilities.supports("attention"):
        documents["attention-0"] = attention_of(run)
    return {key: plain(document) for key, document in (documents | dict(more)).items()}


def _lenses(session: Session, given: Lens | None) -> list[LensFacts]:
    """Returns the kinds of lens; the page begins with the first, whose document is `lens-0`."""
    facts = lens_facts(session.kinds)
    if given is None:
        return facts
    return [LensFacts(given.kind, True), *(one for one in facts if one.name != given.kind)]


def _of_effects(effects: Effects) -> dict[str, object]:
    table = effects.to_frame()
    columns = [{"name": name, "kind": "text", "unit": ""} for name in table.column_names]
    rows = [[row[name] for name in table.column_names] for row in table.to_pylist()]
    return {"effects": {"columns": columns, "rows": rows, "note": "one row per condition"}}


def _data_url(run: Run) -> str:
    if not run.prompt.images:
        return ""
    small = run.prompt.images[0].copy()
    small.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode("ascii")


def _widget(
    run: Run, view: str, more: Mapping[str, object], given: Lens | None = None
) -> AnyWidget:
    try:
        import anywidget
        import traitlets

        from ._requests import RunRequest
        from ._session import Live, Session
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "notebook") from error

    class Microscope(anywidget.AnyWidget):
        """The page over one run."""

        _esm = asset("widget.js").decode("utf-8")
        _css = asset("viewer.css").decode("utf-8")
        documents = traitlets.Dict().tag(sync=True)
        view = traitlets.Unicode().tag(sync=True)
        run = traitlets.Unicode().tag(sync=True)

    session = Session(run.vlm)
    prompt = run.prompt
    # `model_construct` skips validation: the run exists, however long its text is.
    asked = RunRequest.model_construct(
        image="widget", question=prompt.text, prefill=prompt.prefill, raw=False
    )
    live = Live(run, asked)
    if given is not None:
        live.readings[given.kind] = Reading([lambda: given], given.ids.shape[-1])
    name = session.runs.add(live)
    documents = documents_of(run, more, session, name, given)
    widget = Microscope(documents=documents, view=view, run=name)
    calls = calls_of(session)

    def answer(widget: Any, content: object, buffers: object) -> None:
        widget.send(reply_to(calls, content))

    widget.on_msg(answer)
    return widget


def calls_of(session: Session) -> dict[str, Callable[[object], object]]:
    """Returns the functions that the page may call, by the server's paths."""
    from ._requests import (
        AttentionRequest,
        EffectRequest,
        GenerateRequest,
        LensRequest,
        SweepRequest,
        WordRequest,
    )

    def finished(work: Work) -> object:
        while work.done < work.total:
            work.step()
        return work.document()

    def sweep(body: object) -> object:
        return {"result": finished(session.sweep(SweepRequest.model_validate(body)))}

    return {
        "/api/lens": lambda body: finished(session.lens(LensRequest.model_validate(body))),
        "/api/word": lambda body: session.word(WordRequest.model_validate(body)),
        "/api/attention": lambda body: session.attention(AttentionRequest.model_validate(body)),
        "/api/effect": lambda body: session.effect(EffectRequest.model_validate(body)),
        "/api/generate": lambda body: session.generate(GenerateRequest.model_validate(body)),
        "/api/sweep": sweep,
    }


def reply_to(calls: Mapping[str, Callable[[object], object]], content: object) -> dict:
    """Returns the widget's reply to a message of the page."""
    from pydantic import ValidationError

    message = content if isinstance(content, Mapping) else {}
    reply = {"kind": "reply", "id": message.get("id")}
    call = calls.get(str(message.get("path")))
    if call is None:
        return {**reply, "ok": False, "body": {"error": "there is no such call"}}
    try:
        return {**reply, "ok": True, "body": plain(call(message.get("body")))}
    except ValidationError as error:
        text = error.errors()[0]["msg"]
    except RetinoscopeError as error:
        text = str(error)
    return {**reply, "ok": False, "body": {"error": text}}
