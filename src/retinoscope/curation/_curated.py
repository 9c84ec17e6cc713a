"""`Curated`: which objects were kept and why, as a file that can be shared and applied again."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

from ..data import LazySamples, Question, Relation, Sample
from ..errors import InputError
from ..store import Json, fingerprint_json, first_fault
from ..studies import sample_fingerprint

FILE = "curation.json"
FORMAT = "retinoscope-curation"
VERSION = 1


@dataclass(frozen=True)
class Count:
    """Images and objects left after one filter; the first count is before all filters."""

    filter: str
    text: str
    images: int
    objects: int


@dataclass(frozen=True)
class KeptObject:
    """`index` among the sample's objects; `reasons` by filter."""

    index: int
    name: str
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Kept:
    """`index` of the sample in the data, its id, and its kept objects."""

    index: int
    id: str
    objects: tuple[KeptObject, ...]


def _each_once(entries: list[Any]) -> list[Any]:
    if len({entry["index"] for entry in entries}) < len(entries):
        raise ValueError("each once, got one twice")
    return entries


_Number = Annotated[int, Field(ge=0, lt=2**63)]
_STRICT = ConfigDict(strict=True)


@with_config(_STRICT)
class _KeptObject(TypedDict):
    index: _Number
    name: str
    reasons: dict[str, str]


@with_config(_STRICT)
class _Kept(TypedDict):
    index: _Number
    id: str
    objects: Annotated[list[_KeptObject], AfterValidator(_each_once)]


@with_config(_STRICT)
class _Count(TypedDict):
    filter: str
    text: str
    images: _Number
    objects: _Number


@with_config(_STRICT)
class _DataIdentity(TypedDict):
    name: str
    fingerprint: str
    samples: _Number


@with_config(_STRICT)
class _File(TypedDict):
    """The format that `Curated.content` writes."""

    data: _DataIdentity
    model: dict[str, Any] | None
    filters: list[dict[str, Any]]
    counts: list[_Count]
    kept: Annotated[list[_Kept], AfterValidator(_each_once)]
    examined: _Number
    failed: _Number
    limit: _Number | None
    answers: dict[str, Any]


_FILE = TypeAdapter(_File)


@dataclass(frozen=True)
class Curated:
    """The result of a curation; its `str()` is the table of counts.

    Attributes:
        data: "name", "fingerprint" and number of "samples" of the data.
        model: "name", "fingerprint" and "dtype"; None if no filter needed one.
        filters: "name", "text" and "settings" of each.
        counts: before all filters, then after each.
        kept: in the order of the data.
        examined: number of samples examined; with `limit` not always all.
        failed: number of these that could not be judged; the run directory has the errors.
        limit: number of kept samples after which it stopped.
        answers: maximum lengths of answers in tokens, by task.
    """

    data: Mapping[str, Json]
    model: Mapping[str, Json] | None
    filters: tuple[Mapping[str, Json], ...]
    counts: tuple[Count, ...]
    kept: tuple[Kept, ...] = field(repr=False)
    examined: int
    failed: int
    limit: int | None = None
    answers: Mapping[str, Json] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The file's content: JSON, the same bytes for the same result."""
        facts = {"format": FORMAT, "version": VERSION, **asdict(self)}
        text = json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=True)
        return (text + "\n").encode("utf-8")

    @classmethod
    def load(cls, file: str | Path) -> Curated:
        """Reads `curation.json`, given itself or its run directory.

        Raises:
            InputError: the file does not exist, or has another format or version.
        """
        path = Path(file).expanduser()
        path = path / FILE if path.is_dir() else path
        try:
            facts: Any = from_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InputError(
                f"{path} cannot be read ({why}); expected the {FILE} that retinoscope curate wrote"
            ) from error
        except ValueError as error:
            raise InputError(f"{path}: expected JSON, got something else ({error})") from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise InputError(f"{path}: expected a curation written by retinoscope curate")
        if facts.get("version") != VERSION:
            raise InputError(
                f"{path} has version {facts.get('version')!r} of the format, this version of "
                f"retinoscope reads {VERSION}: curate again, or use the version that wrote it"
            )
        try:
            return cls._of(_FILE.validate_python(facts))
        except ValidationError as error:
            raise InputError(
                f"{path}: expected a curation, got a damaged one: {first_fault(error)}"
            ) from error

    @classmethod
    def _of(cls, facts: _File) -> Curated:
        kept = tuple(
            Kept(entry["index"], entry["id"], tuple(KeptObject(**o) for o in entry["objects"]))
            for entry in facts["kept"]
        )
        return cls(
            data=cast("Mapping[str, Json]", facts["data"]),
            model=facts["model"],
            filters=tuple(facts["filters"]),
            counts=tuple(Count(**count) for count in facts["counts"]),
            kept=kept,
            examined=facts["examined"],
            failed=facts["failed"],
            limit=facts["limit"],
            answers=facts["answers"],
        )

    def apply(self, samples: Sequence[Sample]) -> LazySamples:
        """Selects the kept samples of `samples`, read on access, with their kept objects only.

        The other objects become `Sample.others`; questions and relations about them are dropped.

        Raises:
            InputError: `samples` are other data (the fingerprint differs); on access, a sample has
                another id or lacks the kept object.
        """
        fingerprint = data_fingerprint(samples)
        if fingerprint != self.data["fingerprint"]:
            raise InputError(
                f"the curation is of other data ({self.data['name']}, {self.data['samples']} "
                f"samples, fingerprint {str(self.data['fingerprint'])[:12]}) than the given one "
                f"({len(samples)} samples, fingerprint {fingerprint[:12]}): give the data that was "
                "curated, whole, or curate this one"
            )
        beyond = next((kept for kept in self.kept if not 0 <= kept.index < len(samples)), None)
        if beyond is not None:
            raise InputError(
                f"the curation keeps sample {beyond.index} ({beyond.id}) of data that has "
                f"{len(samples)}: the file is damaged"
            )
        return LazySamples(
            f"{self.data['name']}, curated",
            partial(_read, samples, self.kept),
            partial(_describe, fingerprint, self.kept),
            range(len(self.kept)),
        )

    def __str__(self) -> str:
        rows = [("filter", "images", "objects")]
        rows += [(count.text, str(count.images), str(count.objects)) for count in self.counts]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"{what:<{widths[0]}}  {images:>{widths[1]}}  {objects:>{widths[2]}}"
            for what, images, objects in rows
        ]
        if self.examined < int(str(self.data["samples"])):
            lines.append(
                f"stopped at {self.limit} kept images, after {self.examined} of "
                f"{self.data['samples']}"
            )
        if self.failed:
            lines.append(f"{self.failed} images failed: see results.parquet")
        return "\n".join(lines)


def data_fingerprint(samples: Sequence[Sample]) -> str:
    """Returns the source's own fingerprint, or one over all samples (which reads them all)."""
    source = getattr(samples, "fingerprint", None)
    if source is not None:
        return str(source)
    return fingerprint_json([sample_fingerprint(sample) for sample in samples])


def restricted(sample: Sample, objects: Sequence[int]) -> Sample:
    """Returns `sample` with only these of its objects; the rest become `others`."""
    place = {index: number for number, index in enumerate(objects)}

    def known(about: Sequence[int]) -> bool:
        return all(index in place for index in about)

    return Sample(
        id=sample.id,
        image=sample.image,
        objects=tuple(sample.objects[index] for index in objects),
        captions=sample.captions,
        questions=tuple(
            Question(q.question, q.answer, q.kind, tuple(place[index] for index in q.about))
            for q in sample.questions
            if known(q.about)
        ),
        relations=tuple(
            Relation(place[r.subject], r.name, place[r.object])
            for r in sample.relations
            if known((r.subject, r.object))
        ),
        signs=sample.signs,
        meta=sample.meta,
        others=(
            *(obj for index, obj in enumerate(sample.objects) if index not in place),
            *sample.others,
        ),
        ignore=sample.ignore,
    )


def _read(samples: Sequence[Sample], kept: Sequence[Kept], place: int) -> Sample:
    entry = kept[place]
    sample = samples[entry.index]
    if sample.id != entry.id:
        raise InputError(
            f"the curation keeps {entry.id!r} as sample {entry.index}, the data has {sample.id!r} "
            "there: give the data that was curated"
        )
    for obj in entry.objects:
        there = sample.objects[obj.index].name if obj.index < len(sample.objects) else "nothing"
        if there != obj.name:
            raise InputError(
                f"the curation keeps object {obj.index} of {entry.id!r} as {obj.name!r}, the data "
                f"has {there!r} there: give the data that was curated"
            )
    return restricted(sample, [obj.index for obj in entry.objects])


def _describe(fingerprint: str, kept: Sequence[Kept], places: Sequence[int]) -> object:
    chosen = [kept[place] for place in places]
    return {
        "source": "curation",
        "data": fingerprint,
        "kept": [[entry.index, entry.id, [o.index for o in entry.objects]] for entry in chosen],
    }
