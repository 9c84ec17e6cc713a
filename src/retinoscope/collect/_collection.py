"""`Collection`: the folder that sessions are written to, and the images of each session."""

from __future__ import annotations

import io
import json
import secrets
import threading
import zipfile
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFilter

from .. import arguments
from ..data import Sample
from ..errors import InputError, StudyError
from ..gaze import (
    COLLECTION,
    CollectedTrial,
    collected_name,
    reading_pieces,
    session_folder,
    trial_bytes,
)
from ..store import write_bytes
from ._consent import consent_id, consent_text

SHOWN = 1280
"""Longest side of an image on the page, in pixels."""
VERSION = 1
_SESSION = "session.json"
UNUSED = 1_000
"""How many sessions without recordings are kept, of those that this process began."""


@dataclass(frozen=True)
class CollectionOptions:
    """How images are shown.

    Attributes:
        task: "describe" them, "read" their descriptions, or "both": read those that have one.
        radius: radius of the sharp window, as a share of the image's diagonal.
        blur: standard deviation of the blur, as a share of the diagonal.
        per_session: the most images per session; None for all.
        shuffle: show the images in a different order in each session.
        consent: a text file that replaces the built-in text; blank lines separate paragraphs.
        title: heading of the first page.
    """

    task: Literal["describe", "read", "both"] = "describe"
    radius: float = 0.06
    blur: float = 0.03
    per_session: int | None = None
    shuffle: bool = True
    consent: Path | None = None
    title: str = "Where do you look?"

    def __post_init__(self) -> None:
        arguments.one_of(self.task, ("describe", "read", "both"), "task")
        for name in ("radius", "blur"):
            if not 0 < getattr(self, name) <= 0.5:
                raise InputError(
                    f"expected {name} as a share of the diagonal up to 0.5, got "
                    f"{getattr(self, name)}"
                )
        if self.per_session is not None:
            arguments.whole(self.per_session, "images a session", 1)


class Collection:
    """Sessions of people who look at the images of `samples`.

    Args:
        samples: images and, for reading, their captions.
        out: the folder of sessions, created if missing. An existing one is continued if it was
            created with the same settings.

    Raises:
        InputError: no images, nothing to read, or a folder with other content.
    """

    def __init__(
        self, samples: Sequence[Sample], out: str | Path, options: CollectionOptions
    ) -> None:
        if not len(samples):
            raise InputError("expected at least one image to show, got none")
        self.samples, self.out, self.options = samples, Path(out), options
        self.consent = consent_text(options.consent)
        self.consent_id = consent_id(self.consent)
        self.ids = [sample.id for sample in samples]
        self.texts = [sample.captions[0] if sample.captions else None for sample in samples]
        self.shown = [
            place
            for place, text in enumerate(self.texts)
            if options.task != "read" or text is not None
        ]
        if not self.shown:
            raise InputError(
                "expected images with descriptions to read, got none: put texts.csv (image, text) "
                "into the folder, or give --task describe"
            )
        self._begun: deque[int] = deque()
        self._sessions = threading.Lock()
        self._keep_settings()
        self._picture = lru_cache(maxsize=32)(self._draw)

    def _keep_settings(self) -> None:
        settings = {
            "version": VERSION,
            "task": self.options.task,
            "radius": self.options.radius,
            "blur": self.options.blur,
            "consent": list(self.consent),
            "consent_id": self.consent_id,
            "provenance": "human",
            "instrument": "pointer",
        }
        file = self.out / COLLECTION
        if file.is_file():
            try:
                stored = json.loads(file.read_text("utf-8"))
            except (OSError, ValueError, RecursionError) as error:
                raise InputError(f"{file}: expected a collection's settings ({error})") from error
            if not isinstance(stored, dict):
                raise InputError(f"{file}: expected a collection's settings, got something else")
            differing = sorted(key for key in settings if stored.get(key) != settings[key])
            if differing:
                raise InputError(
                    f"{self.out} holds sessions with another {', '.join(differing)}: give another "
                    "--out, or the same settings"
                )
            return
        if self.out.exists() and any(self.out.iterdir()):
            raise InputError(
                f"{self.out}: expected an empty folder or a collection, got something else: give "
                "another --out"
            )
        write_bytes(file, (json.dumps(settings, indent=1, ensure_ascii=False) + "\n").encode())

    # Sessions

    def begin(self) -> int:
        """Returns a new session's number, which is random and the only thing kept about a person.

        Of the sessions that this process began without recording anything, the last `UNUSED` are
        kept.
        """
        while True:
            number = secrets.randbelow(2**53 - 1) + 1
            folder = session_folder(self.out, number)
            if not folder.exists():
                content = {"consent_id": self.consent_id, "accepted": True}
                write_bytes(folder / _SESSION, json.dumps(content).encode() + b"\n")
                self._begun.append(number)
                while len(self._begun) > UNUSED:
                    self._forget_unused(self._begun.popleft())
                return number

    def _forget_unused(self, session: int) -> None:
        folder = session_folder(self.out, session)
        if folder.is_dir() and [file.name for file in folder.iterdir()] == [_SESSION]:
            (folder / _SESSION).unlink()
            folder.rmdir()

    def knows(self, session: int) -> bool:
        """Whether somebody accepted the consent text under this number."""
        return (session_folder(self.out, session) / _SESSION).is_file()

    def order(self, session: int) -> list[int]:
        """A session's images, as indices among the samples."""
        places = list(self.shown)
        if self.options.shuffle:
            places = np.random.default_rng(session).permutation(places).tolist()
        return places[: self.options.per_session]

    def done(self, session: int) -> list[int]:
        """The finished trials."""
        folder = session_folder(self.out, session)
        return [p for p in self.order(session) if (folder / self._file(p)).is_file()]

    def next(self, session: int) -> dict[str, Any]:
        """Describes what the page shows next."""
        order, done = self.order(session), self.done(session)
        progress: dict[str, Any] = {"done": len(done), "total": len(order)}
        left = [place for place in order if place not in done]
        if not left:
            return progress | {"finished": True}
        place = left[0]
        width, height = self.samples[place].image.size
        task, text = self.task_of(place), self.texts[place]
        return progress | {
            "finished": False,
            "trial": place,
            "task": task,
            "name": self.ids[place],
            "width": width,
            "height": height,
            "pieces": list(reading_pieces(text)) if task == "read" and text else [],
            "radius": self.radius(place),
        }

    def radius(self, place: int) -> float:
        """The radius of the sharp window, in pixels of the original image."""
        return self.options.radius * float(np.hypot(*self.samples[place].image.size))

    def store(self, session: int, place: int, record: dict[str, Any]) -> None:
        """Writes the recording of one image, whole or not at all.

        Raises:
            InputError: an image that is not this session's, another task, positions outside the
                image, words other than those to read, or a session that was withdrawn.
        """
        if place not in self.order(session):
            raise InputError("this image is not part of this session")
        image = self.samples[place].image
        task = self.task_of(place)
        if record["task"] != task:
            raise InputError(f"expected this image's task to be {task}, got {record['task']}")
        positions = [p for p in record["positions"] if p[1] is not None]
        if not all(0 <= x < image.width and 0 <= y < image.height for _, x, y in positions):
            raise InputError("expected positions inside the image, got others")
        text = self.texts[place]
        if task == "read" and text is not None:
            expected = list(reading_pieces(text))
            if [word["text"] for word in record["words"]] != expected:
                raise InputError("expected the words that were shown to be read, got others")
        trial = CollectedTrial(
            session=session,
            image=self.ids[place],
            size=image.size,
            radius=self.radius(place),
            blur=self.options.blur * float(np.hypot(*image.size)),
            **record,
        )
        self._keep_image(place)
        with self._sessions:
            # A recording that arrives after a withdrawal must not be kept.
            if not self.knows(session):
                raise InputError("this session was withdrawn")
            write_bytes(session_folder(self.out, session) / self._file(place), trial_bytes(trial))

    def task_of(self, place: int) -> str:
        """The task for an image: "read" or "describe"."""
        read = self.options.task != "describe" and self.texts[place] is not None
        return "read" if read else "describe"

    def withdraw(self, session: int) -> None:
        """Deletes everything about a session; the file that marks it goes last.

        Raises:
            StudyError: something could not be deleted; the session is then still known.
        """
        folder = session_folder(self.out, session)
        with self._sessions:
            try:
                for entry in sorted(folder.iterdir(), key=lambda file: file.name == _SESSION):
                    entry.unlink()
            except OSError as error:
                # Do not report the deletion of something that is still there.
                raise StudyError(
                    f"not everything could be deleted ({(error.strerror or str(error)).lower()}): "
                    "try again, or ask whoever runs this page"
                ) from error
        # What remains is an empty folder with a random name.
        with suppress(OSError):
            folder.rmdir()

    def export(self, session: int) -> bytes:
        """One session as a ZIP file that holds a folder for `retinoscope.gaze.collected`."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self.out / COLLECTION, COLLECTION)
            folder = session_folder(self.out, session)
            for file in sorted(folder.iterdir()):
                archive.write(file, file.relative_to(self.out).as_posix())
            for place in self.done(session):
                file = self._image_file(place)
                archive.write(file, file.relative_to(self.out).as_posix())
        return buffer.getvalue()

    # Images

    def picture(self, place: int, blurred: bool) -> bytes:
        """A JPEG of an image as shown on the page.

        Raises:
            InputError: no such image.
        """
        if place not in self.shown:
            raise InputError("there is no such image")
        return self._picture(place, blurred)

    def _draw(self, place: int, blurred: bool) -> bytes:
        image = self.samples[place].image.convert("RGB")
        scale = min(1.0, SHOWN / max(image.size))
        if scale < 1:
            size = (round(image.width * scale), round(image.height * scale))
            image = image.resize(size, Image.Resampling.LANCZOS)
        if blurred:
            radius = self.options.blur * float(np.hypot(*image.size))
            image = image.filter(ImageFilter.GaussianBlur(radius))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    def _file(self, place: int) -> str:
        return f"{collected_name(self.ids[place])}.parquet"

    def _image_file(self, place: int) -> Path:
        return self.out / "images" / f"{collected_name(self.ids[place])}.png"

    def _keep_image(self, place: int) -> None:
        """Stores the image itself, once, so that the folder of sessions is self-contained."""
        file = self._image_file(place)
        if file.is_file():
            return
        buffer = io.BytesIO()
        self.samples[place].image.save(buffer, "PNG")
        write_bytes(file, buffer.getvalue())
