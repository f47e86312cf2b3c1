"""The predicates of a subset: its top-level WHERE, split at AND, and QUALIFY.

Belongs here: finding the clauses of a compiled model and cutting its WHERE into predicates.
Does not belong here: counting (``waterfall.py``) and judging one sample (``explain.py``), which share ``Selection.probe``.

sqlglot says what the predicates are; their text, which is also what runs, is cut out of the model as its author wrote it. So a
predicate can never mean something else here than in the model, and people read their own words. A ``-- comment`` at the end
of a predicate's line is its label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from arot_assets.errors import ProjectError
from arot_assets.subsets.model import Model

if TYPE_CHECKING:
    from sqlglot import Token, exp

DIALECT = "duckdb"
NOT_IN_A_SUBSET = {
    "group": "GROUP BY",
    "having": "HAVING",
    "distinct": "DISTINCT",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "sample": "USING SAMPLE",
}


@dataclass(frozen=True)
class Predicate:
    """One condition that a sample must meet.

    Attributes:
        text: the SQL as written.
        label: the comment at the end of its line, None without one.
        columns: the columns of the model's FROM that it mentions, as written, each once.
        line: 1-based line in the compiled SQL where it starts.
        kind: ``where``, or ``qualify`` (judged among the rows that passed all of WHERE).
    """

    text: str
    label: str | None
    columns: tuple[str, ...]
    line: int
    kind: Literal["where", "qualify"] = "where"


@dataclass(frozen=True)
class Selection:
    """A subset's SQL, taken apart.

    Attributes:
        sql: the compiled model.
        predicates: of WHERE, in order.
        qualify: of QUALIFY, None without one.
        head: from the start to the end of the select list (``with … select a, b``).
        tail: from FROM on, without WHERE, QUALIFY and ORDER BY.
    """

    sql: str
    predicates: tuple[Predicate, ...]
    qualify: Predicate | None
    head: str
    tail: str

    @property
    def all_predicates(self) -> tuple[Predicate, ...]:
        """WHERE's, then QUALIFY's."""
        return (*self.predicates, self.qualify) if self.qualify else self.predicates

    def probe(self, columns: Sequence[str], where: bool = False) -> str:
        """The model's rows before its predicates, with more columns.

        Args:
            columns: SQL expressions with aliases, added after the model's own columns.
            where: keep the WHERE (still no QUALIFY).
        """
        head = f"{self.head},\n" + ",\n".join(columns) if columns else self.head
        kept = " and ".join(f"(\n{p.text}\n)" for p in self.predicates)
        return f"{head}\n{self.tail}" + (f"\nwhere {kept}" if where and kept else "")


def parse(sql: str, model: Model) -> "exp.Expr":
    """Parse one SELECT.

    Args:
        sql: the compiled model.
        model: where it comes from, for errors.

    Raises:
        ProjectError: not SQL, or not one query.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [s for s in sqlglot.parse(sql, dialect=DIALECT) if s is not None]
    except SqlglotError as error:
        details: list[dict[str, Any]] = getattr(error, "errors", [])
        line = details[0].get("line") if details else None
        what = details[0].get("description") if details else str(error).splitlines()[0]
        near = details[0].get("highlight") if details else None
        raise ProjectError(
            f"SQL syntax error{f' near {near!r}' if near else ''}: {what}", model.path, model.line_of(sql, line)
        ) from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query | exp.Values | exp.Pivot):
        raise ProjectError("a model is one SELECT without anything after it; remove the rest", model.path)
    return statements[0]


def split(sql: str, model: Model) -> Selection:
    """Take a subset's SQL apart.

    Args:
        sql: the compiled model.
        model: where it comes from, for errors.

    Raises:
        ProjectError: not SQL, or of a shape in which WHERE does not select samples.
    """
    from sqlglot import exp, tokenize

    tree = parse(sql, model)
    if not isinstance(tree, exp.Select):
        raise ProjectError(
            f"a subset is one SELECT … FROM … WHERE …, not a {type(tree).__name__.upper()}; put that into a CTE",
            model.path,
        )
    for key, name in NOT_IN_A_SUBSET.items():
        if tree.args.get(key):
            raise ProjectError(
                f"a subset selects samples by WHERE and QUALIFY, so its last SELECT has no {name}; "
                "put it into a CTE or a model of its own (for the best n: qualify row_number() over (order by …) <= n)",
                model.path,
            )
    tokens = tokenize(sql, dialect=DIALECT)
    clauses = _clauses(tokens)
    if "SELECT" not in clauses or "FROM" not in clauses or clauses["FROM"][0] < clauses["SELECT"][0]:
        raise ProjectError("a subset reads SELECT … FROM … WHERE …, in this order", model.path)

    def cut(first: int, last: int) -> str:
        return sql[tokens[first].start : tokens[last - 1].end + 1]

    where, qualify = tree.args.get("where"), tree.args.get("qualify")
    predicates = []
    if where is not None:
        nodes = list(where.this.flatten(unnest=False)) if isinstance(where.this, exp.And) else [where.this]
        first, last = clauses["WHERE"]
        spans = list(_conjuncts(tokens, first + 1, last))
        texts = [cut(*span) for span in spans]
        if not _same(texts, nodes):
            raise ProjectError(
                "cannot cut this WHERE at its ANDs; put each condition into brackets",
                model.path,
                model.line_of(sql, tokens[first].line),
            )
        predicates = [
            Predicate(text, _label(sql, tokens, end), _columns(node), tokens[start].line)
            for text, node, (start, end) in zip(texts, nodes, spans, strict=True)
        ]
    best = None
    if qualify is not None:
        first, last = clauses["QUALIFY"]
        best = Predicate(
            cut(first + 1, last), _label(sql, tokens, last), _columns(qualify.this), tokens[first].line, "qualify"
        )
    end_of_list = clauses["FROM"][0]
    if tokens[end_of_list - 1].text == ",":
        end_of_list -= 1
    tail = "\n".join(cut(*clauses[name]) for name in ("FROM", "WINDOW") if name in clauses)
    return Selection(sql, tuple(predicates), best, cut(0, end_of_list), tail)


def _clauses(tokens: "Sequence[Token]") -> dict[str, tuple[int, int]]:
    """Token ranges of the clauses of the last SELECT that stands outside all brackets."""
    starts: list[tuple[str, int]] = []
    names = ("SELECT", "FROM", "WHERE", "QUALIFY", "WINDOW", "ORDER BY")
    end = len(tokens)
    for i, depth in _outside_brackets(tokens, 0, len(tokens)):
        name = " ".join(tokens[i].text.upper().split())
        if depth or tokens[i].token_type.name in ("STRING", "IDENTIFIER"):
            continue
        if name == ";":
            end = i
        if name == "FROM" and i and tokens[i - 1].text.upper() == "DISTINCT":
            continue
        if name in names:
            starts.append((name, i))
    return {
        name: (i, starts[n + 1][1] if n + 1 < len(starts) else end) for n, (name, i) in enumerate(starts) if i < end
    }


def _outside_brackets(tokens: "Sequence[Token]", first: int, last: int) -> Iterator[tuple[int, int]]:
    """Positions with their depth in brackets and CASE … END; an opening or closing token has the depth outside."""
    depth = 0
    for i in range(first, last):
        word = tokens[i].text.upper() if tokens[i].token_type.name not in ("STRING", "IDENTIFIER") else ""
        if word in (")", "]", "}", "END") and depth:
            depth -= 1
        yield i, depth
        if word in ("(", "[", "{", "CASE"):
            depth += 1


def _conjuncts(tokens: "Sequence[Token]", first: int, last: int) -> Iterator[tuple[int, int]]:
    """Token ranges between the ANDs that join predicates (not the AND of a BETWEEN)."""
    start, between = first, 0
    for i, depth in _outside_brackets(tokens, first, last):
        kind = tokens[i].token_type.name
        if depth:
            continue
        if kind == "BETWEEN":
            between += 1
        elif kind == "AND" and between:
            between -= 1
        elif kind == "AND":
            yield start, i
            start = i + 1
    yield start, last


def _same(texts: Sequence[str], nodes: "Sequence[exp.Expr]") -> bool:
    """Whether each text parses to the predicate that sqlglot found in the whole."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(texts) != len(nodes):
        return False
    for text, node in zip(texts, nodes, strict=True):
        try:
            alone = sqlglot.parse_one(text, dialect=DIALECT)
        except SqlglotError:
            return False
        if alone.sql(DIALECT, comments=False) != node.sql(DIALECT, comments=False):
            return False
    return True


def _label(sql: str, tokens: "Sequence[Token]", end: int) -> str | None:
    """The ``-- comment`` behind the last token of a predicate, on the same line."""
    position = tokens[end - 1].end + 1
    rest = sql[position:].split("\n", 1)[0].strip()
    return rest.removeprefix("--").strip() or None if rest.startswith("--") else None


def _columns(node: "exp.Expr") -> tuple[str, ...]:
    """Columns of the outer FROM: those of a subquery inside the predicate are its own affair."""
    from sqlglot import exp

    inside = node.walk(prune=lambda n: isinstance(n, exp.Query))
    return tuple(dict.fromkeys(n.sql(DIALECT, comments=False) for n in inside if isinstance(n, exp.Column)))
