"""`Curation`: runs the filters over a data set, resumable like a study."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import arguments
from ..data import Sample
from ..errors import InputError, StudyError, one_line
from ..memory import is_out_of_memory
from ..signals import stopped_by_signals
from ..sources import require_objects, source_name
from ..store import Json, RunDirectory, new_manifest
from ..studies import Failures, Progress, Unchanged, describe_model, free_memory
from ._curated import FILE, Count, Curated, Kept, KeptObject, data_fingerprint
from ._filters import Filter, Verdict
from ._view import SampleView

if TYPE_CHECKING:
    from ..engine import VLM

SCHEMA = 1
COLUMNS = (
    *("sample", "error", "item", "object", "area", "kept", "dropped", "reasons", "left"),
    "heard",
)
"""One row per object that was kept or about which the model was asked, or one row without an
`item`. `dropped`: the filter that dropped the object, or after which none was left. `left`: number
of objects before all filters and after each, the same in all rows of a sample. `reasons`, `left`
and `heard` (the model's answers) are JSON."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Curation:
    """Filters over a data set, in order.

    Args:
        vlm: from `retinoscope.load`; None if no filter needs a model.
        samples: a sequence of `Sample`, read one at a time.
        filters: from `retinoscope.curation`, cheap ones first.
        limit: stop after this many kept samples; None for all. A run can be resumed with a larger
            one.
        caption_tokens, polling_tokens, answer_tokens: maximum lengths (the paper: 200 and 10).
        max_failures: largest share of the samples that may fail, as for a study.
    """

    vlm: VLM | None
    samples: Sequence[Sample]
    filters: tuple[Filter, ...]
    limit: int | None = None
    caption_tokens: int = 200
    polling_tokens: int = 10
    answer_tokens: int = 6
    max_failures: float = 0.5

    def __post_init__(self) -> None:
        """Raises InputError for a number below 1, or for filters that are not in a list."""
        arguments.checked_fields(self)
        if self.limit is not None:
            arguments.whole(self.limit, "limit", 1)
        for name in ("caption_tokens", "polling_tokens", "answer_tokens"):
            arguments.whole(getattr(self, name), name, 1)

    def run(
        self,
        out: str | Path,
        progress: Progress | None = None,
        *,
        retry_failed: bool = False,
    ) -> Curated:
        """Runs or resumes the curation in the run directory `out`; writes `curation.json` there.

        A sample that fails becomes a row with its error. SIGTERM and SIGHUP end it as Ctrl-C does.

        Raises:
            InputError: there are no samples or no filters, a filter needs a model and there is
                none, or `out` holds another run.
            StudyError: the disk is full, the model changed meanwhile, or too many or all of the
                samples failed.
        """
        self._check()
        fingerprint = data_fingerprint(self.samples)
        unchanged = Unchanged(() if self.vlm is None else (self.vlm,))
        manifest = self._manifest(fingerprint)
        with stopped_by_signals(), RunDirectory.open(out, manifest, schema=SCHEMA) as directory:
            failures = Failures(self.max_failures)
            failures.read(directory, {_key(i) for i in range(len(self.samples))})
            if retry_failed and failures.keys:
                directory.forget(failures.keys)
                failures = Failures(self.max_failures, failures.finished - len(failures.keys))
            failures.check()
            judged = self._evaluate(directory, failures, progress, unchanged)
            directory.finish()
            curated = self._curated(fingerprint, judged)
            directory.write_file(FILE, curated.content)
        if curated.failed == curated.examined:
            first = next(rows[0]["error"] for rows in judged.values())
            raise StudyError(
                f"none of the samples could be judged; the first error: {first} (all of them are "
                f"in {out})"
            )
        return curated

    def _check(self) -> None:
        if not len(self.samples):
            raise InputError("a curation needs at least one sample, got an empty data set")
        require_objects(self.samples, "a curation")
        if not self.filters:
            raise InputError("a curation needs at least one filter, got none")
        need_model = [filter_.name for filter_ in self.filters if filter_.needs_model]
        if need_model and self.vlm is None:
            raise InputError(f"the filter {need_model[0]} needs a model, got None: give one")

    def _manifest(self, fingerprint: str) -> dict[str, Json]:
        return new_manifest(
            study="curation",
            parameters={"filters": self._described(), "answers": self._answers()},
            model={"name": "none", "fingerprint": "none"}
            if self.vlm is None
            else describe_model(self.vlm),
            data={
                "fingerprint": fingerprint,
                "samples": len(self.samples),
                "name": _name(self.samples),
            },
            seeds={},
            dtype="none" if self.vlm is None else str(self.vlm.dtype).removeprefix("torch."),
            device="none" if self.vlm is None else str(self.vlm.device),
        )

    def _described(self) -> list[dict[str, object]]:
        return [{"name": f.name, "text": f.text, "settings": f.settings} for f in self.filters]

    def _answers(self) -> dict[str, int]:
        return {
            "generative": self.caption_tokens,
            "polling": self.polling_tokens,
            "question": self.answer_tokens,
        }

    def _evaluate(
        self,
        directory: RunDirectory,
        failures: Failures,
        progress: Progress | None,
        unchanged: Unchanged,
    ) -> dict[int, list[Row]]:
        """Returns the rows of every examined sample, by its number."""
        show = progress or (lambda done, total, what: None)
        known: dict[str, list[Row]] = {}
        for row in directory.rows().to_pylist():
            known.setdefault(row["sample_key"], []).append(row)
        judged: dict[int, list[Row]] = {}
        total, kept = len(self.samples), 0
        if known:
            show(len(known), total, f"{len(known)} samples were judged before")
        for index in range(total):
            if kept == self.limit:
                break
            key = _key(index)
            rows = known.get(key)
            if rows is None:
                rows = self._rows(index)
                unchanged.check()
                directory.write(key, rows)
                what = f"{rows[0]['sample']}, {kept + rows[0]['kept']} kept"
                show(max(index + 1, len(known)), total, what)
                failures.add(key, rows[0]["error"])
            judged[index] = rows
            kept += any(row["kept"] for row in rows)
        return judged

    def _rows(self, index: int) -> list[Row]:
        label = f"sample {index}"
        try:
            sample = self.samples[index]
            label = sample.id
            return self._judge(sample)
        except Exception as error:
            # One bad image must not cost the others; Ctrl-C is not an Exception and ends the run.
            if is_out_of_memory(error):
                free_memory()
            return [_row(sample=label, error=one_line(error), kept=False)]

    def _judge(self, sample: Sample) -> list[Row]:
        view = SampleView(
            sample, self.vlm, self.caption_tokens, self.polling_tokens, self.answer_tokens
        )
        left = list(range(len(sample.objects)))
        counts = [len(left)]
        verdicts_of: dict[int, dict[str, Verdict]] = {index: {} for index in left}
        dropped: dict[int, str] = {}
        last = None
        for number, filter_ in enumerate(self.filters):
            verdicts = filter_.keep(view, left) if left else {}
            for index, verdict in verdicts.items():
                verdicts_of[index][_label(self.filters, number)] = verdict
                if not verdict.kept:
                    dropped[index] = last = _label(self.filters, number)
            left = [index for index in left if verdicts[index].kept]
            counts.append(len(left))
        rows = []
        for index, verdicts in verdicts_of.items():
            heard = {
                what: text for verdict in verdicts.values() for what, text in verdict.heard.items()
            }
            if index in dropped and not heard:
                continue
            obj = sample.objects[index]
            rows.append(
                _row(
                    sample=sample.id,
                    item=index,
                    object=obj.name,
                    area=obj.area,
                    kept=index not in dropped,
                    dropped=dropped.get(index),
                    reasons=_text({name: verdict.reason for name, verdict in verdicts.items()}),
                    left=_text(counts),
                    heard=_text(heard) if heard else None,
                )
            )
        return rows or [_row(sample=sample.id, kept=False, dropped=last, left=_text(counts))]

    def _curated(self, fingerprint: str, judged: Mapping[int, list[Row]]) -> Curated:
        good = {index: rows for index, rows in judged.items() if rows[0]["error"] is None}
        lefts: list[list[int]] = [json.loads(rows[0]["left"]) for rows in good.values()]
        texts = [("all", "all images"), *((f.name, f.text) for f in self.filters)]
        counts = tuple(
            Count(
                name,
                text,
                # Before all filters, images without objects count too.
                sum(left[step] > 0 for left in lefts) if step else len(judged),
                sum(left[step] for left in lefts),
            )
            for step, (name, text) in enumerate(texts)
        )
        kept = tuple(
            Kept(index, rows[0]["sample"], objects)
            for index, rows in good.items()
            if (objects := tuple(_object(row) for row in rows if row["kept"]))
        )
        model = None
        if self.vlm is not None and any(filter_.needs_model for filter_ in self.filters):
            dtype = str(self.vlm.dtype).removeprefix("torch.")
            model = {**describe_model(self.vlm), "dtype": dtype}
        return Curated(
            data={
                "name": _name(self.samples),
                "fingerprint": fingerprint,
                "samples": len(self.samples),
            },
            model=model,
            # As they are read back: tuples are lists in JSON.
            filters=tuple(json.loads(_text(filter_)) for filter_ in self._described()),
            counts=counts,
            kept=kept,
            examined=len(judged),
            failed=len(judged) - len(good),
            limit=self.limit,
            answers=cast("Mapping[str, Json]", self._answers()),
        )


def _key(index: int) -> str:
    # The manifest identifies data, model and filters; these keys sort in the order of the data.
    return f"{index:09d}"


def _label(filters: Sequence[Filter], number: int) -> str:
    """Returns the filter's name, numbered if an earlier one has the same name."""
    before = sum(filter_.name == filters[number].name for filter_ in filters[:number])
    return filters[number].name + (f"-{before + 1}" if before else "")


def _row(**cells: object) -> Row:
    return dict.fromkeys(COLUMNS) | cells


def _object(row: Row) -> KeptObject:
    return KeptObject(row["item"], row["object"], json.loads(row["reasons"]))


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _name(samples: Sequence[Sample]) -> str:
    """Returns the name of the data; of a folder's path only the last part."""
    name = source_name(samples)
    kind, colon, rest = name.partition(":")
    return f"{kind}{colon}{Path(rest).name}" if colon else name
