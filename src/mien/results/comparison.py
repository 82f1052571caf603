"""Compare groups of faces: how each expression and region differs, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mien.files import check_writable, write_whole
from mien.notebook import html_table
from mien.resampling import Permuted
from mien.results.comparison_figure import figure
from mien.results.frames import data_frame
from mien.results.group_numbers import LEVEL, GroupMean, GroupTest, means_of, tests_of
from mien.results.groups import Units, gather, kind_of
from mien.results.tables import csv_text, markdown_table
from mien.types import FloatArray, InputError, checked_seed
from mien.wording import PLURAL, counted

FEW: Final = 10  # units of a group below which an interval says little
FILES: Final = (".csv", ".json", ".md")
FIGURES: Final = (".png", ".svg", ".pdf")


@dataclass(frozen=True, repr=False)
class GroupComparison:
    """What :func:`compare_groups` found: means, tests, counts, and how it was done."""

    groups: tuple[str, ...]  # in the order of the table
    by: str  # the column that holds the groups, or "table"
    unit: str  # what is independent: "row", or the columns that make a cluster
    paired: bool  # whether units are in several groups
    units: dict[str, int]  # independent units of each group
    rows: dict[str, int]  # rows of each group
    excluded: dict[str, int]  # rows that are left out, by reason
    means: tuple[GroupMean, ...]  # of each column in each group, with intervals
    tests: tuple[GroupTest, ...]  # of each column in each pair of groups
    draws: int  # of the bootstrap, and at most of permutations
    seed: int  # of everything that is drawn
    assignments: dict[str, int]  # of each pair's permutation test
    exact: bool  # whether every pair's test looked at all assignments
    warnings: tuple[str, ...]  # what makes the tests doubtful, in words

    def table(self) -> list[dict[str, Any]]:
        """A flat row for each test, with both means and their intervals."""
        means = {(m.column, m.group): m for m in self.means}
        rows = []
        for test in self.tests:
            row: dict[str, Any] = {"column": test.column, "kind": test.kind}
            for side, group in (("first", test.first), ("second", test.second)):
                m = means[test.column, group]
                row |= {side: group, f"{side}_units": m.units, f"{side}_mean": m.mean}
                row |= {f"{side}_low": m.low, f"{side}_high": m.high, f"{side}_sd": m.sd}
            rest = asdict(test)
            rows.append(row | {k: v for k, v in rest.items() if k not in row})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)

    def to_pandas(self) -> Any:
        """:meth:`table` as a pandas data frame; MissingExtraError without pandas."""
        return data_frame(self.table())

    @property
    def method(self) -> str:
        """How it was done, in a paragraph for a paper's methods section."""
        test = "sign-flip test of paired units" if self.paired else "permutation test of Welch's t"
        most = max(self.assignments.values())
        how = "all" if self.exact else f"up to {most:,}"
        each = "row" if self.unit == "row" else f"mean over the rows of one {self.unit}"
        tests = counted(len(self.tests), "test")
        return (
            f"Each unit is a {each}. Intervals are of {LEVEL:.0%}, by bootstrap over units "
            f"(expanded percentiles, {self.draws:,} draws). P-values are of a two-sided {test} "
            f"over {how} assignments, corrected for {tests} by Holm's method. "
            "Differences are the second group less the first; g is Hedges' g, delta is Cliff's. "
            f"Seed {self.seed}."
        )

    @property
    def counts(self) -> str:
        """How many units and rows are in each group, and which rows are left out and why."""
        parts = [
            f"{g}: {counted(self.units[g], 'unit')}"
            + ("" if self.unit == "row" else f" of {counted(self.rows[g], 'row')}")
            for g in self.groups
        ]
        out = [f"{count:,} {reason}" for reason, count in self.excluded.items()]
        return f"{'; '.join(parts)}. Left out: {', '.join(out) + '.' if out else 'no row.'}"

    @property
    def findings(self) -> list[str]:
        """A line for each test that holds after the correction, the clearest first."""
        means = {(m.column, m.group): m.mean for m in self.means}
        sure = [t for t in self.tests if t.p_holm < 1 - LEVEL]
        lines = []
        for t in sorted(sure, key=lambda t: (t.p_holm, -abs(t.cliffs_delta))):
            word = "higher" if t.difference > 0 else "lower"
            a, b = means[t.column, t.first], means[t.column, t.second]
            g = "" if t.hedges_g is None else f", g {t.hedges_g:+.2f}"
            first, second = _apart(a, b)
            verb = "are" if t.column in PLURAL else "is"
            lines.append(
                f"{t.column} {verb} {word} in {t.second} ({second}) "
                f"than in {t.first} ({first}): {_digits(t.difference, '+')}, "
                f"{_digits(t.low, '+')} to {_digits(t.high, '+')}{g}, p {p_text(t.p_holm)}"
            )
        tests = counted(len(self.tests), "test")
        return lines or [f"no difference holds after correction for {tests}"]

    def save(self, path: str | Path) -> Path:
        """Write the tests as .csv, all as .json, or a report as .md; returns the path.

        Parameters
        ----------
        path
            Its suffix says the format.
        """
        path = check_name(path, FILES)
        if path.suffix == ".json":
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
        elif path.suffix == ".csv":
            rows = self.table()
            text = csv_text([list(rows[0]), *(list(row.values()) for row in rows)])
        else:
            header, rows_ = cells(self)
            said = "".join(f"- {line}\n" for line in (*self.findings, *self.warnings))
            text = f"{said}\n{markdown_table(header, rows_)}\n{self.counts}\n\n{self.method}\n"
        return write_whole(path, text)

    def plot(self) -> Any:
        """A matplotlib figure of the means with their intervals; MissingExtraError without it."""
        return figure(self.groups, self.units, self.means, self.tests)

    def __repr__(self) -> str:
        columns = len({test.column for test in self.tests})
        return f"<GroupComparison: {counted(columns, 'column')} in {', '.join(self.groups)}>"

    def _repr_html_(self) -> str:
        header, rows = cells(self)
        return html_table(header, rows)


def compare_groups(
    tables: object,
    *,
    by: str | None = None,
    cluster: str | Sequence[str] | None = None,
    columns: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    draws: int = 9999,
    seed: int = 0,
) -> GroupComparison:
    """Compare groups of faces: means, intervals, permutation tests and effect sizes.

    Parameters
    ----------
    tables
        Rows with a column of groups: a path (CSV, JSON, JSON lines, Parquet, or a batch's folder),
        :class:`mien.Predictions`, :class:`mien.Explanations`, a data frame, or dictionaries. Or
        a table for each group: a mapping of names to such, or a list of paths.
    by
        The column of the groups; ``folder`` is the folder that each input lies in.
    cluster
        The column or columns that name what is independent, such as a person, where there are
        several rows of each: a cluster's rows are averaged and stay together. Of clusters with
        rows in several groups the test is paired, and those that lack a group are left out.
    columns, where
        What to compare, every expression and region where none is named; and only rows with these
        values, as ``{"method": "regions"}``.
    draws, seed
        Bootstrap draws, and assignments of a permutation test at most, 99 to 1,000,000.

    Rows with an error, without a face, a group or a value are left out and counted. InputError for
    fewer than 2 groups or 2 units in one, UnknownNameError for an unknown column.

    >>> rows = [{"who": i, "day": d, "happy": 0.1 * i + 0.3 * d} for i in range(6) for d in (0, 1)]
    >>> found = compare_groups(rows, by="day", cluster="who")
    >>> found.paired, round(found.tests[0].difference, 2), found.tests[0].p
    (True, 0.3, 0.03125)
    """
    _check_draws(draws, seed)
    units = gather(tables, by=by, cluster=cluster, columns=columns, where=where)
    _check_sizes(units)
    keys = (cluster,) if isinstance(cluster, str) else tuple(cluster or ())
    tests, permuted = tests_of(units, draws, seed)
    return GroupComparison(
        groups=units.groups,
        by=by or "table",
        unit=" and ".join(keys) or "row",
        paired=units.paired,
        units={g: len(v) for g, v in units.values.items()},
        rows=units.rows,
        excluded=units.excluded,
        means=means_of(units, draws, seed),
        tests=tests,
        draws=draws,
        seed=seed,
        assignments={f"{a} / {b}": found.assignments for (a, b), found in permuted.items()},
        exact=all(found.exact for found in permuted.values()),
        warnings=_warnings(units, len(tests), permuted),
    )


def _check_draws(draws: int, seed: int) -> None:
    checked_seed(seed)
    if not 99 <= draws <= 1_000_000:
        raise InputError(f"expected 99 to 1,000,000 draws, got {draws:,}")


def _check_sizes(units: Units) -> None:
    """Raise InputError for a group that is too small to be compared."""
    for group in units.groups:
        if len(units.values[group]) < 2:
            raise InputError(
                f"expected at least 2 units in each group, got {len(units.values[group])} in "
                f"{group!r}; leave the group out, or name another cluster"
            )


def _least(units: Units, pair: tuple[str, str], found: Permuted) -> float:
    """The smallest p-value that a test can have.

    Where an assignment's mirror image is one, too, the given one is never extreme alone.
    """
    first, second = (len(units.values[group]) for group in pair)
    mirrored = found.exact and (units.paired or first == second)
    return (2 if mirrored else 1) / found.assignments


def _beyond(values: FloatArray) -> bool:
    return bool(((values < 0) | (values > 1)).any())


def _warnings(
    units: Units, tests: int, permuted: Mapping[tuple[str, str], Permuted]
) -> tuple[str, ...]:
    """What to know before these numbers are believed."""
    said = []
    if units.hang_together:
        said.append(
            "frames of one clip are not independent, but each counts as one here: p-values are far "
            "too small; name what is, as cluster=input,face_id"
        )
    least = max(_least(units, pair, found) for pair, found in permuted.items())
    if least * tests >= 1 - LEVEL:
        said.append(
            f"no difference can hold: of so few units the smallest p-value is {least:.2g}, times "
            f"{tests} tests; compare fewer columns, or more units"
        )
    odd = [
        name
        for i, name in enumerate(units.columns)
        if kind_of(name) == "expression" and any(_beyond(v[:, i]) for v in units.values.values())
    ]
    if odd:
        said.append(f"{', '.join(odd)}: values outside 0 to 1, which are no probabilities")
    small = min(len(values) for values in units.values.values())
    if small < FEW:
        said.append(f"intervals of {small} units are rough; see the tests instead")
    if len(units.targets) > 1:
        said.append(
            f"the regions speak for {', '.join(units.targets)}, each face's own; explain all with "
            "one target to ask one question"
        )
    return tuple(said)


def cells(found: GroupComparison) -> tuple[list[str], list[list[str]]]:
    """The comparison as a table of texts: header and rows."""
    header = ["", *found.groups] if len(found.groups) == 2 else ["", "first", "second"]
    header += ["difference", "95 % interval", "g", "delta", "p", "p (Holm)"]
    means = {(m.column, m.group): m for m in found.means}
    rows = []
    for t in found.tests:
        row = [t.column]
        for group in (t.first, t.second):
            mean = _digits(means[t.column, group].mean)
            row.append(mean if len(found.groups) == 2 else f"{group} {mean}")
        g = "" if t.hedges_g is None else f"{t.hedges_g:+.2f}"
        span = f"{_digits(t.low, '+')} to {_digits(t.high, '+')}"
        row += [_digits(t.difference, "+"), span, g]
        rows.append([*row, f"{t.cliffs_delta:+.2f}", p_text(t.p), p_text(t.p_holm)])
    return header, rows


def _digits(value: float, sign: str = "") -> str:
    """A mean or a difference in two digits, three where it is small.

    >>> _digits(0.4567), _digits(0.0123, "+")
    ('0.46', '+0.012')
    """
    return f"{value:{sign}.3f}" if abs(value) < 0.1 else f"{value:{sign}.2f}"


def _apart(a: float, b: float) -> tuple[str, str]:
    """Two means that differ, in as many digits as show it.

    >>> _apart(0.1521, 0.1459), _apart(0.4567, 0.012)
    (('0.152', '0.146'), ('0.46', '0.012'))
    """
    texts = _digits(a), _digits(b)
    for digits in range(3, 7):
        if texts[0] != texts[1]:
            break
        texts = f"{a:.{digits}f}", f"{b:.{digits}f}"
    return texts


def p_text(p: float) -> str:
    """A p-value that is never 0.

    >>> p_text(0.0314), p_text(0.00002)
    ('0.031', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def check_name(path: str | Path, suffixes: Sequence[str]) -> Path:
    """The path of a file to write; InputError for another suffix or where it cannot be written."""
    path = Path(path)
    if path.suffix not in suffixes:
        raise InputError(f"{path}: expected a name ending in {' or '.join(suffixes)}; rename it")
    check_writable(path)
    return path
