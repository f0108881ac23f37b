"""What the source of an expression may say: its tokens, the caps on them, and which names of the scope it uses.

The language is CEL with a closed list of functions. CEL's own library bounds loops (9,999 rounds in one evaluation) and
nesting (32), but not memory: what copies text is counted here, and kept out of loops in loops. It is counted on tokens,
so that nothing hostile is parsed, let alone run, before it was weighed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

MAX_SOURCE = 1024  # characters
MAX_ADDITIONS = 8  # `+`: each may double what it is given
MAX_COPIES = 8  # calls of COPYING functions, with
JOIN_COPIES = 5  # for `join`: what it gives is large, so that one is enough and little may follow
MAX_COPIES_IN_MACRO = 3  # `+` and COPYING together, anywhere inside macros: they run once a round
MAX_NESTED = 2  # macros inside macros
MAX_MAPS = 2  # each `map` may multiply what the one before it built
MAX_PATTERN_COST = 1000  # states of a regular expression, roughly
MAX_PATTERN_COST_IN_MACRO = 200
CLASS_COST, UNICODE_CLASS_COST = 2, 50  # of them for `[a-z]` and for `\p`

MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
COPYING = frozenset({"charAt", "join", "lowerAscii", "string", "substring", "trim", "upperAscii"})
SEARCHING = frozenset({"contains", "indexOf", "lastIndexOf", "matches"})
LIGHT = frozenset(
    {
        *("endsWith", "has", "size", "startsWith", "type"),
        *("bool", "double", "duration", "dyn", "int", "timestamp", "uint"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds"),
        *("getMinutes", "getMonth", "getSeconds"),
        *("abs", "ceil", "floor", "greatest", "isFinite", "isInf", "isNaN", "least", "round", "sign", "trunc"),
    }
)
FUNCTIONS = MACROS | COPYING | SEARCHING | LIGHT

_KEYWORDS = frozenset({"true", "false", "null", "in"})
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_ATOM = re.compile(  # of a regular expression as RE2 has it; the groups belong to a counted repetition
    r"\{(\d+)(?:,(\d*))?\}|\\[pP](?:\{[^}]*\}|.)|\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|.",
    re.DOTALL,
)
# The lexical rules of CEL (cel-spec doc/langdef.md, Syntax); `odd` is whatever they have no word for.
_TOKEN = re.compile(
    r"""(?P<space>[\t\n\f\r\ ]+|//[^\n]*)
    |(?P<string>[bB]?(?:
        [rR](?:'''.*?'''|\"\"\".*?\"\"\"|'[^'\n\r]*'|"[^"\n\r]*")
        |'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n\r])*'|"(?:\\.|[^"\\\n\r])*"))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<quoted>`[^`\n\r]*`)
    |(?P<mark>&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]{}])
    |(?P<odd>.)""",
    re.VERBOSE | re.DOTALL,
)


class SourceRefused(Exception):
    """The source breaks a rule; the message is the rule, with the position where there is one."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the source. `kind` is a group of the lexical rules, `start` and `end` are offsets."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source that keeps the rules uses: names of the scope, and the literals it gives to `matches`.

    With each literal comes the cost that the pattern may have where it stands.
    """

    refs: frozenset[str]
    patterns: tuple[tuple[str, int], ...]


def tokens(source: str, *, start: int = 0) -> Iterator[Token]:
    """The tokens of a source without spaces and comments, lazily; there is one for every other character."""
    for match in _TOKEN.finditer(source, start):
        kind = match.lastgroup or "odd"
        if kind != "space":
            yield Token(kind, match.group(), match.start(), match.end())


def read(source: str, names: Collection[str]) -> Reading:
    """Check the source against the caps; `names` are those that may be referred to.

    Raises:
        SourceRefused: at the first rule that the source breaks.
    """
    if len(source) > MAX_SOURCE:
        raise SourceRefused(f"must be at most {MAX_SOURCE} characters, has {len(source)}")
    words = _Words(source, tuple(tokens(source)))
    _check_marks(words)
    _check_calls(words, frozenset(name.partition(".")[0] for name in names))
    _check_counts(words)
    _check_loops(words)
    return Reading(refs=frozenset(_references(words, names)), patterns=tuple(_patterns(words)))


def pattern_cost(pattern: str) -> int:
    """Roughly the states of the automaton that matches the pattern: matching takes states times characters at worst."""
    groups: list[list[int]] = [[0]]  # the cost of every atom in each group that is open
    for atom in _ATOM.finditer(pattern):
        text, least, most = atom.group(), atom[1], atom[2]
        if text == "(":
            groups.append([0])
        elif text == ")" and len(groups) > 1:
            inner = sum(groups.pop())
            groups[-1].append(inner)
        elif least:
            groups[-1][-1] *= max(int(least), int(most or 0), 1)
        elif text in "*+?":
            groups[-1][-1] += 1
        else:
            groups[-1].append(_atom_cost(text))
    return sum(map(sum, groups))


def _atom_cost(text: str) -> int:
    simple = CLASS_COST if text[0] == "[" else len(text.removeprefix("\\"))
    return simple + UNICODE_CLASS_COST * (text.count(r"\p") + text.count(r"\P"))


@dataclass(frozen=True)
class _Words:
    source: str
    all: Sequence[Token]

    def text(self, index: int) -> str:
        return self.all[index].text if 0 <= index < len(self.all) else ""

    def kind(self, index: int) -> str:
        return self.all[index].kind if 0 <= index < len(self.all) else ""

    def called(self, index: int) -> bool:
        return self.kind(index) == "name" and self.text(index + 1) == "(" and self.text(index) not in _KEYWORDS

    def refused(self, index: int, rule: str) -> SourceRefused:
        start = self.all[index].start
        line = self.source.count("\n", 0, start) + 1
        return SourceRefused(f"at {line}:{start - self.source.rfind(chr(10), 0, start)}: {rule}")

    @cached_property
    def calls(self) -> Sequence[int]:
        return [index for index in range(len(self.all)) if self.called(index)]

    @cached_property
    def depths(self) -> Sequence[int]:
        """How many macros each token is inside of (the list that a macro goes through is outside of it)."""
        opened: list[bool] = []
        depths = []
        for index, token in enumerate(self.all):
            if token.text in _CLOSING and opened:
                opened.pop()
            depths.append(sum(opened))
            if token.text in _OPENING:
                opened.append(self.called(index - 1) and self.text(index - 1) in MACROS)
        return depths


def _check_marks(words: _Words) -> None:
    for index, token in enumerate(words.all):
        before, kind_before = words.text(index - 1), words.kind(index - 1)
        if token.kind == "odd":
            raise words.refused(index, f"{token.text!r} has no meaning here, or is never closed")
        if token.text == "." and kind_before in ("", "mark") and before not in _CLOSING:
            raise words.refused(index, "a name does not begin with a dot")
        if token.text == "{" and kind_before == "name" and before not in _KEYWORDS:
            raise words.refused(index, "messages are no part of this language")


def _check_calls(words: _Words, roots: frozenset[str]) -> None:
    for index in words.calls:
        name, first = words.text(index), words.text(index + 2)
        if name not in FUNCTIONS:
            raise words.refused(index, f"there is no function {name!r}")
        if name == "has" and first == "(":
            raise words.refused(index + 2, "has() asks for a field of something, without brackets around it")
        if name in MACROS:
            if words.kind(index + 2) != "name" or words.text(index + 3) != ",":
                raise words.refused(index, f"{name!r} needs a variable and an expression")
            if first in roots:
                raise words.refused(index + 2, f"{first!r} already means something here, choose another variable")


def _check_counts(words: _Words) -> None:
    additions = [index for index in range(len(words.all)) if words.text(index) == "+"]
    copies = [index for index in words.calls if words.text(index) in COPYING]
    weighed = [index for index in copies for _ in range(JOIN_COPIES if words.text(index) == "join" else 1)]
    in_macros = sorted(index for index in (*additions, *copies) if words.depths[index])
    caps = (
        (additions, MAX_ADDITIONS, "`+` may occur {} times"),
        (
            weighed,
            MAX_COPIES,
            f"{', '.join(sorted(COPYING))} may occur {{}} times together, join counting {JOIN_COPIES}",
        ),
        (in_macros, MAX_COPIES_IN_MACRO, "what builds text (`+` and string functions) may occur {} times in macros"),
        ([index for index in words.calls if words.text(index) == "map"], MAX_MAPS, "`map` may occur {} times"),
    )
    for found, most, rule in caps:
        if len(found) > most:
            raise words.refused(found[most], rule.format(most))


def _check_loops(words: _Words) -> None:
    for index, depth in enumerate(words.depths):
        name = words.text(index) if words.called(index) else ""
        if name in MACROS and depth >= MAX_NESTED:
            raise words.refused(index, f"macros may be nested {MAX_NESTED} deep")
        if depth >= MAX_NESTED and (name in COPYING | SEARCHING or words.text(index) == "+"):
            raise words.refused(index, f"{words.text(index)!r} may not stand inside a macro inside a macro")
        if depth and name == "join":
            raise words.refused(index, "'join' may not stand inside a macro")


def _references(words: _Words, names: Collection[str]) -> Iterator[str]:
    """The longest declared name that each chain `a.b.c` begins with, as CEL resolves them."""
    for index, token in enumerate(words.all):
        if token.kind != "name" or token.text in _KEYWORDS or words.text(index - 1) == "." or words.called(index):
            continue
        chain = [token.text]
        while words.text(index + 1) == "." and words.kind(index + 2) == "name":
            index += 2  # noqa: PLW2901 - the chain's own walk; the loop goes on behind the first name
            chain.append(words.text(index))
        known = next((name for end in range(len(chain), 0, -1) if (name := ".".join(chain[:end])) in names), None)
        if known is None:
            continue
        whole = len(chain) == known.count(".") + 1 and words.text(index + 1) == ")"
        if whole and words.text(index - 2 * len(chain)) == "has":
            raise words.refused(index, f"has() asks for a field of something; {known!r} itself is given here")
        yield known


def _patterns(words: _Words) -> Iterator[tuple[str, int]]:
    for index in words.calls:
        if words.text(index) == "matches":
            if words.text(index - 1) != "." or words.kind(index + 2) != "string" or words.text(index + 3) != ")":
                raise words.refused(index, "the pattern itself belongs here: text.matches('...')")
            yield words.text(index + 2), MAX_PATTERN_COST_IN_MACRO if words.depths[index] else MAX_PATTERN_COST
