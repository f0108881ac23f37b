"""Expressions inside of values: what is found, what is refused, what is filled in."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.errors import Violation
from workflow_service.domain.expression_values import MAX_DEPTH
from workflow_service.domain.expressions import EvaluationFailed, Type
from workflow_service.domain.interpolation import check_interpolation, has_expressions, interpolate

SCOPE: Mapping[str, Type] = {"params.name": Type.STRING, "params.count": Type.INT, "result": Type.MAP, "item": Type.DYN}
VALUES: Mapping[str, Any] = {
    "params.name": "web",
    "params.count": 3,
    "result": {
        "none": None,
        "yes": True,
        "double": 2.0,
        "third": 0.25,
        "list": [1, {"b": None, "a": "é"}],
        "brace": "}}",
    },
    "item": "it's",
}


def nested(value: Any, depth: int) -> Any:
    """The value inside of that many lists."""
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.requirement("BR-WF-007")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${{ params.name }}", "web"),
        ("${{params.count}}", 3),
        ("${{\n  params.count\n}}", 3),
        ("${{ result.none }}", None),
        ("${{ result.yes }}", True),
        ("${{ result.double }}", 2.0),
        ("${{ result.list }}", [1, {"a": "é", "b": None}]),
        ("app=${{ params.name }}", "app=web"),
        (" ${{ params.count }}", " 3"),
        ("${{ params.name }}${{ params.count }}", "web3"),
        ("[${{ result.none }}]", "[]"),
        ("is ${{ result.yes }} or ${{ !result.yes }}", "is true or false"),
        ("${{ result.double }}, ${{ result.third }}", "2, 0.25"),
        ("got ${{ result.list }}", 'got [1,{"a":"é","b":null}]'),
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("x${{ {'a': {}}}}", 'x{"a":{}}'),
        ("${{ '}}' + result.brace }}", "}}}}"),
        ("${{ '${{' }} }}", "${{ }}"),
        ("$${{ params.name }} ${ {{ }}", "$web ${ {{ }}"),
        ('${{ item }} isn\'t "it"', "it's isn't \"it\""),
    ],
)
def test_an_expression_is_filled_in(text: str, value: Any) -> None:
    """Alone it keeps its type, inside of text it is written out; braces and quotes belong to whom they belong to."""
    assert check_interpolation(text, SCOPE, at="with")[0] == []
    filled = interpolate(text, SCOPE, VALUES)
    assert (filled, type(filled)) == (value, type(value))


def test_values_are_filled_in_all_the_way_down() -> None:
    """Lists and maps keep their shape, what is no string stays as it is, and the given value is not changed."""
    given_value = {"a": [{"b": "${{ params.count }}"}, 1, None, True, 1.5], "c": ("x ${{ params.name }}",)}
    before = json.dumps(given_value)
    assert interpolate(given_value, SCOPE, VALUES) == {"a": [{"b": 3}, 1, None, True, 1.5], "c": ["x web"]}
    assert json.dumps(given_value) == before


def test_every_broken_expression_is_found() -> None:
    """Checking runs nothing, goes on after an error, and names the place and the expression."""
    value = {
        "first": "${{ nope }} and ${{ params.count + 'x' }}",
        "list": [1, "${{ params.name }}", {"deep": "${{ result.x"}],
        "${{ item }}": "${{ item }}",
    }
    violations, refs = check_interpolation(value, SCOPE, at="steps.0.with")
    assert [(violation.field, violation.value) for violation in violations] == [
        ("steps.0.with", "${{ item }}"),
        ("steps.0.with.first", "nope"),
        ("steps.0.with.first", "params.count + 'x'"),
        ("steps.0.with.list.2.deep", "${{ result.x"),
    ]
    assert [violation.rule.partition(":")[0] for violation in violations[1:3]] == ["at 1", "at 1"]
    assert refs == {"params.name", "item"}


def test_an_expression_that_never_ends_is_refused() -> None:
    """`${{` without its end is an error where it stands, never text."""
    (violation,), refs = check_interpolation("a ${{ b", {}, at="text")
    assert violation == Violation("text", "a ${{ b", "`${{` is not closed by `}}` within 1024 characters")
    assert refs == frozenset()
    with pytest.raises(EvaluationFailed, match="not closed"):
        interpolate("a ${{ b", {}, {})
    with pytest.raises(EvaluationFailed, match="not closed"):
        interpolate("${{ '" + "a" * 2000 + "' }}", {}, {})


def test_what_fails_names_its_expression() -> None:
    """An expression that was never checked, or gives an error, fails the filling in."""
    with pytest.raises(EvaluationFailed, match="undeclared reference to 'nope'"):
        interpolate({"a": "${{ nope }}"}, SCOPE, VALUES)
    with pytest.raises(EvaluationFailed, match=r'result\.gone: there is no field "gone"'):
        interpolate("text ${{ result.gone }}", SCOPE, VALUES)


def test_what_is_filled_in_is_bounded() -> None:
    """Results count against the caps of expressions, all of one value together."""
    with pytest.raises(EvaluationFailed, match="together"):
        interpolate(["${{ item }}"] * 17, SCOPE, {"item": "x" * 16_000})
    with pytest.raises(EvaluationFailed, match="more than 16384"):
        interpolate("${{ string(item) + 'abc' }}", SCOPE, {"item": "x" * 16_384})


def test_nesting_is_bounded() -> None:
    """What is nested too deep is refused when it is checked, and fails when it is filled in all the same."""
    deepest = nested("${{ item }}", MAX_DEPTH)
    assert check_interpolation(deepest, SCOPE, at="with") == ([], frozenset({"item"}))
    assert interpolate(deepest, SCOPE, VALUES) == nested("it's", MAX_DEPTH)
    violations, _ = check_interpolation([deepest], SCOPE, at="with")
    assert [violation.rule for violation in violations] == ["must not be nested deeper than 32"]
    with pytest.raises(EvaluationFailed, match="nested deeper than 32"):
        interpolate([deepest], SCOPE, VALUES)
    assert check_interpolation(nested("x", 5000), SCOPE, at="with")[0] != []


@pytest.mark.parametrize(
    ("value", "any_there"),
    [
        ("${{ x }}", True),
        ({"a": [1, "b ${{"]}, True),
        ({"${{ a }}": 1}, True),
        (nested("${{ x }}", 5000), True),
        ({"a": ["$", "{{ x }}", 1, None]}, False),
        (None, False),
    ],
)
def test_expressions_are_noticed(value: Any, any_there: bool) -> None:
    """Wherever a `${{` is, at any depth and in keys too, it is seen."""
    assert has_expressions(value) is any_there


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


@given(json_values)
def test_a_value_without_expressions_stays(value: Any) -> None:
    """Nothing is found in it, nothing is wrong with it, and it comes back equal."""
    if not has_expressions(value):
        assert check_interpolation(value, SCOPE, at="with") == ([], frozenset())
        assert interpolate(value, SCOPE, VALUES) == value


@given(
    st.lists(st.sampled_from(["${{", "}}", "{", "}", "'", '"', " ", "item", "params.name", "$", "x", "}} "])).map(
        "".join
    )
)
def test_brace_soup_is_checked_as_it_is_filled(text: str) -> None:
    """What passes the check never fails for its form, and what does not pass always fails."""
    violations, _ = check_interpolation(text, SCOPE, at="with")
    if violations:
        with pytest.raises(EvaluationFailed):
            interpolate(text, SCOPE, VALUES)
    else:
        interpolate(text, SCOPE, VALUES)
