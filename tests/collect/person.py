"""Somebody who takes part: presses, types, moves the mouse; in a real browser."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

VIEWER = Path(__file__).parents[1] / "viewer"


def load(name: str) -> Any:
    """A module of the viewer's tests, which drive the same browser."""
    unique = f"viewer_{name}"
    if unique not in sys.modules:
        spec = importlib.util.spec_from_file_location(unique, VIEWER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[unique] = module
        spec.loader.exec_module(module)
    return sys.modules[unique]


class Person(load("chromium").Visitor):
    def press(self, text: str) -> None:
        button = (
            "[...document.querySelectorAll('button')].find((one) => one.offsetParent && "
            f"!one.disabled && one.textContent.trim().startsWith({json.dumps(text)}))"
        )
        self.act(button, "one.click()")

    def disabled(self, text: str) -> bool:
        return self.page.run(
            "[...document.querySelectorAll('button')]"
            f".find((one) => one.textContent.trim().startsWith({json.dumps(text)})).disabled"
        )

    def accept(self) -> None:
        self.act("document.getElementById('accept')", "one.click()")
        self.press("Begin")

    def box(self) -> list[float]:
        return self.wait(
            "(() => { const r = document.querySelector('canvas')?.getBoundingClientRect();"
            "return r?.width && [r.x, r.y, r.width, r.height]; })()"
        )

    def look(self, x: float, y: float, touch: bool = False) -> None:
        """Moves the window to a place, as shares of the image's sides."""
        left, top, width, height = self.box()
        to = {"x": left + x * width, "y": top + y * height}
        if touch:
            for kind, points in (("touchStart", [to]), ("touchMove", [to]), ("touchEnd", [])):
                self.page.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)
            return
        self.page.send("Input.dispatchMouseEvent", type="mouseMoved", pointerType="mouse", **to)

    def type(self, text: str, pause: float = 0.0) -> None:
        self.act("document.querySelector('textarea')", "one.focus()")
        for letter in text:
            self.page.send("Input.insertText", text=letter)
            if pause and letter == " ":
                time.sleep(pause)

    def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.page.send("Input.dispatchKeyEvent", type=kind, key=name, code=name)
