"""Summaries as declarations: which rows belong together, their estimates, and their controls.

    SUMMARY = Summary(
        by=("source", "target", "window"),
        where=c("baseline_correct"),
        estimates=(Estimate("accuracy", c("correct")),),
        differences=(Contrast("difference", c("correct"), minus={"source": "random"}),),
    )

`Summary` has one record for each combination of `by`, `Peaks` the best of several candidates,
`Computed` the results of a function on the rows of a part. `over` reads results.parquet a part at
a time (see `_parts`): `Summary` and `Computed` hold the rows of one part, `Peaks` only sums. The
columns and types of the table do not depend on the rows.
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
"""As an order: values in the order of their first appearance."""

c = pl.col
VALUE = c("value")
"""In a summary with `measures`: the value of a record's measure."""
ITEM = ("sample", "item")
"""Columns in which two rows of one item under two conditions agree."""
_CODE = "_image"


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, which takes images as the independent units.

    Attributes:
        name: name of the column; `name`_low and `name`_high hold the interval.
        of: each row's value; rows where it is undefined are ignored.
        total: denominator, if the mean is one sum over another.
        share: whether the values are between 0 and 1 (or 0 and the total).
        every: whether each image has one value, the smallest of its rows.
        band: whether the records of a curve also get a band that holds all of it.
    """

    name: str
    of: pl.Expr
    total: pl.Expr | None = None
    share: bool = True
    every: bool = False
    band: bool = False

    def over(self, rows: pl.DataFrame) -> Interval:
        """Returns the estimate of these rows."""
        total = pl.lit(1.0) if self.total is None else self.total.cast(pl.Float64)
        chosen = rows.select(_CODE, value=self.of.cast(pl.Float64), total=total).drop_nulls()
        if self.every:
            chosen = chosen.group_by(_CODE, maintain_order=True).min()
        values, images = chosen["value"].to_numpy(), chosen[_CODE].to_numpy()
        if self.share:
            totals = None if self.total is None else chosen["total"].to_numpy()
            return cluster_share(values, totals, images)
        return cluster_mean(values, images)

    def columns(self, interval: Interval) -> Record:
        """Returns the columns of the estimate."""
        width = {f"{self.name}_size": interval.size, f"{self.name}_freedom": interval.freedom}
        return interval_columns(self.name, interval) | (width if self.band else {})

    @property
    def kinds(self) -> dict[str, Kind]:
        more = ("_size", "_freedom", "_band_low", "_band_high") if self.band else ()
        return interval_kinds(self.name) | {self.name + end: NUMBER for end in more}


@dataclass(frozen=True)
class Contrast:
    """A mean of differences on the same items, with its interval and a sign-flip test over images.

    Attributes:
        name: name of the column; with `name`_low, `name`_high, the p value `name`_p and, for
            records corrected together, `name`_p_corrected.
        of: each row's value.
        minus: the control: the columns in which its key differs, or another value of the same row.
        where: values that a record's key must have for it to have a control.
        control: the control's name, in the column "control".
        reverse: the control's value minus the row's.
    """

    name: str
    of: pl.Expr
    minus: Mapping[str, Scalar] | pl.Expr
    where: Mapping[str, Scalar] = field(default_factory=dict)
    control: str | None = None
    reverse: bool = False

    def over(self, rows: pl.DataFrame, other: pl.DataFrame | None) -> PairedDifference | None:
        """The difference between these rows and those of their control; None without pairs.

        Args:
            rows: the rows.
            other: the control's, unless `minus` is another value of the same rows.
        """
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

    def columns(self, difference: PairedDifference | None) -> Record:
        """Returns the columns of the difference; none without pairs."""
        if difference is None:
            return {}
        record = test_columns(self.name, difference)
        return record if self.control is None else {"control": self.control, **record}

    def has_control(self, key: Mapping[str, Scalar]) -> bool:
        """Whether the rows of this key are compared with a control."""
        return all(key[name] == value for name, value in self.where.items())

    @property
    def kinds(self) -> dict[str, Kind]:
        control: dict[str, Kind] = {} if self.control is None else {"control": TEXT}
        return control | test_kinds(self.name)


@dataclass(frozen=True, kw_only=True)
class SummaryTable(ABC):
    """One table of a study, made from its rows.

    Attributes:
        where: which rows count; those with an error never do.
        order: columns that sort the records, each by the order of its values if one is given, else
            ascending, undefined values first.
    """

    where: pl.Expr = field(default_factory=lambda: pl.lit(True))
    order: Order = field(default_factory=dict)

    @property
    @abstractmethod
    def conditions(self) -> tuple[str, ...]:
        """The columns that identify a record."""

    def over(self, scan: ResultsScan, kinds: Columns) -> pa.Table:
        """Returns the table of all rows.

        Args:
            scan: the rows.
            kinds: kinds of the study's columns.

        Raises:
            InputError: the file is damaged.
        """
        used = [name for name in dict.fromkeys(("sample", *self._columns())) if name in kinds]
        records = [
            record
            for part in parts(
                scan, kinds, used, self._together(), c("error").is_null() & self.where
            )
            for record in self._of_part(part)
        ]
        records = self._finished(records)
        order = {
            name: [*dict.fromkeys(record[name] for record in records)] if known is SEEN else known
            for name, known in self.order.items()
        }
        records.sort(
            key=lambda record: [_rank(record[name], known) for name, known in order.items()]
        )
        empty = frame_of(scan.schema.empty_table(), kinds, used)
        types = {name: TYPES[kind] for name, kind in self._kinds(kinds, empty).items()}
        table = (
            pl.DataFrame(records, types, orient="row") if records else pl.DataFrame(schema=types)
        )
        return _plain(table.to_arrow())

    def _finished(self, records: list[Record]) -> list[Record]:
        return records

    @abstractmethod
    def _together(self) -> list[str]:
        """Returns the columns in which rows agree that have to be seen together."""

    @abstractmethod
    def _columns(self) -> Iterable[str]:
        """Returns the columns that are read besides those of `where`."""

    @abstractmethod
    def _kinds(self, kinds: Columns, empty: pl.DataFrame) -> dict[str, Kind]:
        """Returns the kind of each column of the table, in order."""

    def _of_part(self, part: Iterable[pl.DataFrame]) -> Iterable[Record]:
        """Returns the records of one part."""
        rows = pl.concat(part)
        image = c("sample").rank("dense").alias(_CODE)
        return self._records(rows.with_columns(image)) if rows.height else ()

    def _records(self, rows: pl.DataFrame) -> Iterable[Record]:
        """Returns the records of one part that fits into one frame."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Summary(SummaryTable):
    """A record for each combination of the columns `by`.

    A record holds these, then `first`, the estimates, `n` (rows) and `n_samples` (images), `means`,
    the differences, the method of the intervals, and the paper's number.

    Attributes:
        by: the columns.
        estimates: the estimates.
        differences: comparisons with controls.
        first: columns that are equal in all rows of a record.
        means: further numbers by name, which may replace the `sizes`, as expressions over all rows
            of a record.
        measures: columns; each one that was `measured` gets a record of its own, whose values are
            `VALUE`.
        measure: name of the column that holds the measure's name.
        measured: whether a row has a measure; by default if its value is defined.
        own: values that a record's own rows have besides its key; others only serve as controls.
        beside: further columns by name, for a summary with `measures`: `VALUE` of the same item in
            the rows whose key (including `own`) differs in these values.
        curve: columns or expressions; records that agree in them form a curve, and their p values
            and bands are corrected for the number of records.
        sizes: names of the columns with the numbers of rows and of images.
        interval: name of the column with the method of the intervals.
        interval_of: returns the estimate to which that refers, for a record, if any; by default the
            first.
        known: returns the paper's number for a record and its source, for "paper" and
            "paper_source".
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
        varied = {name for changed in self._controls for name in changed}
        return [name for name in self.by if name not in varied]

    @property
    def _controls(self) -> list[Mapping[str, Scalar]]:
        """The changes to a record's key that lead to the rows with which it is compared."""
        changes = (_changed(contrast.minus) for contrast in self.differences)
        return [change for change in (*changes, *self.beside.values()) if change]

    def _columns(self) -> Iterable[str]:
        used = [*(estimate.of for estimate in self.estimates), *self.means.values()]
        used += [e.total for e in self.estimates if e.total is not None]
        used += [contrast.of for contrast in self.differences]
        used += [d.minus for d in self.differences if isinstance(d.minus, pl.Expr)]
        used += map(self.measured, self.measures)
        named = chain.from_iterable(expression.meta.root_names() for expression in used)
        items = ITEM if self._controls else ()
        return (*self.by, *self.own, *self.first, *self.measures, *items, *named)

    def _kinds(self, kinds: Columns, empty: pl.DataFrame) -> dict[str, Kind]:
        columns: dict[str, Kind] = {name: kinds[name] for name in (*self.by, *self.first)}
        columns |= {self.measure: TEXT} if self.measures else {}
        for estimate in self.estimates:
            columns |= estimate.kinds
        columns |= dict.fromkeys(self.sizes, WHOLE)
        values = ("value", *self.beside) if self.measures else ()
        means = empty.with_columns(
            pl.lit(0, pl.UInt32).alias(_CODE), *(pl.lit(None, pl.Float64).alias(x) for x in values)
        ).select(**self.means)
        columns |= {x: WHOLE if kind.is_integer() else NUMBER for x, kind in means.schema.items()}
        for contrast in self.differences:
            columns |= contrast.kinds
            columns |= {f"{contrast.name}_p_corrected": NUMBER} if self.curve else {}
        columns |= {self.interval: TEXT}
        return columns | ({"paper": NUMBER, "paper_source": TEXT} if self.known else {})

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
        intervals = {estimate.name: estimate.over(rows) for estimate in self.estimates}
        record = {name: key[name] for name in self.by}
        record |= {name: rows[name][0] for name in self.first}
        for estimate in self.estimates:
            record |= estimate.columns(intervals[estimate.name])
        record |= dict(zip(self.sizes, (rows.height, rows["sample"].n_unique()), strict=True))
        record |= rows.select(**self.means).row(0, named=True) if self.means else {}
        for contrast in self.differences:
            if contrast.has_control(key):
                control = {**key, **_changed(contrast.minus)}
                # Nothing is its own control.
                other = None if control == key else groups.get(tuple(control.values()))
                record |= contrast.columns(contrast.over(rows, other))
        of = self.estimates[0].name if self.interval_of is None else self.interval_of(record)
        record[self.interval] = None if of is None else intervals[of].method
        number = None if self.known is None else self.known(record)
        return (
            record if number is None else record | {"paper": number[0], "paper_source": number[1]}
        )

    def _finished(self, records: list[Record]) -> list[Record]:
        if not self.curve or not records:
            return records
        tests = [contrast.name for contrast in self.differences]
        bands = [estimate.name for estimate in self.estimates if estimate.band]
        curves = pl.DataFrame(records, infer_schema_length=None).select(
            c(column) if isinstance(column, str) else column for column in self.curve
        )
        return corrected(records, curves.rows(), tests, bands)


@dataclass(frozen=True, kw_only=True)
class Peaks(SummaryTable):
    """A record for each combination of `by` and each kind of candidates: the best of these.

    It is chosen on one half of the images and judged on the other; see `_best.best`.

    Attributes:
        by: the columns.
        of: each row's value; rows where it is undefined are ignored.
        among: the candidates, by the value of the column `kind`.
        kind: name of that column; without one there is one kind.
        minus: the control, as in `Contrast`; it has no record of its own.
        smallest: whether the smallest is the best, given a record's key.
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
        used = [self.of, *(candidates.where for candidates in self.among.values())]
        used += [self.minus] if isinstance(self.minus, pl.Expr) else []
        candidates = chain.from_iterable(kind.columns for kind in self.among.values())
        return (*self.by, *candidates, *chain.from_iterable(x.meta.root_names() for x in used))

    def _kinds(self, kinds: Columns, empty: pl.DataFrame) -> dict[str, Kind]:
        columns: dict[str, Kind] = {name: kinds[name] for name in self.by}
        return columns | ({} if self.kind is None else {self.kind: TEXT}) | PEAK

    def _of_part(self, part: Iterable[pl.DataFrame]) -> Iterable[Record]:
        expressions = [self.of, *([self.minus] if isinstance(self.minus, pl.Expr) else [])]
        sums: dict[tuple, dict[str, list[CandidateSums]]] = {}
        for rows in part:
            groups = rows.partition_by(self.by, maintain_order=True, as_dict=True)
            for values, items in groups.items():
                new = {
                    name: [CandidateSums(candidates) for _ in expressions]
                    for name, candidates in self.among.items()
                }
                for of_expressions in sums.setdefault(values, new).values():
                    for held, expression in zip(of_expressions, expressions, strict=True):
                        held.add(items, expression)
        changed = _changed(self.minus)
        for values, of_kind in sums.items():
            key: Record = dict(zip(self.by, values, strict=True))
            other = {**key, **changed}
            if changed and other == key:
                continue
            controls = sums.get(tuple(other.values()), {})
            for name, candidates in self.among.items():
                measured, *of_same_rows = of_kind[name]
                of_control = controls.get(name, []) if changed else of_same_rows
                if measured.n_rows:
                    kind: Record = {} if self.kind is None else {self.kind: name}
                    control = of_control[0] if of_control else None
                    yield key | kind | peak(candidates, measured, control, self.smallest(key))


@dataclass(frozen=True, kw_only=True)
class Computed(SummaryTable):
    """The results of a function on the rows of each part.

    Attributes:
        make: returns the records of rows that agree in the columns `together`.
        by: the columns that identify a record.
        kinds: kinds of the records' columns, in order.
        columns: columns that it reads besides `together`.
        together: the columns in which the rows of a part agree.
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
    """Converts text to `string`, which other libraries expect."""
    types = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}
    fields = [pa.field(f.name, types.get(f.type, f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))
