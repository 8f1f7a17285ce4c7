"""The language of ``where``: a small part of SQL's conditions, read into a tree and no further.

::

    condition  = and {"OR" and}
    and        = not {"AND" not}
    not        = "NOT" not | "(" condition ")" | test
    test       = column ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") literal
               | literal the same column
               | column ["NOT"] ("IN" "(" literal {"," literal} ")"
                                 | "LIKE" text | "ILIKE" text | "BETWEEN" literal "AND" literal)
               | column "IS" ["NOT"] "NULL"
    literal    = 'text' | number | TRUE | FALSE | DATE 'text' | TIMESTAMP 'text'
    column     = name | "name"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from terrahash.errors import InputError

# Far above what anybody writes; a request from outside cannot make the parser run away.
MAX_LENGTH = 20_000
MAX_DEPTH = 100

Literal: TypeAlias = str | int | float | bool
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
KEYWORDS = {"AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "IS", "NULL", "BETWEEN"} | {
    *("TRUE", "FALSE", "DATE", "TIMESTAMP")
}

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
      | '(?P<text>(?:[^']|'')*)'
      | "(?P<quoted>(?:[^"]|"")+)"
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|<>|!=|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Compare:
    """A column against a literal; ``sign`` is one of ``= != < <= > >=``."""

    column: str
    sign: str
    value: Literal


@dataclass(frozen=True)
class In:
    """A column's value is one of some (``negated``: none of them)."""

    column: str
    values: tuple[Literal, ...]
    negated: bool = False


@dataclass(frozen=True)
class Like:
    """A text fits a pattern: ``%`` any text, ``_`` any character, a backslash takes them as is."""

    column: str
    pattern: str
    folded: bool
    negated: bool = False


@dataclass(frozen=True)
class IsNull:
    """A column has no value (``negated``: has one)."""

    column: str
    negated: bool = False


@dataclass(frozen=True)
class Both:
    """All parts hold."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Either:
    """At least one part holds."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = Compare | In | Like | IsNull | Both | Either


def parse(text: str) -> Expression:
    """Read a condition.

    ``NOT`` is moved to the tests themselves, so that a value that is not there meets neither a
    test nor its opposite, as in SQL.

    Raises:
        InputError: if it is no condition, saying where.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"the condition has {len(text)} characters", f"at most {MAX_LENGTH}")
    return _Parser(text).parse()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._source = text
        self._tokens = self._scan(text)
        self._next = 0
        self._depth = 0

    def parse(self) -> Expression:
        condition = self._either(False)
        if self._peek().kind != "end":
            raise self._wrong("AND, OR or the end")
        return condition

    def _scan(self, text: str) -> list[_Token]:
        tokens = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                start = at + len(text[at:]) - len(text[at:].lstrip())
                raise self._error("a name, a literal or a sign", start)
            kind, content = match.lastgroup, match.group(match.lastgroup)
            if kind == "text":
                content = content.replace("''", "'")
            elif kind == "quoted":
                kind, content = "name", content.replace('""', '"')
            elif kind == "word":
                known = content.upper() in KEYWORDS
                kind, content = ("key", content.upper()) if known else ("name", content)
            tokens.append(_Token(kind, content, match.start(match.lastgroup)))
            at = match.end()
        return [*tokens, _Token("end", "", len(text))]

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += token.kind != "end"
        return token

    def _accept(self, *texts: str) -> str | None:
        token = self._peek()
        if token.kind in ("key", "sign") and token.text in texts:
            return self._take().text
        return None

    def _expect(self, text: str) -> None:
        if self._accept(text) is None:
            raise self._wrong(text)

    def _wrong(self, expected: str) -> InputError:
        return self._error(expected, self._peek().at)

    def _error(self, expected: str, at: int) -> InputError:
        found = self._source[at : at + 20] or "the end"
        return InputError(
            f"condition {self._source[:200]!r}: expected {expected} at character {at + 1}, "
            f"found {found!r}",
            "write it like: label = 'harbor' AND confidence >= 0.5",
        )

    def _either(self, negated: bool) -> Expression:
        return self._chain("OR", self._both, Both if negated else Either, negated)

    def _both(self, negated: bool) -> Expression:
        return self._chain("AND", self._not, Either if negated else Both, negated)

    def _chain(
        self,
        word: str,
        operand: Callable[[bool], Expression],
        join: type[Both] | type[Either],
        negated: bool,
    ) -> Expression:
        parts = [operand(negated)]
        while self._accept(word):
            parts.append(operand(negated))
        return parts[0] if len(parts) == 1 else join(tuple(parts))

    def _not(self, negated: bool) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InputError(f"the condition nests deeper than {MAX_DEPTH}", "write it flatter")
        try:
            if self._accept("NOT"):
                return self._not(not negated)
            if self._accept("("):
                inner = self._either(negated)
                self._expect(")")
                return inner
            return self._test(negated)
        finally:
            self._depth -= 1

    def _test(self, negated: bool) -> Expression:
        if self._peek().kind != "name":
            value = self._literal("a column name, NOT or (")
            sign = self._sign()
            if sign is None:
                raise self._wrong("a comparison")
            return _compare(self._column(), FLIPPED[sign], value, negated)
        column = self._column()
        sign = self._sign()
        if sign is not None:
            return _compare(column, sign, self._literal("a literal"), negated)
        if self._accept("IS"):
            positive = self._accept("NOT") is None
            self._expect("NULL")
            return IsNull(column, negated=positive == negated)
        if self._accept("NOT"):
            negated = not negated
        if self._accept("IN"):
            self._expect("(")
            values = [self._literal("a literal")]
            while self._accept(","):
                values.append(self._literal("a literal"))
            self._expect(")")
            return In(column, tuple(values), negated)
        word = self._accept("LIKE", "ILIKE")
        if word is not None:
            if self._peek().kind != "text":
                raise self._wrong("a pattern in single quotes")
            return Like(column, self._take().text, word == "ILIKE", negated)
        if self._accept("BETWEEN"):
            low = self._literal("a literal")
            self._expect("AND")
            high = self._literal("a literal")
            sides = (_compare(column, ">=", low, negated), _compare(column, "<=", high, negated))
            return Either(sides) if negated else Both(sides)
        raise self._wrong("a comparison, IN, LIKE, ILIKE, BETWEEN or IS")

    def _column(self) -> str:
        if self._peek().kind != "name":
            raise self._wrong("a column name")
        return self._take().text

    def _sign(self) -> str | None:
        sign = self._accept("=", "==", "!=", "<>", "<", "<=", ">", ">=")
        return {"==": "=", "<>": "!="}.get(sign, sign) if sign else None

    def _literal(self, expected: str) -> Literal:
        if self._accept("DATE", "TIMESTAMP"):
            if self._peek().kind != "text":
                raise self._wrong("a date in single quotes")
            return self._take().text
        if self._accept("TRUE"):
            return True
        if self._accept("FALSE"):
            return False
        token = self._peek()
        if token.kind == "text":
            return self._take().text
        if token.kind == "number":
            text = self._take().text
            return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else float(text)
        raise self._wrong(expected)


_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _compare(column: str, sign: str, value: Literal, negated: bool) -> Compare:
    return Compare(column, _OPPOSITE[sign] if negated else sign, value)
