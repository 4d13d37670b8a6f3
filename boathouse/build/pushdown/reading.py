"""SQL text as its syntax tree and its tokens; a tree is shared, and never changed."""

from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from boathouse.build.pushdown.functions import VOLATILE
from boathouse.errors import BoathouseError

DIALECT = "duckdb"
QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)


class PushdownError(BoathouseError):
    """A query cannot be read, or has not the key that was asked for."""


@dataclass(frozen=True, eq=False)
class Text:
    """A query as it is written: `index` finds a token by the place of its first character."""

    sql: str
    query: exp.Expr
    tokens: tuple[Token, ...]
    index: dict[int, int]

    def raw(self, token: Token) -> str:
        """Return a token as it is spelled."""
        return self.sql[token.start : token.end + 1]

    def closing(self, opening: int) -> int:
        """Return the index of the parenthesis that closes the one at index `opening`."""
        depth = 0
        for place in range(opening, len(self.tokens)):
            if self.tokens[place].token_type == TokenType.L_PAREN:
                depth += 1
            elif self.tokens[place].token_type == TokenType.R_PAREN:
                depth -= 1
                if not depth:
                    return place
        return len(self.tokens) - 1


@lru_cache(maxsize=512)
def read(sql: str) -> Text:
    """Return a query's tree and tokens.

    Raises:
        PushdownError: it is not one query, or beyond the parser.
    """
    try:
        parsed = sqlglot.parse(sql, dialect=DIALECT)
        tokens = tuple(sqlglot.tokenize(sql, dialect=DIALECT))
    except (SqlglotError, RecursionError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PushdownError(f"The SQL cannot be read: {said}", hint=_opening(sql)) from error
    if len(parsed) != 1 or not isinstance(parsed[0], exp.Expr):
        raise PushdownError("The SQL is not one statement.", hint=_opening(sql))
    return Text(sql, parsed[0], tokens, {token.start: place for place, token in enumerate(tokens)})


def _opening(sql: str) -> str:
    return f"It begins: {' '.join(sql.split())[:80]}"


@lru_cache(maxsize=512)
def volatile_in(sql: str) -> str | None:
    """Return a function or clause of the query whose outcome hangs on the moment or on chance."""
    text = read(sql)
    for node in text.query.walk():
        if isinstance(node, exp.TableSample):
            return "sample"
        if isinstance(node, exp.Parameter | exp.SessionParameter | exp.Placeholder):
            return "a parameter"
    for place, token in enumerate(text.tokens):
        name = token.text.lower()
        after = text.tokens[place + 1 : place + 2]
        is_call = bool(after) and after[0].token_type == TokenType.L_PAREN
        if is_call and (name in VOLATILE or (name == "age" and _has_one_argument(text, place + 1))):
            return name
        if token.token_type in _BARE or (
            token.token_type == TokenType.VAR and name in ("localtime", "localtimestamp")
        ):
            return name
    return None


_BARE = frozenset(
    getattr(TokenType, name)
    for name in (
        *("CURRENT_DATE", "CURRENT_DATETIME", "CURRENT_TIME", "CURRENT_TIMESTAMP"),
        *("CURRENT_USER", "CURRENT_ROLE", "CURRENT_SCHEMA", "CURRENT_CATALOG", "SESSION_USER"),
        *("LOCALTIME", "LOCALTIMESTAMP", "CURRENT_TIMESTAMP_LTZ"),
    )
    if hasattr(TokenType, name)
)


def _has_one_argument(text: Text, opening: int) -> bool:
    depth = 0
    for token in text.tokens[opening : text.closing(opening)]:
        depth += token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE)
        depth -= token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE)
        if depth == 1 and token.token_type == TokenType.COMMA:
            return False
    return True
