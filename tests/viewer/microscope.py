"""The page as its user sees it: press, type, drop, read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from chromium import Visitor
from PIL import Image
from serving import serving_app

import retinoscope as rs
from retinoscope.viewer._library import Library
from retinoscope.viewer._reopen import Reopened
from retinoscope.viewer._server import make_app
from retinoscope.viewer._session import Session

_VISIBLE = "[...document.querySelectorAll({selector})].filter((one) => one.offsetParent)"


class Microscope(Visitor):
    """A tab that shows the microscope."""

    def size(self, width: int, height: int) -> None:
        self.page.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str) -> None:
        # Another address of the same page would only be a change of its state.
        self.page.open("about:blank#")
        self.page.open(url)

    def press(self, text: str, selector: str = "button") -> None:
        """The first button (tab, chip) whose text starts with `text`."""
        found = (
            f"{_VISIBLE.format(selector=json.dumps(selector))}"
            f".find((one) => one.textContent.trim().startsWith({json.dumps(text)}))"
        )
        self.act(found, "one.click()")

    def ask(self, question: str) -> None:
        self.act(
            "document.querySelector('.ask input')",
            f"one.value = {json.dumps(question)}; one.form.requestSubmit()",
        )

    def answer(self) -> str:
        return self.wait("document.querySelector('blockquote.answer')?.textContent")

    def verdict(self, text: str) -> str:
        """What the page says of the edit, once that has `text` in it."""
        verdict = "document.querySelector('.verdict')?.textContent"
        return self.wait(f"({verdict} ?? '').includes({json.dumps(text)}) && {verdict}")

    def drop(self, image: Image.Image) -> None:
        """Drops a file with the image on the page."""
        width, height = image.size
        pixels = json.dumps(list(image.convert("RGBA").tobytes()))
        self.wait("!!document.querySelector('.drop')")
        self.page.run(
            "(async () => { const canvas = document.createElement('canvas');"
            f"canvas.width = {width}; canvas.height = {height};"
            f"canvas.getContext('2d').putImageData(new ImageData(new Uint8ClampedArray({pixels}),"
            f"{width}, {height}), 0, 0);"
            "const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));"
            "const data = new DataTransfer();"
            "data.items.add(new File([blob], 'dropped.png', { type: 'image/png' }));"
            "document.querySelector('.drop').dispatchEvent("
            "new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); })()"
        )

    def point(self, place: tuple[float, float], *, click: bool = False, stage: int = 0) -> None:
        """Moves the pointer over an image, or clicks there; the place as shares of its sides."""
        x, y, width, height = self.wait(
            f"(() => {{ const r = document.querySelectorAll('.stage')[{stage}]"
            "?.getBoundingClientRect(); return r?.width && [r.x, r.y, r.width, r.height]; })()"
        )
        at = {"x": x + place[0] * width, "y": y + place[1] * height}
        button = {"button": "left", "clickCount": 1}
        self.page.send("Input.dispatchMouseEvent", type="mouseMoved", **at)
        if click:
            self.page.send("Input.dispatchMouseEvent", type="mousePressed", **at, **button)
            self.page.send("Input.dispatchMouseEvent", type="mouseReleased", **at, **button)

    def choose(self, label: str, value: str) -> None:
        """Chooses an option of the select box in a label."""
        self.act(
            f"{_VISIBLE.format(selector=json.dumps('label.inline'))}"
            f".find((one) => one.textContent.startsWith({json.dumps(label)}))"
            f"?.querySelector('option[value={json.dumps(value)}]')",
            "one.selected = true; one.parentElement.dispatchEvent(new Event('change'))",
        )

    def paint(self, box: tuple[float, float, float, float]) -> None:
        """Draws a box over a part of the image; its corners as shares of the image's sides."""
        self.press("Box")
        x, y, width, height = self.wait(
            "(() => { const r = document.querySelector('.stage canvas')?.getBoundingClientRect();"
            "return r?.width && [r.x, r.y, r.width, r.height]; })()"
        )
        start, end = ((x + a * width, y + b * height) for a, b in (box[:2], box[2:]))
        for kind, (px, py) in (
            *(("mouseMoved", start), ("mousePressed", start)),
            *(("mouseMoved", end), ("mouseReleased", end)),
        ):
            self.page.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=px,
                y=py,
                button="none" if kind == "mouseMoved" else "left",
                buttons=0 if kind == "mouseReleased" else 1,
                clickCount=1,
            )


@contextmanager
def live(
    vlm: rs.VLM, samples: rs.data.Scenes, lenses: Sequence[rs.lens.Kind] = ()
) -> Iterator[str]:
    """The address of a server that begins with `samples`."""
    library = Library(
        [],
        Reopened(vlm, samples=samples),
        mode="live",
        n_lens=len(samples),
        image_src=lambda folder, index: f"api/samples/{folder}/{index}.jpg",
    )
    session = Session(vlm, samples, lenses)
    with serving_app(make_app(vlm, library, session=session)) as served:
        yield f"{served.url}/"
