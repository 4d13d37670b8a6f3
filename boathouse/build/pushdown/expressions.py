"""From the syntax tree to terms: only what is known to be computed from a row alone.

Operators are written anew, each in parentheses; a call of a function is taken over to the letter,
with its columns as holes, since the parser's idea of a function need not be the engine's.
"""

from collections.abc import Callable, Iterator

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from boathouse.build.pushdown import functions
from boathouse.build.pushdown.reading import QUERIES, Text
from boathouse.build.pushdown.terms import Call, Term, coalesce, constant
from boathouse.sql import literal


class Unproven(Exception):  # noqa: N818 - an answer, not an error
    """Why something is not proven: a clause for a person."""


Resolve = Callable[[exp.Column], Term]

_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.NullSafeEQ: "is not distinct from",
    exp.NullSafeNEQ: "is distinct from",
    exp.Like: "like",
    exp.ILike: "ilike",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "//",
    exp.Mod: "%",
}
_LOGIC: dict[type[exp.Expr], str] = {exp.And: "and", exp.Or: "or"}
_TYPES = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INT": "INTEGER",
    "BIGINT": "BIGINT",
    "INT128": "HUGEINT",
    "UTINYINT": "UTINYINT",
    "USMALLINT": "USMALLINT",
    "UINT": "UINTEGER",
    "UBIGINT": "UBIGINT",
    "UINT128": "UHUGEINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMPTZ",
    "VARCHAR": "VARCHAR",
    "TEXT": "VARCHAR",
    "UUID": "UUID",
    "JSON": "JSON",
}
_UNITS = frozenset(
    unit + plural
    for unit in (
        *("microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month"),
        *("quarter", "year", "decade", "century", "millennium", "epoch", "dow", "isodow", "doy"),
        *("isoyear", "yearweek", "era", "julian"),
    )
    for plural in ("", "s")
)
_NOT_CALLED = frozenset(
    "and as between by case decimal else in interval like not numeric or over then when".split()
)


def called(text: Text, node: exp.Expr) -> str | None:
    """Return the name that a call is written with, in lower case; None when it has no place."""
    start = node.meta.get("start")
    if start is None or not isinstance(node, exp.Func | exp.Mod):
        return None
    place = text.index.get(start)
    return None if place is None else text.tokens[place].text.lower()


def own_nodes(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """Return the nodes under one, itself included, but none of a query within it."""
    if node is None:
        return
    pending = [node]
    while pending:
        each = pending.pop()
        yield each
        if not isinstance(each, QUERIES) or each is node:
            pending += list(each.iter_expressions())


def built(node: exp.Expr, text: Text, resolve: Resolve) -> Term:
    """Return an expression as a term.

    Raises:
        Unproven: it is not computed from one row alone, or beyond what is known.
    """
    kind = type(node)
    if isinstance(node, exp.Paren | exp.Alias):
        return built(node.this, text, resolve)
    if isinstance(node, exp.Column):
        return resolve(node)
    if isinstance(node, exp.Window):
        raise Unproven(f"is computed by {window_name(text, node)} over other rows")
    name = called(text, node)
    if name is not None:
        return _call(node, name, text, resolve)
    if kind in _COMPARISONS or kind in _ARITHMETIC or kind in _LOGIC:
        return _binary(node, text, resolve)
    if isinstance(node, exp.DPipe):
        return _concatenation(node, text, resolve)
    plain = _PLAIN.get(kind)
    if plain is not None:
        term = plain(node, lambda each: built(each, text, resolve))
        if term is not None:
            return term
    if isinstance(node, exp.AggFunc):
        raise Unproven("is computed from many rows")
    if isinstance(node, QUERIES) or node.find(*QUERIES) is not None:
        raise Unproven("is looked up in a subquery")
    raise Unproven(f"is computed by an expression that is not understood ({_shown(node)})")


def window_name(text: Text, window: exp.Expr) -> str:
    """Return how to call a window function: its name, where it has one."""
    for node in window.this.walk() if isinstance(window.this, exp.Expr) else ():
        name = called(text, node)
        if name is not None:
            return name
    return "a window function"


def _shown(node: exp.Expr) -> str:
    shown = " ".join(node.sql(dialect="duckdb").split())
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def _binary(node: exp.Expr, text: Text, resolve: Resolve) -> Term:
    sides = (node.args["this"], node.args["expression"])
    kind = type(node)
    sign = _COMPARISONS.get(kind) or _ARITHMETIC.get(kind) or _LOGIC[kind]
    # Where an engine and a parser could disagree on what binds tighter, parentheses must say it.
    if kind in _COMPARISONS and any(
        type(side) in _COMPARISONS
        or isinstance(side, exp.DPipe | exp.Is | exp.Not | exp.JSONExtract)
        for side in sides
    ):
        raise Unproven(f"is computed by an expression that is not understood ({_shown(node)})")
    left, right = (built(side, text, resolve) for side in sides)
    type_name = "BOOLEAN" if kind not in _ARITHMETIC else None
    return Call(("(", left, f" {sign} ", right, ")"), type=type_name)


def _concatenation(node: exp.Expr, text: Text, resolve: Resolve) -> Term:
    sides = (node.args["this"], node.args["expression"])
    if not all(
        isinstance(side, exp.Column | exp.Paren | exp.Literal | exp.Cast | exp.DPipe)
        or called(text, side)
        for side in sides
    ):
        raise Unproven(f"is computed by an expression that is not understood ({_shown(node)})")
    left, right = (built(side, text, resolve) for side in sides)
    return Call(("(", left, " || ", right, ")"))


Build = Callable[[exp.Expr], Term]


def _literal(node: exp.Expr, build: Build) -> Term | None:  # noqa: ARG001
    return constant(literal(node.this), "VARCHAR") if node.is_string else constant(node.this)


def _boolean(node: exp.Expr, build: Build) -> Term | None:  # noqa: ARG001
    return constant(str(node.this).lower(), "BOOLEAN")


def _null(node: exp.Expr, build: Build) -> Term | None:  # noqa: ARG001
    return constant("null", "NULL")


def _cast(node: exp.Expr, build: Build) -> Term | None:
    if any(value for key, value in node.args.items() if key not in ("this", "to", "_type", "safe")):
        return None
    target = node.args["to"]
    name = target.this.value if hasattr(target.this, "value") else str(target.this)
    sizes = [parameter.this for parameter in target.expressions]
    written = _TYPES.get(name)
    if name == "DECIMAL" and len(sizes) == 2 and all(size.is_int for size in sizes):
        written = f"DECIMAL({sizes[0].this},{sizes[1].this})"
    elif sizes or target.args.get("nested"):
        return None
    if written is None:
        return None
    inner = build(node.this)
    is_try = isinstance(node, exp.TryCast)
    opening = "try_cast(" if is_try else "cast("
    return Call((opening, inner, f" as {written.lower()})"), is_total=is_try, type=written)


def _is(node: exp.Expr, build: Build) -> Term | None:
    other = node.args["expression"]
    if not isinstance(other, exp.Null | exp.Boolean) or isinstance(node.this, exp.Is | exp.Not):
        return None
    value = "null" if isinstance(other, exp.Null) else str(other.this).lower()
    is_total = value == "null"
    return Call(("(", build(node.this), f" is {value})"), is_total=is_total, type="BOOLEAN")


def _not(node: exp.Expr, build: Build) -> Term | None:
    return Call(("(not ", build(node.this), ")"), type="BOOLEAN")


def _negative(node: exp.Expr, build: Build) -> Term | None:
    return Call(("(-", build(node.this), ")"))


def _between(node: exp.Expr, build: Build) -> Term | None:
    if node.args.get("symmetric"):
        return None
    low, high = node.args["low"], node.args["high"]
    parts = ("(", build(node.this), " between ", build(low), " and ", build(high), ")")
    return Call(parts, type="BOOLEAN")


def _in(node: exp.Expr, build: Build) -> Term | None:
    if any(node.args.get(key) for key in ("query", "unnest", "field", "is_global")):
        return None
    if not node.expressions:
        return None
    parts: list[str | Term] = ["(", build(node.this), " in ("]
    for number, each in enumerate(node.expressions):
        parts += [", " if number else "", build(each)]
    return Call((*parts, "))"), type="BOOLEAN")


def _case(node: exp.Expr, build: Build) -> Term | None:
    parts: list[str | Term] = ["(case"]
    if node.this is not None:
        parts += [" ", build(node.this)]
    for branch in node.args["ifs"]:
        parts += [" when ", build(branch.this), " then ", build(branch.args["true"])]
    if node.args.get("default") is not None:
        parts += [" else ", build(node.args["default"])]
    return Call((*parts, " end)"))


def _if(node: exp.Expr, build: Build) -> Term | None:
    parts: list[str | Term] = ["(case when ", build(node.this), " then ", build(node.args["true"])]
    if node.args.get("false") is not None:
        parts += [" else ", build(node.args["false"])]
    return Call((*parts, " end)"))


def _trim(node: exp.Expr, build: Build) -> Term | None:
    if any(value for key, value in node.args.items() if key != "this"):
        return None
    return Call(("trim(", build(node.this), ")"), is_total=True, type="VARCHAR")


def _substring(node: exp.Expr, build: Build) -> Term | None:
    given = [node.args.get(key) for key in ("start", "length")]
    if any(value for key, value in node.args.items() if key not in ("this", "start", "length")):
        return None
    parts: list[str | Term] = ["substring(", build(node.this)]
    for each in given:
        if each is not None:
            parts += [", ", build(each)]
    return Call((*parts, ")"), type="VARCHAR")


def _extract(node: exp.Expr, build: Build) -> Term | None:
    unit = str(node.this.name).lower()
    if unit not in _UNITS:
        return None
    return Call((f"extract({unit} from ", build(node.args["expression"]), ")"))


def _interval(node: exp.Expr, build: Build) -> Term | None:  # noqa: ARG001
    unit = node.args.get("unit")
    if not isinstance(node.this, exp.Literal) or unit is None or unit.name.lower() not in _UNITS:
        return None
    return constant(f"interval {literal(node.this.name)} {unit.name.lower()}", "INTERVAL")


def _at_time_zone(node: exp.Expr, build: Build) -> Term | None:
    zone = node.args.get("zone")
    if not isinstance(zone, exp.Literal) or not isinstance(node.this, _TIGHT):
        return None
    return Call(("(", build(node.this), f" at time zone {literal(zone.this)})"))


_TIGHT = (exp.Column, exp.Cast, exp.TryCast, exp.Paren)
_PLAIN: dict[type[exp.Expr], Callable[[exp.Expr, Build], Term | None]] = {
    exp.Literal: _literal,
    exp.Boolean: _boolean,
    exp.Null: _null,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Is: _is,
    exp.Not: _not,
    exp.Neg: _negative,
    exp.Between: _between,
    exp.In: _in,
    exp.Case: _case,
    exp.If: _if,
    exp.Trim: _trim,
    exp.Substring: _substring,
    exp.Extract: _extract,
    exp.Interval: _interval,
    exp.AtTimeZone: _at_time_zone,
}


def _call(node: exp.Expr, name: str, text: Text, resolve: Resolve) -> Term:
    if name in functions.AGGREGATES or isinstance(node, exp.AggFunc):
        raise Unproven(f"is computed by {name}() from many rows")
    if name in functions.VOLATILE:
        raise Unproven(f"is computed by {name}(), which may change by itself")
    if name in functions.MULTIPLYING:
        raise Unproven(f"comes from {name}(), which makes many rows of one")
    if name not in functions.SCALARS:
        raise Unproven(f"is computed by {name}(), which is not a known function of DuckDB")
    opening = text.index[node.meta["start"]]
    closing = text.closing(opening + 1)
    if name in ("coalesce", "ifnull"):
        given = [node.this, *node.expressions]
        if all(isinstance(each, exp.Expr) for each in given):
            return coalesce(built(each, text, resolve) for each in given)
    holes: dict[int, tuple[int, Term]] = {}
    for child in _holes(node, text):
        first, last = _span(child, text)
        if not opening < first <= last < closing:
            raise Unproven(f"is computed by an expression that is not understood ({_shown(node)})")
        holes[first] = (last, built(child, text, resolve))
    parts: list[str | Term] = []
    place = opening
    while place <= closing:
        if place in holes:
            last, term = holes[place]
            parts.append(term)
            place = last + 1
        else:
            _check_token(text, place, node)
            parts.append(_spelled(text, place))
            place += 1
    type_name = "VARCHAR" if name in functions.TEXTS else None
    return Call(_joined(parts), is_total=name in functions.TOTAL, type=type_name)


def _holes(node: exp.Expr, text: Text) -> Iterator[exp.Expr]:
    """Return the outermost columns and calls within a call."""
    for child in node.iter_expressions():
        if isinstance(
            child, (*QUERIES, exp.Lambda, exp.Star, exp.Window, exp.AggFunc, exp.Columns)
        ):
            built(child, text, _no_column)
            raise Unproven(f"is computed by an expression that is not understood ({_shown(node)})")
        if isinstance(child, exp.Column) or called(text, child) is not None:
            yield child
        else:
            yield from _holes(child, text)


def _no_column(column: exp.Column) -> Term:
    raise Unproven(f"is computed from {column.name}")


def _span(node: exp.Expr, text: Text) -> tuple[int, int]:
    if isinstance(node, exp.Column):
        places = [text.index.get(part.meta.get("start", -1), -1) for part in node.parts]
        return min(places), max(places)
    opening = text.index[node.meta["start"]]
    return opening, text.closing(opening + 1)


def _check_token(text: Text, place: int, node: exp.Expr) -> None:
    """Refuse a word in a call that is neither a known function nor known to be no column."""
    token = text.tokens[place]
    word = token.text.lower()
    follows = text.tokens[place + 1].token_type if place + 1 < len(text.tokens) else None
    if token.token_type in (TokenType.STRING, TokenType.NUMBER):
        return
    if follows == TokenType.L_PAREN and (word[:1].isalpha() or word[:1] == "_"):
        is_known = word in functions.SCALARS or word in _NOT_CALLED
    elif token.token_type in (TokenType.VAR, TokenType.IDENTIFIER):
        is_known = word in _UNITS or follows == TokenType.COLON_EQ
    else:
        is_known = True
    if not is_known:
        raise Unproven(f"is computed by an expression that is not understood ({_shown(node)})")


def _spelled(text: Text, place: int) -> str:
    token = text.tokens[place]
    raw = text.raw(token)
    return raw if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) else raw.lower()


def _joined(parts: list[str | Term]) -> tuple[str | Term, ...]:
    """Return the parts with blanks where SQL wants them, neighbouring text as one."""
    joined: list[str | Term] = []
    for part in parts:
        before = joined[-1] if joined else "("
        tight = isinstance(part, str) and part in ("(", ")", ",", ".", "[", "]")
        gap = " "
        if tight or (isinstance(before, str) and before.endswith(("(", ".", "["))):
            gap = ""
        for piece in (gap, part):
            if piece == "":
                continue
            if isinstance(piece, str) and joined and isinstance(joined[-1], str):
                joined[-1] += piece
            else:
                joined.append(piece)
    return tuple(joined)
