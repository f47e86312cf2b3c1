"""The predicates of a subset: its top-level WHERE, split at AND, and QUALIFY.

Belongs here: finding the clauses of a compiled model and splitting its WHERE into predicates. Does not belong here:
counting (``waterfall.py``) and evaluating one sample (``explain.py``), which share ``SubsetClauses.probe``.

The text of a predicate, which is also what runs, is cut out of the model as its author wrote it, so users read their
own words. The places to cut are found among the tokens, and every cut is checked against DuckDB's own parse tree: the
pieces, joined by AND, must parse like the whole. A WHERE whose pieces do not is one predicate. A ``-- comment`` at the
end of a predicate's line is its label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from arot_assets.errors import ProjectError
from arot_assets.subsets.model import Model
from arot_assets.subsets.syntax import Token, Tree, check_query, draws_lots, name, parse_tree, tokens, walk

CLAUSES = ("select", "from", "where", "window", "qualify", "order")
CONJUNCTION = "CONJUNCTION_AND"
MODIFIERS = {
    "DISTINCT_MODIFIER": "DISTINCT",
    "LIMIT_MODIFIER": "LIMIT or OFFSET",
    "LIMIT_PERCENT_MODIFIER": "LIMIT",
}


@dataclass(frozen=True)
class Predicate:
    """One condition that a sample must meet.

    Attributes:
        text: the SQL as written.
        label: the comment at the end of its line, None if there is none.
        columns: the columns of the model's FROM that it mentions, without duplicates.
        line: 1-based line in the compiled SQL where it starts.
        expands: whether it is one condition for each of several columns: ``columns(*) is not null``.
        kind: ``where``, or ``qualify`` (evaluated among the rows that passed all of WHERE).
    """

    text: str
    label: str | None
    columns: tuple[str, ...]
    line: int
    expands: bool = False
    kind: Literal["where", "qualify"] = "where"


@dataclass(frozen=True)
class SubsetClauses:
    """The parts of a subset's SQL.

    Attributes:
        sql: the compiled model.
        predicates: of WHERE, in order.
        qualify: of QUALIFY, None if there is none.
        head: from the start to the end of the select list (``with … select a, b``).
        tables: FROM with all its joins.
        window: the WINDOW clause, empty if there is none.
        lottery: what makes the subset random (``random()``, a sample), None if it is not. If it is, neither counts nor
            a verdict about one sample would match the stored rows.
    """

    sql: str
    predicates: tuple[Predicate, ...]
    qualify: Predicate | None
    head: str
    tables: str
    window: str = ""
    lottery: str | None = None

    @property
    def all_predicates(self) -> tuple[Predicate, ...]:
        """WHERE's, then QUALIFY's."""
        return (*self.predicates, self.qualify) if self.qualify else self.predicates

    def probe(self, columns: Sequence[str], where: bool = False, qualify: bool = False) -> str:
        """The model's rows before its predicates, with additional columns.

        Args:
            columns: SQL expressions with aliases, added after the model's own columns.
            where: keep the WHERE.
            qualify: keep the QUALIFY.
        """
        parts = [f"{self.head},\n" + ",\n".join(columns) if columns else self.head, self.tables]
        if where and self.predicates:
            parts.append("where " + " and ".join(f"(\n{p.text}\n)" for p in self.predicates))
        if self.window:
            parts.append(self.window)
        if qualify and self.qualify is not None:
            parts.append(f"qualify {self.qualify.text}")
        return "\n".join(parts)


def split(sql: str, model: Model) -> SubsetClauses:
    """Split a subset's SQL into its parts.

    Args:
        sql: the compiled model.
        model: its model, for error messages.

    Raises:
        ProjectError: not SQL, or of a form in which WHERE does not select samples.
    """
    check_query(sql, model)
    tree = _select(sql, model)
    words = tokens(sql)
    clauses = _clauses(words)
    if "select" not in clauses or "from" not in clauses or clauses["from"][0] < clauses["select"][0]:
        raise ProjectError(
            "a subset must be SELECT … FROM … WHERE …, in this order and without brackets around it", model.path
        )

    def cut(first: int, last: int) -> str:
        return sql[words[first].start : words[last - 1].end]

    predicates: tuple[Predicate, ...] = ()
    if tree["where_clause"] is not None:
        first, last = clauses["where"]
        spans = list(_conjuncts(words, first + 1, last))
        pieces = [_conditions(cut(*span)) for span in spans]
        if [node for piece in pieces for node in piece] != _flat(tree["where_clause"]):
            spans, pieces = [(first + 1, last)], [[tree["where_clause"]]]
        predicates = tuple(
            Predicate(
                cut(start, end),
                _label(sql, words[end - 1]),
                columns_in(piece),
                _line(sql, words[start]),
                _expands(piece),
            )
            for (start, end), piece in zip(spans, pieces, strict=True)
        )
    best = None
    if tree["qualify"] is not None:
        first, last = clauses["qualify"]
        label, columns = _label(sql, words[last - 1]), columns_in(tree["qualify"])
        best = Predicate(cut(first + 1, last), label, columns, _line(sql, words[first]), kind="qualify")
    end_of_list = clauses["from"][0]
    if words[end_of_list - 1].word == ",":
        end_of_list -= 1
    window = cut(*clauses["window"]) if "window" in clauses else ""
    found = SubsetClauses(sql, predicates, best, cut(0, end_of_list), cut(*clauses["from"]), window, _lottery(tree))
    again = parse_tree(found.probe([], where=True, qualify=True))
    if again is None or not _reads_as(again, tree):
        raise ProjectError(
            "cannot split this subset into its parts; put everything before its WHERE into a CTE (with rows as (select …))",
            model.path,
        )
    return found


def columns_in(tree: Any) -> tuple[str, ...]:
    """Columns of the outer FROM that a condition mentions, without duplicates, as written in SQL.

    Columns of nested subqueries are not included, and parameters of a lambda or a list comprehension are not columns.
    """
    found: dict[str, None] = {}

    def look(node: Any, bound: frozenset[str]) -> None:
        if isinstance(node, list):
            for item in node:
                look(item, bound)
        elif isinstance(node, dict):
            if node.get("class") == "COLUMN_REF":
                if node["column_names"][0].lower() not in bound:
                    found[name(node["column_names"])] = None
            elif node.get("class") == "LAMBDA":  # x -> …, but also the -> of JSON, whose left side is a column
                given = {n["column_names"][0].lower() for n in _references(node["lhs"])}
                used = {n["column_names"][0].lower() for n in _references(node["expr"])}
                if given & used:
                    look(node["expr"], bound | given)
                else:
                    look([node["lhs"], node["expr"]], bound)
            else:
                for key, value in node.items():
                    if key != "subquery":
                        look(value, bound)

    look(tree, frozenset())
    return tuple(found)


def _expands(tree: Any) -> bool:
    return any(n.get("class") == "STAR" and n["columns"] for n in walk(tree, prune=("subquery",)))


def _references(tree: Any) -> Iterator[Tree]:
    return (n for n in walk(tree, prune=("subquery",)) if n.get("class") == "COLUMN_REF")


def _select(sql: str, model: Model) -> Tree:
    """The tree of a subset's final SELECT.

    Raises:
        ProjectError: it is not a SELECT, or its rows are not those that WHERE and QUALIFY leave.
    """
    tree = parse_tree(sql)
    while tree is not None and tree["type"] == "CTE_NODE":
        tree = tree["child"]
    if tree is None or tree["type"] != "SELECT_NODE":
        kind = {"SET_OPERATION_NODE": "UNION", "RECURSIVE_CTE_NODE": "UNION"}.get(tree["type"] if tree else "", "PIVOT")
        raise ProjectError(
            f"a subset must be one SELECT … FROM … WHERE …, not a {kind}; put that into a CTE", model.path
        )
    refused = [MODIFIERS[m["type"]] for m in tree["modifiers"] if m["type"] in MODIFIERS]
    if tree["group_expressions"] or tree["aggregate_handling"] == "FORCE_AGGREGATES":
        refused.append("GROUP BY")
    refused += [words for key, words in (("having", "HAVING"), ("sample", "USING SAMPLE")) if tree[key]]
    if refused:
        raise ProjectError(
            f"a subset selects samples by WHERE and QUALIFY, so its final SELECT cannot have {refused[0]}; "
            "put it into a CTE or a separate model (for the best n: qualify row_number() over (order by …) <= n)",
            model.path,
        )
    return tree


def _lottery(tree: Tree) -> str | None:
    """What makes the set of rows random; a random value that is only shown does no harm."""
    deciding = [tree["cte_map"], tree["from_table"], tree["where_clause"], tree["qualify"]]
    mentioned = {n["column_names"][-1].lower() for n in _references(deciding[2:])}
    return draws_lots(
        [*deciding, *(item for item in tree["select_list"] if item.get("alias", "").lower() in mentioned)]
    )


def _reads_as(again: Tree, tree: Tree) -> bool:
    while again["type"] == "CTE_NODE":
        again = again["child"]
    parts = ("select_list", "from_table", "qualify", "cte_map")
    return _flat(again["where_clause"]) == _flat(tree["where_clause"]) and all(again[p] == tree[p] for p in parts)


def _conditions(text: str) -> list[Tree]:
    """The conditions that a piece of WHERE parses to; none if it is not one expression."""
    tree = parse_tree(f"select 1 where (\n{text}\n)")
    return [] if tree is None or tree["type"] != "SELECT_NODE" else _flat(tree["where_clause"])


def _flat(condition: Tree | None) -> list[Tree]:
    """A condition as the list of its parts joined by AND."""
    if condition is None:
        return []
    if condition.get("type") != CONJUNCTION:
        return [condition]
    return [part for child in condition["children"] for part in _flat(child)]


def _clauses(words: Sequence[Token]) -> dict[str, tuple[int, int]]:
    """Token ranges of the clauses of the SELECT that is outside all brackets."""
    starts: list[tuple[str, int]] = []
    end = len(words)
    for i, depth in _outside_brackets(words, 0, len(words)):
        word = words[i].word
        if depth:
            continue
        if word == ";":
            end = i
            break
        if word == "from" and i and words[i - 1].word == "distinct":  # is distinct from
            continue
        if word in CLAUSES and not (i and words[i - 1].word in (".", "as")):
            starts.append((word, i))
    return {word: (i, starts[n + 1][1] if n + 1 < len(starts) else end) for n, (word, i) in enumerate(starts)}


def _outside_brackets(words: Sequence[Token], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Positions with their depth in brackets and CASE … END; an opening or closing token has the depth outside."""
    depth = 0
    for i in range(first, last):
        word = words[i].word
        if word in (")", "]", "}", "end") and depth:
            depth -= 1
        yield i, depth
        if word in ("(", "[", "{", "case"):
            depth += 1


def _conjuncts(words: Sequence[Token], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Token ranges between the ANDs that join predicates (not the AND of a BETWEEN)."""
    start, between = first, 0
    for i, depth in _outside_brackets(words, first, last):
        word = words[i].word
        if depth:
            continue
        if word == "between":
            between += 1
        elif word == "and" and between:
            between -= 1
        elif word == "and":
            yield start, i
            start = i + 1
    yield start, last


def _label(sql: str, last: Token) -> str | None:
    """The ``-- comment`` after the last token of a predicate, on the same line."""
    rest = sql[last.end :].split("\n", 1)[0].strip()
    return rest.removeprefix("--").strip() or None if rest.startswith("--") else None


def _line(sql: str, token: Token) -> int:
    return sql.count("\n", 0, token.start) + 1
