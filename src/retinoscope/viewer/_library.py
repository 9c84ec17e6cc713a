"""Run directories as documents by key, for the static export and the server."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from PIL import Image

from ..errors import CapabilityError, RetinoscopeError
from ..naming import last_part, slugify
from ..store import canonical_json
from ..studies import evaluating, read_categories
from ..studies.runs import StudyRun
from ._categories import category_maps, visual_of_boxes, visual_of_categories
from ._documents import (
    VERSION,
    CapabilityFacts,
    Has,
    LensFacts,
    ModelFacts,
    SampleDocument,
    SampleFacts,
    ViewerManifest,
    Visual,
)
from ._json import plain
from ._of_lens import by_name, lens_facts, name_of, read_lens
from ._of_results import StudyDocuments, questions_about, questions_of
from ._of_run import (
    attention_of,
    image_facts,
    notes_on,
    objects_of,
    prompt_facts,
    visual_of,
)
from ._reopen import Reopened

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM, Run
    from ..lens import Kind

KEY = re.compile(
    r"(manifest|(?:sample|lens|attention)-\d{1,7}|lens-\d{1,7}-[a-z0-9-]{1,40}"
    r"|(?:flow|table)-[A-Za-z0-9._-]{1,80})"
)
DESCRIBE = "Describe the image."
SHOWN, THUMB = 1280, 160
"""Maximum side, in pixels, of an image and of a thumbnail on the page."""


@dataclass(frozen=True)
class Shown:
    """One sample on the page: its document, its image, and its run if there is one."""

    document: SampleDocument
    image: Image.Image | None
    run: Run | None


class Library:
    """The documents of finished studies; without a study, of the opened samples.

    Args:
        runs: from `retinoscope.report.collect`.
        opened: their model and data, as far as they could be reopened.
        mode: "static" or "live".
        n_lens: number of samples, from the first, that have a lens and attention.
        kinds: the kinds of lens that are read, the one of `lens-INDEX` first.
        image_src: returns the URL of the image or thumbnail of a sample, given folder and index.
    """

    def __init__(
        self,
        runs: Sequence[StudyRun],
        opened: Reopened,
        mode: str = "static",
        n_lens: int = 50,
        kinds: Iterable[str | Kind] = ("logit",),
        image_src: Callable[[str, int], str] = lambda folder, index: f"{folder}/{index}.jpg",
    ) -> None:
        self.opened, self.mode, self.n_lens = opened, mode, n_lens
        self.kinds = by_name(kinds, None if opened.vlm is None else opened.vlm.adapter)
        self.studies = [
            StudyDocuments(run, name) for run, name in zip(runs, _ids(runs), strict=True)
        ]
        self._src = image_src
        self._last: tuple[int, Shown] | None = None

    @cached_property
    def ids(self) -> list[str]:
        """All samples' ids, in the order of the data."""
        if not self.studies:
            return [sample.id for sample in self.opened.samples or ()]
        return _merged([study.sample_ids() for study in self.studies])

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.ids)}

    def keys(self) -> list[str]:
        """Returns all documents' keys, the manifest last: once it exists, so do the others."""
        keys = [f"table-{study.id}" for study in self.studies]
        keys += [f"flow-{study.id}" for study in self.studies if "flow" in study.views]
        for index in range(len(self.ids)):
            keys.append(f"sample-{index}")
            if index < self.n_lens and self.opened.vlm and self.opened.samples:
                keys += [self._lens_key(index, name) for name in self.kinds]
                keys += [f"attention-{index}"] * self._can_attend
        return [*keys, "manifest"]

    def _kind(self, names: Sequence[str]) -> Kind | None:
        """Returns the kind of lens of a key, the first if the key names none."""
        return self.kinds.get(names[0]) if names else next(iter(self.kinds.values()))

    def _lens_key(self, index: int, kind: str) -> str:
        return f"lens-{index}" if kind == next(iter(self.kinds)) else f"lens-{index}-{kind}"

    def document(self, key: str) -> object:
        """Returns the document of a key; raises KeyError if there is none."""
        if not KEY.fullmatch(key):
            raise KeyError(key)
        with evaluating(self._where):
            document = self._document(key)
        if document is None:
            raise KeyError(key)
        return document

    @property
    def _where(self) -> str:
        return ", ".join(str(study.run.path) for study in self.studies) or "the page's data"

    def _document(self, key: str) -> object | None:
        kind, _, rest = key.partition("-")
        if kind == "manifest":
            return self.manifest()
        if kind in ("flow", "table"):
            study = next((study for study in self.studies if study.id == rest), None)
            return None if study is None else self._of_study(kind, study)
        number, *names = rest.split("-", 1)
        return self._of_sample(kind, int(number), names) if int(number) < len(self.ids) else None

    def _of_study(self, kind: str, study: StudyDocuments) -> object | None:
        return study.table() if kind == "table" else study.flow(self._index)

    def _of_sample(self, kind: str, index: int, names: Sequence[str]) -> object | None:
        shown = self.shown(index)
        if kind == "sample":
            return shown.document
        has = shown.document.has
        if shown.run is None or not (has.lens if kind == "lens" else has.attention):
            return None
        if kind == "attention":
            return attention_of(shown.run)
        lens = self._kind(names)
        return None if lens is None else read_lens(shown.run, lens)

    def manifest(self) -> ViewerManifest:
        names = list(dict.fromkeys(study.run.model for study in self.studies))
        return ViewerManifest(
            mode=self.mode,
            title=", ".join(names),
            model=model_facts(self.opened.vlm),
            capabilities=self.capabilities(),
            studies=[study.facts() for study in self.studies],
            samples=[self._facts(index, name) for index, name in enumerate(self.ids)],
            lenses=self._lenses(),
        )

    def _lenses(self) -> list[LensFacts]:
        if self.opened.vlm is None:
            return []
        return lens_facts(self.kinds, "it was not written: add it to --kinds", "--lenses FILE")

    def capabilities(self) -> list[CapabilityFacts]:
        """Returns all views: whether each is available and, if not, why."""
        opened = self.opened
        no_run = "; ".join(why for why in (opened.no_data, opened.no_model) if why)
        attention = no_run or self._no_attention
        flow = any("flow" in study.views for study in self.studies)
        return [
            CapabilityFacts("images", not opened.no_data, opened.no_data),
            CapabilityFacts("layout", not no_run, no_run),
            CapabilityFacts("lens", not no_run, no_run or self._first_only),
            CapabilityFacts("attention", not attention, attention or self._first_only),
            CapabilityFacts("flow", flow, "" if flow else "no attention knockout was run"),
            CapabilityFacts(
                "tables", bool(self.studies), "" if self.studies else "no study was opened"
            ),
        ]

    @property
    def _first_only(self) -> str:
        if self.n_lens >= len(self.ids):
            return ""
        return f"of the first {self.n_lens} of {len(self.ids)} images (--lens)"

    @property
    def _can_attend(self) -> bool:
        return self.opened.vlm is not None and not self._no_attention

    @cached_property
    def _no_attention(self) -> str:
        try:
            if self.opened.vlm is not None:
                self.opened.vlm.capabilities.require("attention")
        except CapabilityError as error:
            return str(error)
        return ""

    def _facts(self, index: int, name: str) -> SampleFacts:
        outcomes = {study.id: study.outcome(name) for study in self.studies}
        has_image = not self.opened.no_data or name in self._examples
        return SampleFacts(
            index=index,
            id=name,
            title=name,
            thumb=self._src("thumbs", index) if has_image else None,
            objects=self._names_in_rows.get(name, []),
            outcomes={key: outcome for key, outcome in outcomes.items() if outcome is not None},
        )

    @cached_property
    def _names_in_rows(self) -> dict[str, list[str]]:
        """Names of the objects the studies asked about, by sample; without a study, of all."""
        if not self.studies:
            samples = self.opened.samples or ()
            return {sample.id: [obj.name for obj in sample.objects] for sample in samples}
        names: dict[str, dict[str, None]] = {}
        for study in self.studies:
            for table in study.results.scan.tables(["sample", "object"]):
                if "object" not in table.column_names:
                    break
                pairs = table.group_by(["sample", "object"], use_threads=False).aggregate([])
                for row in pairs.to_pylist():
                    if row["object"]:
                        names.setdefault(str(row["sample"]), {})[str(row["object"])] = None
        return {sample: list(objects) for sample, objects in names.items()}

    def image(self, index: int) -> Image.Image | None:
        """Returns a sample's image, without running the model."""
        if self._last is not None and self._last[0] == index:
            return self._last[1].image
        name = self.ids[index]
        try:
            sample = self.opened.sample(name)
        except (RetinoscopeError, OSError):
            sample = None
        return self._example(name)[0] if sample is None else sample.image

    def shown(self, index: int) -> Shown:
        """Returns a sample with its image and run; caches the last one for its other documents."""
        if self._last is None or self._last[0] != index:
            self._last = (index, self._show(index))
        return self._last[1]

    def _show(self, index: int) -> Shown:
        name = self.ids[index]
        rows = [row for study in self.studies for row in study.rows(name)]
        kept = [maps for study in self.studies for maps in read_categories(study.run.path, name)]
        asked = questions_of(rows)
        note = ""
        sample: Sample | None = None
        try:
            sample = self.opened.sample(name)
        except (RetinoscopeError, OSError) as error:
            note = f"the image could not be read again: {error}"
        if sample is None:
            image, visual = self._example(name)
            visual = visual or visual_of_categories(kept)
            src = self._src("images", index)
            facts = None if image is None else image_facts(image.size, src)
            document = SampleDocument(
                index=index,
                id=name,
                image=facts,
                prompt=None,
                visual=visual,
                questions=asked,
                rows=rows,
                note=note or self.opened.no_data,
                categories=category_maps(kept, visual),
            )
            return Shown(document, image, None)
        asked = asked or questions_about(sample)
        run = None
        if self.opened.vlm is not None:
            question = next((result.question for result in asked if result.correct), DESCRIBE)
            run = self.opened.vlm.run(self.opened.vlm.prompt(sample.image, question))
        with_lens = run is not None and index < self.n_lens
        layout = run.sequence.images[0][1] if run is not None and run.sequence.images else None
        visual = visual_of_categories(kept) if run is None else visual_of(run.sequence)
        document = SampleDocument(
            index=index,
            id=name,
            image=image_facts(sample.image.size, self._src("images", index)),
            prompt=None if run is None else prompt_facts(run.prompt.text, run.tokens, run.inputs),
            visual=visual,
            objects=objects_of(sample, layout),
            questions=asked,
            rows=rows,
            has=Has(with_lens, with_lens and self._can_attend),
            note=self.opened.no_model if run is None else notes_on(run),
            categories=category_maps(kept, visual),
        )
        return Shown(document, sample.image, run)

    @cached_property
    def _examples(self) -> dict[str, tuple[StudyDocuments, dict[str, object]]]:
        """Example pictures kept by the studies, which need neither data nor model."""
        examples: dict[str, tuple[StudyDocuments, dict[str, object]]] = {}
        for study in self.studies:
            for facts in study.results.examples():
                examples.setdefault(str(facts.get("sample")), (study, dict(facts)))
        return examples

    def _example(self, name: str) -> tuple[Image.Image | None, Visual | None]:
        kept = self._examples.get(name)
        if kept is None:
            return None, None
        study, facts = kept
        folder = study.run.path.resolve()
        file = (folder / str(facts.get("image"))).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            return None, None
        with Image.open(file, formats=["PNG"]) as opened:
            image = opened.convert("RGB")
        boxes, places = facts.get("boxes"), facts.get("positions")
        if not isinstance(boxes, list):
            return image, None
        positions = places if isinstance(places, list) else None
        return image, visual_of_boxes(boxes, facts.get("grid"), positions)

    def fingerprint(self, key: str) -> str:
        """Returns a fingerprint of everything that the document of `key` depends on."""
        if key == "manifest" or key.startswith(("table-", "flow-")):
            views = plain(self.capabilities())
            inputs: list[object] = [self._content, views, [*self.kinds], self.mode]
        else:
            vlm = self.opened.vlm
            inputs = [
                self._content,
                None if vlm is None else vlm.fingerprint,
                self.opened.no_data,
                int(key.split("-")[1]) < self.n_lens,
                self._can_attend,
            ]
            if key.startswith("lens") and (kind := self._kind(key.split("-", 2)[2:])):
                inputs.append(name_of(kind))
        return hashlib.sha256(canonical_json([VERSION, key, *inputs]).encode()).hexdigest()[:32]

    @cached_property
    def _content(self) -> list[object]:
        """Facts that identify the runs' contents."""
        contents: list[object] = []
        for study in self.studies:
            with study.results.scan.file.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            contents.append([study.id, json.dumps(study.run.manifest, sort_keys=True), digest])
        return contents


def model_facts(vlm: VLM | None) -> ModelFacts | None:
    if vlm is None:
        return None
    return ModelFacts(
        name=last_part(vlm.name),
        family=vlm.capabilities.family,
        n_layers=vlm.n_layers,
        n_heads=vlm.n_heads,
        d_model=vlm.d_model,
        vocab_size=vlm.vocab_size,
    )


def jpeg_of(image: Image.Image, longest: int) -> bytes:
    """Encodes the image as JPEG, its longer side at most `longest` pixels."""
    small = image.convert("RGB")
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def _ids(runs: Sequence[StudyRun]) -> list[str]:
    """Returns a short unique name for each run, safe in file names."""
    ids: list[str] = []
    for run in runs:
        place = run.study if run.place == "." else run.place
        name = slugify(place)[:60] or run.study
        number = 1
        while (unique := name if number == 1 else f"{name}-{number}") in ids:
            number += 1
        ids.append(unique)
    return ids


def _merged(orders: Sequence[Sequence[str]]) -> list[str]:
    """Merges orders of ids, each of them a part of the data's order, into one."""
    merged: list[str] = []
    for order in orders:
        known = {name: place for place, name in enumerate(merged)}
        out: list[str] = []
        done = 0
        waiting: list[str] = []
        for name in order:
            place = known.get(name)
            if place is None:
                waiting.append(name)
            elif place >= done:
                out += [*waiting, *merged[done : place + 1]]
                waiting, done = [], place + 1
        merged = [*out, *waiting, *merged[done:]]
    return list(dict.fromkeys(merged))
