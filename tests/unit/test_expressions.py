"""Expressions: what is refused when they are compiled, what they give, and that nothing hostile gets through."""

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workflow_service.domain.errors import InvalidExpression, Rejected, Violation
from workflow_service.domain.expression_source import MAX_SOURCE, pattern_cost, tokens
from workflow_service.domain.expression_values import MAX_BYTES, MAX_DEPTH, MAX_ITEMS, MAX_STRING_BYTES
from workflow_service.domain.expressions import EvaluationFailed, Program, Type, compile_expression

SCOPE: Mapping[str, Type] = {
    "alert.severity": Type.STRING,
    "alert.labels": Type.MAP,
    "params.min_restarts": Type.INT,
    "ai.confidence": Type.DOUBLE,
    "ai.used": Type.BOOL,
    "steps.a.status": Type.STRING,
    "steps.a.output": Type.MAP,
    "observed": Type.MAP,
    "pods": Type.LIST,
    "item": Type.DYN,
}
VALUES: Mapping[str, Any] = {
    "alert.severity": "critical",
    "alert.labels": {"app": "web", "tier": None},
    "params.min_restarts": 5,
    "ai.confidence": 0.75,
    "ai.used": True,
    "steps.a.status": "succeeded",
    "steps.a.output": {"restarts": 7, "ratio": 2.0, "list": [1, 2, 3]},
    "observed": {"ready": 2, "since": "2026-11-22T10:00:00Z"},
    "pods": [{"name": "web-1", "ready": True}, {"name": "web-2", "ready": False}],
    "item": {"name": "web-1"},
}


def refusal(source: str, *, expects: Type | None = None) -> str:
    """The rule that the source breaks."""
    with pytest.raises(InvalidExpression) as caught:
        compile_expression(source, SCOPE, expects=expects, at="steps.0.when")
    (violation,) = caught.value.violations
    assert (violation.field, violation.value) == ("steps.0.when", source)
    return violation.rule


def evaluate(source: str, **changed: Any) -> Any:
    """What the source gives over VALUES; a changed name is written with _ for the dot."""
    values = {name: changed.get(name.replace(".", "_"), value) for name, value in VALUES.items()}
    return compile_expression(source, SCOPE).evaluate(values)


def failure(source: str, **changed: Any) -> str:
    """Why the evaluation fails."""
    with pytest.raises(EvaluationFailed) as caught:
        evaluate(source, **changed)
    return str(caught.value)


@pytest.mark.requirement("BR-WF-006", "BR-WF-008", "BR-WF-009")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("alert.severity == 'critical' && ai.used && ai.confidence < 0.9", True),
        ("steps.a.status != 'succeeded' || steps.a.output.restarts >= params.min_restarts", True),
        ("steps.a.output.restarts * 2 - params.min_restarts % 3", 12),
        ("steps.a.output.ratio > 1", True),  # JSON numbers compare across their types
        ("!(alert.severity in ['info', 'warning'])", True),
        ("'app' in alert.labels && alert.labels['app'] == 'web'", True),
        ("alert.labels.app.startsWith('w') && alert.labels.app.matches('^[a-z]{1,63}$')", True),
        ("pods.filter(p, !p.ready).map(p, 'pod/' + p.name)", ["pod/web-2"]),
        ("pods.map(p, p.name).join(', ')", "web-1, web-2"),
        ("pods.exists(p, p.name == item.name)", True),
        ("has(observed.ready) ? observed.ready : 0", 2),
        ("has(observed.gone) ? observed.gone : 0", 0),
        ("timestamp(observed.since) < timestamp('2026-11-22T11:00:00+01:00') + duration('1h')", True),
        ("{'name': item.name, 'all': steps.a.output.list}", {"all": [1, 2, 3], "name": "web-1"}),
        ("alert.labels.tier", None),
        ("math.greatest(params.min_restarts, 3)", 5),
    ],
)
def test_an_expression_gives_its_value(source: str, value: Any) -> None:
    """Compound conditions, arithmetic, text, lists, maps and times over values of the scope."""
    given_value = evaluate(source)
    assert (given_value, type(given_value)) == (value, type(value))


def test_maps_come_in_a_certain_order() -> None:
    """The library shuffles the keys of a map in every process; results have them sorted, the same everywhere."""
    assert list(evaluate("item", item=dict.fromkeys("hbgadcfe", 1))) == list("abcdefgh")


def test_a_program_tells_what_it_is() -> None:
    """The type is known before anything runs, and the names that it uses, the longest declared ones, once each."""
    program = compile_expression("pods.exists(p, p.x == steps.a.output.restarts) || observed.ready > 1", SCOPE)
    assert program.source.startswith("pods.exists")
    assert program.returns is Type.BOOL
    assert program.refs == {"pods", "steps.a.output", "observed"}


@pytest.mark.parametrize(
    "source", ["'alert.severity'", "1 + 2 // observed", "{'observed': 1}.observed", "size('item')"]
)
def test_a_name_in_a_literal_or_a_comment_is_no_reference(source: str) -> None:
    """Only what refers to the scope counts as a reference."""
    assert compile_expression(source, SCOPE).refs == frozenset()


@pytest.mark.parametrize(
    ("source", "position", "says"),
    [
        ("alert.severty == 'x'", "1:6", "undeclared reference to 'alert.severty'"),
        ("steps.b.status == 'x'", "1:", "undeclared reference"),
        ("true &&\n  nope", "2:3", "undeclared reference to 'nope'"),
        ("alert.severity > 5", "1:16", "no matching overload"),
        ("ai.confidence >= 1", "1:15", "no matching overload"),  # a declared double wants 1.0
        ("1 ==", "1:5", "Syntax error"),
        ("", "1:1", "Syntax error"),
        ("'open", "1:1", "never closed"),
        ("observed # ready", "1:10", "'#' has no meaning"),
        ("open('/etc/passwd')", "1:1", "no function 'open'"),
        ("cel.bind(x, 1, x)", "1:5", "no function 'bind'"),
        ("'a'.replace('a', 'b')", "1:5", "no function 'replace'"),
        ("pods.map(item, item)", "1:10", "'item' already means something here"),
        ("pods.map(alert, alert)", "1:10", "'alert' already means something here"),
        ("pods.all((p), true)", "1:6", "'all' needs a variable"),
        (".observed.ready", "1:1", "does not begin with a dot"),
        ("google.protobuf.Struct{}", "1:23", "messages"),
        ("has(steps.a.output)", "1:13", "has() asks for a field"),
        ("has((observed.ready))", "1:5", "has() asks for a field"),
        ("alert.severity.matches(steps.a.status)", "1:16", "the pattern itself"),
        ("matches(alert.severity, 'a')", "1:1", "the pattern itself"),
    ],
)
def test_a_refusal_names_the_position(source: str, position: str, says: str) -> None:
    """What cannot be evaluated is refused when it is compiled, with line and column and what is wrong there."""
    rule = refusal(source)
    assert rule.startswith(f"at {position}"), rule
    assert says in rule


def test_a_refusal_is_a_rejected_input() -> None:
    """Callers that take any broken rule take this one: field, value and rule."""
    with pytest.raises(Rejected) as caught:
        compile_expression("nope", {})
    assert caught.value.violations == (Violation("expression", "nope", "at 1:1: undeclared reference to 'nope'"),)


@pytest.mark.parametrize(
    ("source", "expects", "says"),
    [
        ("alert.severity", Type.BOOL, "must give a bool, gives a string"),
        ("null", Type.BOOL, "must give a bool, gives a null"),
        ("1.5", Type.INT, "must give a int, gives a double"),
        ("observed", Type.LIST, "must give a list, gives a map"),
        ("timestamp(alert.severity)", None, "gives a timestamp, which is no JSON value"),
        ("b'x'", None, "gives a bytes"),
        ("type(1)", None, "gives a type"),
    ],
)
def test_a_wrong_type_is_refused_before_it_runs(source: str, expects: Type | None, says: str) -> None:
    """When the type is known at compile time, so is that it is the wrong one."""
    assert says in refusal(source, expects=expects)


@pytest.mark.parametrize("value", [None, 1, "true", [], {}])
def test_only_true_is_true(value: Any) -> None:
    """A condition whose type nobody declared fails unless it gives a bool; null and truthy values are no bool."""
    program = compile_expression("item", SCOPE, expects=Type.BOOL)
    assert program.returns is Type.BOOL
    assert program.evaluate({"item": True}) is True
    with pytest.raises(EvaluationFailed, match="must be a bool"):
        program.evaluate({"item": value})


def test_a_whole_number_serves_as_a_double() -> None:
    """JSON writes 1.0 as 1: given where a double was declared or is wanted, it is one."""
    assert evaluate("ai.confidence", ai_confidence=1) == pytest.approx(1.0)
    assert isinstance(evaluate("ai.confidence", ai_confidence=1), float)
    assert isinstance(compile_expression("1", {}, expects=Type.DOUBLE).evaluate({}), float)
    assert isinstance(compile_expression("item", SCOPE, expects=Type.DOUBLE).evaluate({"item": 2}), float)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("observed.gone || true", True),
        ("true || observed.gone", True),
        ("observed.gone && false", False),
        ("1 / 0 > 0 && false", False),
        ("[0, 1].exists(x, 1 / x == 1)", True),
        ("[0, 1].all(x, 1 / x == 2)", False),
    ],
)
def test_an_error_is_absorbed_by_the_side_that_decides(source: str, value: bool) -> None:
    """`&&`, `||`, `all` and `exists` give an answer whenever one side is enough for it."""
    assert evaluate(source) is value


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("observed.gone", 'there is no field "gone"'),
        ("observed.gone && true", 'there is no field "gone"'),
        ("observed.gone ? 1 : 2", 'there is no field "gone"'),
        ("item.name ? 1 : 2", "the condition before ? is no bool"),
        ("1 / (params.min_restarts - 5)", "divide by zero"),
        ("9223372036854775807 + params.min_restarts", "overflow"),
        ("[1][5]", "index=5"),
        ("0.0 / 0.0", "nan"),
        ("{1: 2}", "no string"),
        ("item.name > 5", "_>_(string, int64) cannot take values of these types"),
        ("{'a': 1, item.name: 1, 'web-1': 2}", "duplicate key"),
    ],
)
def test_an_error_fails_the_evaluation(source: str, says: str) -> None:
    """What nobody absorbs is told in words, after the source that it happened in."""
    message = failure(source)
    assert message.startswith(f"{source}: ")
    assert says in message


def test_a_name_without_value_is_an_error_that_can_be_absorbed() -> None:
    """A skipped step has no output: using it fails, unless the other side of a condition decides."""
    source = "steps.a.status != 'succeeded' || steps.a.output.restarts > 1"
    program = compile_expression(source, SCOPE)
    assert program.evaluate({"steps.a.status": "failed"}) is True
    for absent in ({}, {"steps.a.output": None}):  # None is no map
        with pytest.raises(EvaluationFailed, match=r"steps\.a\.output has no value"):
            program.evaluate({"steps.a.status": "succeeded", **absent})
    assert evaluate("item == null", item=None) is True  # where nothing was declared, null is a value


def test_only_used_names_are_looked_at() -> None:
    """A value over the caps harms only the expressions that use it."""
    assert evaluate("alert.severity", pods=[0] * 10_000) == "critical"


class Word(StrEnum):
    """A string with a class of its own."""

    CRITICAL = "critical"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2026, 11, 22, 10, tzinfo=UTC), "2026-11-22T10:00:00+00:00"),
        (datetime(2026, 11, 22, 10, tzinfo=timezone(timedelta(hours=2))), "2026-11-22T10:00:00+02:00"),
        (Word.CRITICAL, "critical"),
        ((1, 2), [1, 2]),
        (MappingProxyType({"a": {"b": [None, True, 1.5]}}), {"a": {"b": [None, True, 1.5]}}),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        ("🚀é", "🚀é"),
    ],
)
def test_values_become_plain(value: Any, plain: Any) -> None:
    """Times become RFC 3339 strings; other classes of strings, lists and maps become the plain ones."""
    result = evaluate("item", item=value)
    assert (result, type(result)) == (plain, type(plain))


def test_a_time_in_the_values_is_read_with_timestamp() -> None:
    """The string that a time becomes is one that `timestamp()` takes."""
    assert evaluate("timestamp(item.at).getHours() == 10", item={"at": datetime(2026, 11, 22, 10, tzinfo=UTC)}) is True


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("item", "é" * (MAX_STRING_BYTES // 2 + 1), "item is 16386 bytes long, more than 16384"),
        ("item", {"a": [["x" * 20_000]]}, "item.a[0][0] is 20000 bytes long"),
        ("item", {"k" * 20_000: 1}, "a key of item is 20000 bytes long"),
        ("item", [0] * (MAX_ITEMS + 1), "item has 201 entries, more than 200"),
        ("item", dict.fromkeys(map(str, range(MAX_ITEMS + 1))), "item has 201 entries"),
        ("item", [["x" * 1000] * 150] * 2, "more than 262144 bytes together"),
        ("item", [[0] * 200] * 200, "more than 262144 bytes together"),
        ("item", 2**63, "item is an integer beyond 64 bits"),
        ("item", {"a": -(2**63) - 1}, "item.a is an integer beyond 64 bits"),
        ("item", {1: 2}, "a key of item is a int, must be a string"),
        ("item", {"a": {1, 2}}, "item.a is a set, which is no JSON value"),
        ("item", b"x", "item is a bytes, which is no JSON value"),
        ("item", datetime(2026, 1, 1), "item is a time without a zone"),  # noqa: DTZ001 - the point of it
        ("item", "a\0b", "item holds a NUL character"),
        ("item", "\ud800", "item is not valid Unicode"),
        ("params.min_restarts", True, "params.min_restarts is a bool, must be a int"),
        ("params.min_restarts", 1.5, "params.min_restarts is a double, must be a int"),
        ("alert.severity", 5, "alert.severity is a int, must be a string"),
        ("observed", [], "observed is a list, must be a map"),
    ],
)
def test_a_value_over_a_cap_is_refused(name: str, value: Any, says: str) -> None:
    """Nothing is cut silently: the message names the input and what is wrong with it."""
    program = compile_expression(f"{name} == {name}", SCOPE)
    with pytest.raises(EvaluationFailed) as caught:
        program.evaluate({name: value})
    assert says in str(caught.value)


def test_values_may_be_as_large_as_the_caps() -> None:
    """The caps themselves are allowed."""
    assert evaluate("size(item)", item=[0] * MAX_ITEMS) == MAX_ITEMS
    assert evaluate("size(item)", item="x" * MAX_STRING_BYTES) == MAX_STRING_BYTES
    nested: Any = 1
    for _ in range(MAX_DEPTH):
        nested = [nested]
    assert evaluate("item", item=nested) == nested
    assert "nested deeper" in failure("item", item=[nested])


LOOPS = {"pods": [{"x": index} for index in range(MAX_ITEMS)], "item": "x" * MAX_STRING_BYTES}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("true" + " || true" * 200, f"at most {MAX_SOURCE} characters"),
        ("(" * 400 + "1" + ")" * 400, "recursion"),
        ("item" + ".x" * 500, "recursion"),
        ("size(" * 100 + "item" + ")" * 100, "recursion"),
        ("item" + " + item" * 9, "`+` may occur 8 times"),
        ("[" + "string(item)," * 9 + "item]", "may occur 8 times together"),
        ("pods.all(a, pods.all(b, pods.all(c, true)))", "nested 2 deep"),
        ("pods.all(a, pods.map(b, pods.map(c, c)) == [])", "nested 2 deep"),
        ("pods.map(a, a).map(b, b).map(c, c)", "`map` may occur 2 times"),
        ("pods.exists(a, pods.exists(b, item + item == 'x'))", "'+' may not stand inside a macro inside a macro"),
        ("pods.exists(a, pods.exists(b, item.trim() == 'x'))", "'trim' may not stand"),
        ("pods.exists(a, pods.exists(b, item.matches('a')))", "'matches' may not stand"),
        ("pods.map(a, item + item + item + item + item)", "may occur 3 times in macros"),
        ("pods.map(a, pods.join(item))", "'join' may not stand inside a macro"),
        ("[[item, item].join(item)].join(item)", "8 times together, join counting 5"),
        ("item.matches('(a{0,100}){0,100}')", "10000 states"),
        ("item.matches('a\\\\p{L}{99}')", "5347 states"),
        ("item.matches('ab\\x7b1000\\x7d')", "1001 states"),  # the braces come from escapes
        ("pods.exists(p, item.matches('(a{20}){20}'))", "400 states, more than 200"),
        ("item.matches('(')", "missing )"),
        ("item.matches('(?=a)')", "invalid regular expression"),
        ("open('/etc/passwd').read()", "no function"),
        ("'%1000000000d'.format([1])", "no function 'format'"),
        ("item.split('').map(a, item)", "no function 'split'"),
    ],
)
def test_hostile_sources_are_refused(source: str, says: str) -> None:
    """What would need much memory or time is refused on its tokens, before it is compiled."""
    assert says in refusal(source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("pods.all(a, pods.all(b, a != 3))", "Iteration budget"),
        ("pods.map(a, pods.map(b, item)).size() > 0", "Iteration budget"),
        ("pods.map(a, item)", "more than 262144 bytes"),
        ("[0].map(a, [" + "item," * 100 + "]).map(b, [" + "b," * 100 + "])", "more than 262144 bytes"),
        ("item.__class__", "no"),
    ],
)
def test_hostile_evaluations_end_within_limits(source: str, says: str) -> None:
    """What is only large when it runs ends with an error."""
    with pytest.raises(EvaluationFailed, match=says):
        compile_expression(source, SCOPE).evaluate(LOOPS)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x"])
def test_no_pattern_is_catastrophic(pattern: str) -> None:
    """Regular expressions are matched in linear time, whatever they look like."""
    assert compile_expression(f"item.matches('{pattern}b')", SCOPE).evaluate({"item": "a" * 16_000}) is False


@pytest.mark.parametrize(
    ("pattern", "cost"),
    [
        ("abc", 3),
        ("a{3}b{2,4}", 7),
        ("a{2,}", 2),
        ("(a{1,3}b){2}", 8),
        ("((a{0,100}){0,10})b", 1001),
        ("a{100}?{100}", 10100),
        (r"\pL", 52),
        (r"(\p{L}?){10}", 550),
        ("[a-z{9}]{2}", 4),
        (r"\[{3}", 3),
        ("a{,5}", 5),
        (r"\Qa{9}\E", 7),
    ],
)
def test_patterns_are_weighed(pattern: str, cost: int) -> None:
    """Characters, times their repetitions, a Unicode class counting for more."""
    assert pattern_cost(pattern) == cost


def test_what_is_within_the_caps_stays_allowed() -> None:
    """The caps leave room for what runbooks say."""
    for source in (
        "pods.map(p, p.namespace + '/' + p.name).join(', ')",
        "pods.filter(p, pods.exists(q, q.name == p.name && q.ready)).size() >= 2",
        "item.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
        "item.ip.matches(r'^\\d{1,3}(\\.\\d{1,3}){3}$')",
        "pods.map(p, !p.ready, {'name': p.name, 'why': p.reason.lowerAscii()})",
        "'a' + 'b' + 'c' + 'd' + 'e' + 'f' + 'g' + 'h' + 'i'",
        "'in' in {'in': true} ? alert.labels.`app.kubernetes.io/name` : ''",
    ):
        assert isinstance(compile_expression(source, SCOPE), Program)


def test_compiling_again_is_free() -> None:
    """The same source in the same scope is compiled once, in whatever order the scope is written."""
    source = "observed.ready > 41"
    backwards = dict(reversed(list(SCOPE.items())))
    assert compile_expression(source, SCOPE, at="a") is compile_expression(source, backwards, at="b")
    assert compile_expression(source, SCOPE) is not compile_expression(source, {"observed": Type.DYN})


SOUP = [
    *(
        "alert.severity",
        "alert",
        "steps.a.output",
        "steps",
        "a",
        "observed",
        "pods",
        "item",
        "p",
        "q",
        ".",
        "x",
        "has(",
    ),
    *("size(", ".map(p,", ".all(q,", ".exists(p,", ".filter(q,", "matches('a*')", ".join(", "string(", "int(", "dyn("),
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        "+",
        "-",
        "*",
        "/",
        "%",
        "!",
        "<",
        ">=",
        "==",
        "!=",
        "&&",
        "||",
        " in ",
    ),
    *("1", "2.5", "9223372036854775807", "3u", "'s'", '"t"', "b'u'", "r'\\d'", "'''v'''", "true", "false", "null", "'"),
    *(
        "timestamp('2026-11-22T00:00:00Z')",
        "duration('1h')",
        "`k`",
        "//",
        "\n",
        "\0",
        "é",
        "\\",
        "$",
        "type(",
        "google",
    ),
]


def is_json(value: object) -> bool:
    """Whether the value is made of what JSON knows, exactly."""
    if isinstance(value, dict):
        return all(type(key) is str and is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_json(item) for item in value)
    return type(value) in (type(None), bool, int, float, str)


def gives_a_value_or_says_why(source: str) -> None:
    """Compile and evaluate: a JSON value, or one of the two exceptions, and every value that is used is handed over."""
    try:
        program = compile_expression(source, SCOPE)
    except InvalidExpression:
        return
    assert program.refs <= SCOPE.keys()
    try:
        result, failed = program.evaluate(VALUES), ""
    except EvaluationFailed as error:
        result, failed = None, str(error)
    assert is_json(result)
    assert "has no value" not in failed


@given(st.lists(st.sampled_from(SOUP), max_size=24).map("".join))
@example("has(steps.a.output.`x`)")
@example("dyn(b'u')")
@example("{}[{}]")
def test_token_soup_is_a_value_or_an_error(source: str) -> None:
    """Whatever the words, the process lives, and the answer is a value or says what is wrong."""
    gives_a_value_or_says_why(source)


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_an_error(source: str) -> None:
    """Whatever the characters, the same."""
    gives_a_value_or_says_why(source)


atoms = st.sampled_from(
    ["1", "2.5", "'s'", "true", "null", "item", "observed.ready", "pods", "steps.a.output.list", "p"]
)
trees = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%", "==", "<", "&&", "||", " in "]), inner).map("".join),
        st.tuples(inner, inner, inner).map(lambda parts: "({}?{}:{})".format(*parts)),
        st.tuples(inner, st.sampled_from(["map", "all", "exists", "filter"]), inner).map(
            lambda parts: "dyn({}).{}(p,{})".format(*parts)
        ),
        st.tuples(st.sampled_from(["size", "string", "int", "dyn", "type"]), inner).map(
            lambda parts: "{}({})".format(*parts)
        ),
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
        st.tuples(inner, inner).map(lambda parts: "{{{}:{}}}".format(*parts)),
        st.tuples(inner, inner).map(lambda parts: "{}[{}]".format(*parts)),
    ),
    max_leaves=12,
)


@given(trees)
def test_any_well_formed_expression_is_a_value_or_an_error(source: str) -> None:
    """What parses runs into more of the library than soup does; the same holds."""
    gives_a_value_or_says_why(source)


@given(st.lists(st.sampled_from(SOUP), max_size=24).map("".join))
def test_tokens_lose_nothing(source: str) -> None:
    """Tokens lie behind each other; between them there are only spaces and comments."""
    at = 0
    for token in tokens(source):
        between = source[at : token.start]
        assert not between.strip() or between.lstrip().startswith("//")
        assert source[token.start : token.end] == token.text
        at = token.end


def test_help_does_not_wait_for_the_library() -> None:
    """`workflow-service --help` answers without the native library being loaded."""
    code = (
        "import sys; from workflow_service.__main__ import main; main(['--help'], standalone_mode=False);"
        "sys.exit('cel_expr_python' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr


def test_the_sum_of_values_may_reach_its_cap() -> None:
    """Up to the cap the values together are taken, a byte more is not."""
    text = "x" * (MAX_STRING_BYTES - 8)  # with its own cost a sixteenth of the cap
    assert evaluate("size(item)", item=[text] * (MAX_BYTES // MAX_STRING_BYTES)) == MAX_BYTES // MAX_STRING_BYTES
    assert "together" in failure("size(item)", item=[*[text] * (MAX_BYTES // MAX_STRING_BYTES), ""])
