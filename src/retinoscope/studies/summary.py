"""Summaries as declarations: which rows stand together, what is estimated of them, beside what.

    SUMMARY = Summary(
        by=("source", "target", "window"),
        where=c("baseline_correct"),
        estimates=(Estimate("accuracy", c("correct")),),
        differences=(Contrast("difference", c("correct"), minus={"source": "random"}),),
    )

`Summary` has one record for each combination of `by`, `Peaks` the best of several candidates,
`Computed` what a function makes of the rows of a part. `over` reads results.parquet in bounded
memory (see `_parts`) and returns a table whose columns and types do not depend on the rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import polars as pl
import pyarrow as pa

from ..stats import Interval, PairedDifference, cluster_mean, cluster_share, paired_difference
from ..store import ResultsScan, Scalar
from ._best import (
    PEAK,
    Candidates,
    CandidateSums,
    corrected,
    interval_columns,
    interval_kinds,
    peak,
    test_columns,
    test_kinds,
)
from ._parts import TYPES, frame_of, parts
from .columns import NUMBER, TEXT, WHOLE, Columns, Kind

Record = dict[str, Scalar]
Order = Mapping[str, Sequence[Scalar] | None]
SEEN: Sequence[Scalar] = ()
"""As an order: values in the order in which they appear in the rows."""

c = pl.col
VALUE = c("value")
"""In a summary with `measures`: the value of the measure that a record is of."""
ITEM = ("sample", "item")
"""What two rows have in common that are of one item under two conditions."""
_CODE = "_image"


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, which takes images as the independent units.

    Attributes:
        name: of the column; `name`_low and `name`_high hold the interval.
        of: each row's value; rows where it is undefined are left out.
        total: what it is divided by, where the mean is one sum over another.
        share: the values lie between 0 and 1 (or 0 and the total).
        every: one value for each image: the least of its rows.
        band: the records of a curve also get a band that holds all of it.
    """

    name: str
    of: pl.Expr
    total: pl.Expr | None = None
    share: bool = True
    every: bool = False
    band: bool = False

    def over(self, rows: pl.DataFrame) -> Interval:
        """The estimate of these rows."""
        total = pl.lit(1.0) if self.total is None else self.total.cast(pl.Float64)
        found = rows.select(_CODE, value=self.of.cast(pl.Float64), total=total).drop_nulls()
        if self.every:
            found = found.group_by(_CODE, maintain_order=True).min()
        values, images = found["value"].to_numpy(), found[_CODE].to_numpy()
        if self.share:
            totals = None if self.total is None else found["total"].to_numpy()
            return cluster_share(values, totals, images)
        return cluster_mean(values, images)

    def columns(self, found: Interval) -> Record:
        """The columns of the estimate."""
        width = {f"{self.name}_size": found.size, f"{self.name}_freedom": found.freedom}
        return interval_columns(self.name, found) | (width if self.band else {})

    @property
    def kinds(self) -> dict[str, Kind]:
        more = ("_size", "_freedom", "_band_low", "_band_high") if self.band else ()
        return interval_kinds(self.name) | {self.name + end: NUMBER for end in more}


@dataclass(frozen=True)
class Contrast:
    """A mean of differences on the same items, with its interval and a sign-flip test over images.

    Attributes:
        name: of the column; `name`_low, `name`_high, the p value `name`_p and, where records are
            looked over together, `name`_p_corrected stand beside it.
        of: each row's value.
        minus: the control: what differs in its key, or another value of the same row.
        where: what a record's key must be to have a control.
        control: the control's name, in the column "control".
        reverse: the control's value minus the row's.
    """

    name: str
    of: pl.Expr
    minus: Mapping[str, Scalar] | pl.Expr
    where: Mapping[str, Scalar] = field(default_factory=dict)
    control: str | None = None
    reverse: bool = False

    def over(
        self, key: Mapping[str, Scalar], rows: pl.DataFrame, other: pl.DataFrame | None
    ) -> PairedDifference | None:
        """The difference of the rows of `key` and those of its control; None without pairs."""
        if isinstance(self.minus, pl.Expr):
            pairs = rows.select(_CODE, a=self.of.cast(pl.Float64), b=self.minus.cast(pl.Float64))
        elif other is None:
            return None
        else:
            a, b = (
                some.select(_CODE, *ITEM, **{name: self.of.cast(pl.Float64)})
                for some, name in ((rows, "a"), (other, "b"))
            )
            pairs = a.join(b.drop(_CODE), on=list(ITEM), maintain_order="left", nulls_equal=True)
        pairs = pairs.drop_nulls()
        if not pairs.height:
            return None
        a, b = (pairs[side].to_numpy() for side in ("ba" if self.reverse else "ab"))
        return paired_difference(a, b, pairs[_CODE].to_numpy())

    def columns(self, found: PairedDifference | None) -> Record:
        """The columns of the difference; none where there are no pairs."""
        if found is None:
            return {}
        record = test_columns(self.name, found)
        return record if self.control is None else {"control": self.control, **record}

    def has_control(self, key: Mapping[str, Scalar]) -> bool:
        """Whether the rows of this key are compared with anything."""
        return all(key[name] == value for name, value in self.where.items())

    @property
    def kinds(self) -> dict[str, Kind]:
        found: dict[str, Kind] = {} if self.control is None else {"control": TEXT}
        return found | test_kinds(self.name)


@dataclass(frozen=True, kw_only=True)
class SummaryTable(ABC):
    """One table of a study, made from its rows.

    Attributes:
        where: which rows count; those with an error never do.
        order: columns that sort the records, each by the order of its values where one is given,
            else ascending; undefined values come first.
    """

    where: pl.Expr = field(default_factory=lambda: pl.lit(True))
    order: Order = field(default_factory=dict)

    @property
    @abstractmethod
    def conditions(self) -> tuple[str, ...]:
        """The columns that say what a record is of."""

    def over(self, scan: ResultsScan, kinds: Columns) -> pa.Table:
        """The table of all rows.

        Args:
            kinds: of the study's columns.

        Raises:
            InputError: a damaged file.
        """
        used = [name for name in dict.fromkeys(("sample", *self._columns())) if name in kinds]
        found = [
            record
            for part in parts(
                scan, kinds, used, self._together(), c("error").is_null() & self.where
            )
            for record in self._of_part(part)
        ]
        found = self._finished(found)
        order = {
            name: [*dict.fromkeys(record[name] for record in found)] if known is SEEN else known
            for name, known in self.order.items()
        }
        found.sort(key=lambda record: [_rank(record[name], known) for name, known in order.items()])
        empty = frame_of(scan.schema.empty_table(), kinds, used)
        types = {name: TYPES[kind] for name, kind in self._kinds(kinds, empty).items()}
        table = pl.DataFrame(found, types, orient="row") if found else pl.DataFrame(schema=types)
        return _plain(table.to_arrow())

    def _finished(self, records: list[Record]) -> list[Record]:
        return records

    @abstractmethod
    def _together(self) -> list[str]:
        """Columns whose values are equal in all rows that are looked at together."""

    @abstractmethod
    def _columns(self) -> Iterable[str]:
        """The columns that are read besides those of `where`."""

    @abstractmethod
    def _kinds(self, kinds: Columns, empty: pl.DataFrame) -> dict[str, Kind]:
        """What each column of the table holds, in their order."""

    def _of_part(self, part: Iterable[pl.DataFrame]) -> Iterable[Record]:
        """The records of one part."""
        rows = pl.concat(part)
        image = c("sample").rank("dense").alias(_CODE)
        return self._records(rows.with_columns(image)) if rows.height else ()

    def _records(self, rows: pl.DataFrame) -> Iterable[Record]:
        """The records of one part whose rows are held together."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Summary(SummaryTable):
    """A record for each combination of the columns `by`.

    A record holds these, then `first`, the estimates, `n` (rows) and `n_samples` (images), `means`,
    the differences, how the intervals were made, and what the paper reports.

    Attributes:
        first: columns that are equal in all rows of a record.
        means: further numbers by name, or others in place of the `sizes`, as expressions over all
            rows of a record.
        measures: columns; instead of one record there is one for each that was `measured`, whose
            values are `VALUE`; the column `measure` says which.
        measured: whether a row has a measure; by default where it is defined.
        own: what a record's own rows hold besides its key; all others are only compared with them.
        beside: further columns by name, of a summary with `measures`: `VALUE` of the same item in
            the rows whose key, or what is in `own`, differs so.
        curve: columns or expressions; records that agree in them are looked over together, and
            their p values and bands corrected for how many there are.
        sizes: names of the columns with the numbers of rows and of images.
        interval: the name of the column that says how the intervals were made.
        interval_of: the estimate that it speaks of, of a record, if any; by default the first.
        known: the paper's number for a record and its source, in "paper" and "paper_source".
    """

    by: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Contrast, ...] = ()
    first: tuple[str, ...] = ()
    means: Mapping[str, pl.Expr] = field(default_factory=dict)
    measures: tuple[str, ...] = ()
    measure: str = "measure"
    measured: Callable[[str], pl.Expr] = lambda measure: c(measure).is_not_null()
    own: Mapping[str, Scalar] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    curve: tuple[str | pl.Expr, ...] = ()
    sizes: tuple[str, str] = ("n", "n_samples")
    interval: str = "method"
    interval_of: Callable[[Record], str | None] | None = None
    known: Callable[[Record], tuple[float, str] | None] | None = None

    @property
    def conditions(self) -> tuple[str, ...]:
        return (*self.by, *self.first, *((self.measure,) if self.measures else ()))

    def _together(self) -> list[str]:
        apart = {name for changed in self._controls for name in changed}
        return [name for name in self.by if name not in apart]

    @property
    def _controls(self) -> list[Mapping[str, Scalar]]:
        """What differs in the keys of other rows that records are compared with."""
        changed = (_changed(one.minus) for one in self.differences)
        return [one for one in (*changed, *self.beside.values()) if one]

    def _columns(self) -> Iterable[str]:
        used = [*(one.of for one in self.estimates), *self.means.values()]
        used += [one.total for one in self.estimates if one.total is not None]
        used += [one.of for one in self.differences]
        used += [one.minus for one in self.differences if isinstance(one.minus, pl.Expr)]
        used += map(self.measured, self.measures)
        named = chain.from_iterable(expression.meta.root_names() for expression in used)
        items = ITEM if self._controls else ()
        return (*self.by, *self.own, *self.first, *self.measures, *items, *named)

    def _kinds(self, kinds: Columns, empty: pl.DataFrame) -> dict[str, Kind]:
        found: dict[str, Kind] = {name: kinds[name] for name in (*self.by, *self.first)}
        found |= {self.measure: TEXT} if self.measures else {}
        for one in self.estimates:
            found |= one.kinds
        found |= dict.fromkeys(self.sizes, WHOLE)
        values = ("value", *self.beside) if self.measures else ()
        made = empty.with_columns(
            pl.lit(0, pl.UInt32).alias(_CODE), *(pl.lit(None, pl.Float64).alias(x) for x in values)
        ).select(**self.means)
        found |= {x: WHOLE if kind.is_integer() else NUMBER for x, kind in made.schema.items()}
        for one in self.differences:
            found |= one.kinds
            found |= {f"{one.name}_p_corrected": NUMBER} if self.curve else {}
        found |= {self.interval: TEXT}
        return found | ({"paper": NUMBER, "paper_source": TEXT} if self.known else {})

    def _records(self, rows: pl.DataFrame) -> Iterable[Record]:
        names = (*self.by, *self.own)
        groups = rows.partition_by(names, maintain_order=True, as_dict=True)
        valued = {
            measure: {
                values: items.with_columns(c(measure).alias("value"))
                for values, items in groups.items()
            }
            for measure in self.measures
        }
        for values, items in groups.items():
            key: Record = dict(zip(names, values, strict=True))
            if key != {**key, **self.own}:
                continue
            if not self.measures:
                yield self._record(key, groups)
            for measure, of_measure in valued.items():
                if items.select(self.measured(measure).any()).item():
                    yield self._record(key, of_measure) | {self.measure: measure}

    def _record(self, key: Record, groups: Mapping[tuple, pl.DataFrame]) -> Record:
        rows = groups[tuple(key.values())]
        for name, changed in self.beside.items():
            other = groups.get(tuple({**key, **changed}.values()), rows.clear())
            values = other.select(*ITEM, c("value").alias(name)).unique(ITEM, keep="last")
            rows = rows.join(values, ITEM, "left", nulls_equal=True, maintain_order="left")
        found = {one.name: one.over(rows) for one in self.estimates}
        record = {name: key[name] for name in self.by}
        record |= {name: rows[name][0] for name in self.first}
        for one in self.estimates:
            record |= one.columns(found[one.name])
        record |= dict(zip(self.sizes, (rows.height, rows["sample"].n_unique()), strict=True))
        record |= rows.select(**self.means).row(0, named=True) if self.means else {}
        for one in self.differences:
            if one.has_control(key):
                changed = {**key, **_changed(one.minus)}
                # Nothing is its own control.
                other = None if changed == key else groups.get(tuple(changed.values()))
                record |= one.columns(one.over(key, rows, other))
        of = self.estimates[0].name if self.interval_of is None else self.interval_of(record)
        record[self.interval] = None if of is None else found[of].method
        number = None if self.known is None else self.known(record)
        return (
            record if number is None else record | {"paper": number[0], "paper_source": number[1]}
        )

    def _finished(self, records: list[Record]) -> list[Record]:
        if not self.curve or not records:
            return records
        tests = [one.name for one in self.differences]
        bands = [one.name for one in self.estimates if one.band]
        curves = pl.DataFrame(records, infer_schema_length=None).select(
            c(one) if isinstance(one, str) else one for one in self.curve
        )
        return corrected(records, curves.rows(), tests, bands)


@dataclass(frozen=True, kw_only=True)
class Peaks(SummaryTable):
    """A record for each combination of `by` and each kind of candidates: the best of these.

    It is chosen on one half of the images and judged on the other; see `_best.best`.

    Attributes:
        among: the candidates, by the value of the column `kind`.
        kind: the name of that column; without one there is one kind.
        of: each row's value; rows where it is undefined are left out.
        minus: the control, as of `Contrast`; it has no record of its own.
        smallest: whether the least is the best, for a record's key.
    """

    by: tuple[str, ...]
    of: pl.Expr
    among: Mapping[str, Candidates]
    kind: str | None = None
    minus: Mapping[str, Scalar] | pl.Expr | None = None
    smallest: Callable[[Record], bool] = lambda key: False

    @property
    def conditions(self) -> tuple[str, ...]:
        return self.by if self.kind is None else (*self.by, self.kind)

    def _together(self) -> list[str]:
        return [name for name in self.by if name not in _changed(self.minus)]

    def _columns(self) -> Iterable[str]:
        used = [self.of, *(one.where for one in self.among.values())]
        used += [self.minus] if isinstance(self.minus, pl.Expr) else []
        candidates = chain.from_iterable(one.columns for one in self.among.values())
        return (*self.by, *candidates, *chain.from_iterable(x.meta.root_names() for x in used))

    def _kinds(self, kinds: Columns, empty: pl.DataFrame) -> dict[str, Kind]:
        found: dict[str, Kind] = {name: kinds[name] for name in self.by}
        return found | ({} if self.kind is None else {self.kind: TEXT}) | PEAK

    def _of_part(self, part: Iterable[pl.DataFrame]) -> Iterable[Record]:
        expressions = [self.of, *([self.minus] if isinstance(self.minus, pl.Expr) else [])]
        sums: dict[tuple, dict[str, list[CandidateSums]]] = {}
        for rows in part:
            groups = rows.partition_by(self.by, maintain_order=True, as_dict=True)
            for values, items in groups.items():
                new = {
                    name: [CandidateSums(one) for _ in expressions]
                    for name, one in self.among.items()
                }
                for held in sums.setdefault(values, new).values():
                    for one, expression in zip(held, expressions, strict=True):
                        one.add(items, expression)
        changed = _changed(self.minus)
        for values, of_kind in sums.items():
            key: Record = dict(zip(self.by, values, strict=True))
            other = {**key, **changed}
            if changed and other == key:
                continue
            controls = sums.get(tuple(other.values()), {})
            for name, candidates in self.among.items():
                ours, *control = of_kind[name]
                if changed:
                    control = controls.get(name, [])
                if ours.n_rows:
                    kind: Record = {} if self.kind is None else {self.kind: name}
                    beside = control[0] if control else None
                    yield key | kind | peak(candidates, ours, beside, self.smallest(key))


@dataclass(frozen=True, kw_only=True)
class Computed(SummaryTable):
    """What a function makes of the rows of each part.

    Attributes:
        make: the records of rows that agree in the columns `together`.
        columns: which columns it reads besides these.
        kinds: of the columns of the records, in their order.
        by: the columns that say what a record is of.
    """

    make: Callable[[pl.DataFrame], Iterable[Record]]
    by: tuple[str, ...]
    kinds: Columns
    columns: tuple[str, ...]
    together: tuple[str, ...] = ()

    @property
    def conditions(self) -> tuple[str, ...]:
        return self.by

    def _together(self) -> list[str]:
        return [*self.together]

    def _columns(self) -> Iterable[str]:
        return (*self.together, *self.columns)

    def _kinds(self, kinds: Columns, empty: pl.DataFrame) -> dict[str, Kind]:
        return dict(self.kinds)

    def _records(self, rows: pl.DataFrame) -> Iterable[Record]:
        return self.make(rows)


def _changed(minus: Mapping[str, Scalar] | pl.Expr | None) -> Mapping[str, Scalar]:
    return minus if isinstance(minus, Mapping) else {}


def _rank(value: Scalar, known: Sequence[Scalar] | None) -> tuple[int, Any]:
    if known is not None:
        return 1, known.index(value) if value in known else len(known)
    return (0, 0) if value is None else (1, value)


def _plain(table: pa.Table) -> pa.Table:
    """Text as `string`, which is what other libraries take it for."""
    types = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}
    fields = [pa.field(one.name, types.get(one.type, one.type)) for one in table.schema]
    return table.cast(pa.schema(fields))
