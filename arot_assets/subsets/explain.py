"""Why one sample is in a subset, or not.

Belongs here: evaluating each predicate for the sample. Does not belong here: finding it (``find_sample.py``), counting
over all samples (``waterfall.py``), printing to a terminal (the command line).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arot_assets.errors import ProjectError
from arot_assets.markdown import write_table
from arot_assets.subsets.describe import check_inputs, describe_model, lottery_problem, run_derived
from arot_assets.subsets.find_sample import SampleMatch, find_sample
from arot_assets.subsets.model import Model
from arot_assets.subsets.predicates import Predicate, SubsetClauses, split
from arot_assets.subsets.project import MODELS_SCHEMA, Project
from arot_assets.subsets.syntax import name as column_name
from arot_assets.subsets.syntax import sql_error
from arot_assets.subsets.waterfall import flags, verdict_columns
from resources.warehouse import Connection
from resources.warehouse.views import literal, quote

LONGEST_VALUE = 80


@dataclass(frozen=True)
class Verdict:
    """One predicate, evaluated for one sample.

    Attributes:
        text: the predicate as written.
        label: its comment, None if there is none.
        values: the sample's own values of the columns that the predicate mentions.
        inside: whether it lets the sample in (null counts as no); None if it was not evaluated: QUALIFY only considers
            samples that passed WHERE.
    """

    text: str
    label: str | None
    values: dict[str, Any]
    inside: bool | None


@dataclass(frozen=True)
class Explanation:
    """One sample's path through one subset, and through the subsets upstream.

    Attributes:
        model: the subset.
        sample_id: the sample.
        uri: the address of its file.
        selected: whether the subset contains it.
        reached: whether the sample is among the rows that the subset considers. If not, an upstream table lacks it.
        verdicts: of each predicate, in order; empty if not reached.
        upstream: the same for every subset that this one refers to.
        missing_from: tables read by this subset that have no row for the sample.
        notes: further information.
    """

    model: str
    sample_id: str
    uri: str
    selected: bool
    reached: bool
    verdicts: tuple[Verdict, ...]
    upstream: tuple["Explanation", ...]
    missing_from: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def dropped_by(self) -> tuple[str, str] | None:
        """(model, predicate) that dropped it first, upstream subsets first; None if it is selected, or no predicate
        dropped it."""
        for before in self.upstream:
            if before.dropped_by is not None:
                return before.dropped_by
        return next(((self.model, v.text) for v in self.verdicts if not v.inside), None)

    def to_markdown(self) -> str:
        """A heading and a table for each subset, upstream subsets first."""
        parts = [before.to_markdown() for before in self.upstream]
        lines = [f"**{self.model}**: {'in' if self.selected else 'out'} (`{self.sample_id}`, {self.uri})", ""]
        rows = []
        for verdict in self.verdicts:
            mark = {True: "in", False: "**out**", None: "–"}[verdict.inside]
            text = f"`{' '.join(verdict.text.split())}`" + (f" ({verdict.label})" if verdict.label else "")
            values = ", ".join(f"{k} = {show(v)}" for k, v in verdict.values.items())
            rows.append((mark, text, values))
        if rows:
            lines.append(write_table(("", "predicate", "this sample"), rows))
        if not self.reached:
            missing = ", ".join(self.missing_from) or "its tables (joined)"
            lines.append(f"Not among the rows that {self.model} considers: no row in {missing}.")
        lines += [f"Note: {note}" for note in self.notes]
        return "\n\n".join([*parts, "\n".join(lines)])


def explain(project: Project, model: str, sample: str, con: Connection) -> Explanation:
    """Evaluate every predicate of a subset and of the subsets upstream for a sample.

    Args:
        project: the SQL project.
        model: a model tagged ``subset``.
        sample: the beginning of a sample_id (at least 4 hex digits), a URI, or a file name.
        con: a connection with the views of the catalogue (``Warehouse.connect()``).

    Raises:
        ProjectError: no such subset or sample, more than one sample, or a missing table.
    """
    target = _subset(project, model)
    found = find_sample(con, _datasets(project, target), sample)
    return _explain(project, target, found, con, found.notes)


def waterfall_text(project: Project, model: str, con: Connection) -> str:
    """The waterfall of a subset from its current SQL and tables, for a terminal.

    Raises:
        ProjectError: no such subset, a table does not exist yet, or the SQL does not run.
    """
    result = describe_model(project, _subset(project, model).name, con)
    if result.waterfall is None:
        return f"{model} has no waterfall: {result.waterfall_problem}"
    return f"{model}: {result.waterfall.kept:,} of {result.waterfall.total:,} rows\n{result.waterfall.to_text()}"


def _subset(project: Project, model: str) -> Model:
    target = project.model(model)
    if not target.is_subset:
        subsets = ", ".join(m.name for m in project.models.values() if m.is_subset) or "none"
        raise ProjectError(
            f"model '{model}' is not a subset (it has no tag 'subset'), so nothing is dropped. Subsets: {subsets}"
        )
    return target


def show(value: Any) -> str:
    """A value in short form."""
    text = f"{value:.6g}" if isinstance(value, float) else "null" if value is None else repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _datasets(project: Project, model: Model) -> list[str]:
    """Schemas of the sources that a model reads, directly or through others."""
    found = [project.source(*s).schema for s in model.sources]
    for ref in model.refs:
        found += _datasets(project, project.models[ref])
    return list(dict.fromkeys(found))


def _subsets_before(project: Project, model: Model) -> list[Model]:
    """The nearest subsets upstream, including through models that are not subsets."""
    found: list[Model] = []
    for name in model.refs:
        before = project.models[name]
        found += [before] if before.is_subset else _subsets_before(project, before)
    return list({m.name: m for m in found}.values())


def _explain(
    project: Project, model: Model, found: SampleMatch, con: Connection, notes: tuple[str, ...] = ()
) -> Explanation:
    upstream = tuple(_explain(project, m, found, con) for m in _subsets_before(project, model))
    inputs = check_inputs(project, model, con)
    selection = split(project.compile(model.name), model)
    if selection.lottery is not None:
        return _by_lot(selection.lottery, model, found, con, upstream, notes)
    row = _values(selection, model, found.sample_id, con)
    verdicts: tuple[Verdict, ...] = () if row is None else row.verdicts
    if row is not None and selection.qualify is not None:
        verdicts += (_qualify(selection, selection.qualify, model, found.sample_id, con, row),)
    selected = row is not None and all(v.inside for v in verdicts)
    missing = [] if row is not None else _missing_from(con, inputs, found.sample_id)
    return Explanation(
        model=model.name,
        sample_id=found.sample_id,
        uri=found.uri,
        selected=selected,
        reached=row is not None,
        verdicts=verdicts,
        upstream=upstream,
        missing_from=tuple(missing),
        notes=(*notes, *_stale(con, model, found.sample_id, selected)),
    )


def _by_lot(
    lottery: str,
    model: Model,
    found: SampleMatch,
    con: Connection,
    upstream: tuple[Explanation, ...],
    notes: tuple[str, ...],
) -> Explanation:
    """For a random subset, only the rows that were selected mean anything."""
    stored = _stored(con, model, found.sample_id)
    drawn = f"{model.name} has not been built yet" if stored is None else "this is what the stored table contains"
    return Explanation(
        model=model.name,
        sample_id=found.sample_id,
        uri=found.uri,
        selected=bool(stored),
        reached=True,
        verdicts=(),
        upstream=upstream,
        missing_from=(),
        notes=(*notes, f"{drawn}: {lottery_problem(lottery)}"),
    )


@dataclass(frozen=True)
class _Row:
    """One row of a sample: the verdicts of WHERE's predicates, and the values that QUALIFY mentions."""

    verdicts: tuple[Verdict, ...]
    qualify: dict[str, Any]


def _values(selection: SubsetClauses, model: Model, sample_id: str, con: Connection) -> _Row | None:
    """Predicates and values of one sample; of its rows (a join may produce several), the one that passes most."""
    import duckdb

    try:
        verdicts = flags(con, selection)
    except duckdb.Error as error:
        raise sql_error(model, error) from error
    mentioned = [
        [*p.columns, *(column_name([c]) for c in (verdicts[i] if p.kind == "where" else ()) if c)]
        for i, p in enumerate(selection.all_predicates)
    ]
    readable = _readable(con, selection, [c for columns in mentioned for c in columns])
    aliases = {column: f"__arot_v{i}" for i, column in enumerate(readable)}
    probed = [*verdict_columns(selection), *(f'{column} as "{alias}"' for column, alias in aliases.items())]
    judged = [" and ".join(v.values()) for v in verdicts]
    furthest = f"order by {', '.join(f'({j}) desc' for j in judged)}" if judged else ""
    shown = "columns('^__arot_')" if probed else "1"
    sql = f"""select {shown} from (\n{selection.probe(probed)}\n)
        where sample_id = {literal(sample_id)} {furthest} limit 1"""
    result = run_derived(con, model, sql)
    names = [column_name([d[0]]) for d in result.description or ()]
    values = result.fetchone()
    if values is None:
        return None
    row = dict(zip(names, values, strict=True))

    def value_of(i: int) -> dict[str, Any]:
        return {c: row[column_name([aliases[c]])] for c in mentioned[i] if c in aliases}

    found = []
    for i, predicate in enumerate(selection.predicates):
        passed = {column_name([c]) if c else "": bool(row[flag]) for c, flag in verdicts[i].items()}
        # of a condition on many columns, show those that do not meet it
        own = {c: v for c, v in value_of(i).items() if c in predicate.columns or not passed.get(c, True)}
        found.append(Verdict(predicate.text, predicate.label, own, all(passed.values())))
    return _Row(tuple(found), value_of(len(selection.predicates)) if selection.qualify else {})


def _readable(con: Connection, selection: SubsetClauses, columns: Sequence[str]) -> list[str]:
    """The mentioned columns whose value can be shown: a name that several tables have cannot."""
    import duckdb

    def binds(some: Sequence[str]) -> bool:
        try:
            con.execute(f"describe {selection.probe([f'{c} as __arot_v{i}' for i, c in enumerate(some)])}")
        except duckdb.Error:
            return False
        return True

    unique = list(dict.fromkeys(columns))
    return unique if binds(unique) else [c for c in unique if binds([c])]


def _qualify(
    selection: SubsetClauses,
    predicate: Predicate,
    model: Model,
    sample_id: str,
    con: Connection,
    row: _Row,
) -> Verdict:
    """QUALIFY's verdict: its windows cover all rows that passed WHERE, so it is evaluated there."""
    if not all(v.inside for v in row.verdicts):
        return Verdict(predicate.text, predicate.label, row.qualify, None)
    probe = selection.probe([], where=True, qualify=True)
    sql = f"select 1 from (\n{probe}\n) where sample_id = {literal(sample_id)} limit 1"
    judged = run_derived(con, model, sql).fetchone()
    return Verdict(predicate.text, predicate.label, row.qualify, judged is not None)


def _missing_from(con: Connection, inputs: dict[tuple[str, str], dict[str, str]], sample_id: str) -> list[str]:
    missing = []
    for (schema, table), columns in inputs.items():
        if "sample_id" in columns:
            query = f'select 1 from "{schema}"."{table}" where sample_id = ? limit 1'
            if con.execute(query, [sample_id]).fetchone() is None:
                missing.append(table if schema == MODELS_SCHEMA else f"{schema}.{table}")
    return missing


def _stored(con: Connection, model: Model, sample_id: str) -> bool | None:
    """Whether the stored table of a model contains a sample; None if it has not been built yet."""
    if not con.has(MODELS_SCHEMA, model.name):
        return None
    query = f"select 1 from {quote(MODELS_SCHEMA)}.{quote(model.name)} where sample_id = ? limit 1"
    return con.execute(query, [sample_id]).fetchone() is not None


def _stale(con: Connection, model: Model, sample_id: str, selected: bool) -> list[str]:
    """A note if the stored subset differs from what its SQL says now."""
    if not model.is_stored:
        return []
    stored = _stored(con, model, sample_id)
    if stored is None:
        return [f"{model.name} has not been built yet; this is what its SQL says"]
    if stored == selected:
        return []
    return [
        f"the stored {model.name} says {'in' if stored else 'out'}: it is older than its SQL or inputs; build it again"
    ]
