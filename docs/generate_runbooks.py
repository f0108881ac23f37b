"""Writes the table of the runbooks that come with the service into docs/templates.md, from the templates themselves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from executor_service.actions.catalogue import Catalogue as Executor
from workflow_service.domain.catalogue import ActionType
from workflow_service.planning import library
from workflow_service.planning.rules import RuleAction
from workflow_service.planning.templates import Template

PAGE = Path(__file__).with_name("templates.md")
BEGINS = "<!-- runbooks: written by docs/generate_runbooks.py; do not edit -->\n"
ENDS = "<!-- runbooks end -->\n"
_RISKS = ("low", "medium", "high")


def render() -> str:
    """The whole page, with the table as the templates are now."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGINS)
    after = rest.partition(ENDS)[2]
    return f"{before}{BEGINS}\n{chr(10).join(table())}\n\n{ENDS}{after}"


def table() -> list[str]:
    """One row for each template, those that alerts lead to first."""
    known = library.assemble(library.read(library.shipped()), library.known_actions()).templates.values()
    ordered = sorted(known, key=lambda one: (one.match is None, one.reference.name))
    head = "| runbook | alerts | what it changes | risk | undo | needs |\n|---|---|---|---|---|---|"
    return [head, *(f"| {' | '.join(_row(one))} |" for one in ordered)]


def _row(one: Template) -> Iterator[str]:
    catalogue = library.known_actions()
    steps = [step for _, _, level in one.rule.phases for step in _every(level)]
    changing = [(step, entry) for step in steps if (entry := catalogue.get(step.type)) is not None and entry.changes]
    yield f"`{one.reference.name}`"
    yield _alerts(one)
    yield "; ".join(_change(step) for step, _ in changing) or "nothing"
    yield max((entry.risk.value for _, entry in changing), key=_RISKS.index, default="none")
    yield _undo(changing)
    yield _needs(steps)


def _every(steps: Sequence[RuleAction]) -> Iterator[RuleAction]:
    for step in steps:
        yield step
        yield from _every(step.steps)


def _alerts(one: Template) -> str:
    if one.match is None:
        return "ordered by hand, or extended"
    names = ", ".join(name.replace("*", "\\*") for name in one.match.alertnames)
    about = [
        *(("of " + ", ".join(one.rule.when.owners),) if one.rule.when.owners else ()),
        *(("in " + ", ".join(one.match.namespaces).replace("*", "\\*"),) if one.match.namespaces else ()),
    ]
    return " ".join([names, *(f"({word})" for word in about)])


def _change(step: RuleAction) -> str:
    if step.approval is None:
        return f"`{step.type}`"
    asked = "a person is asked" if step.approval.when is None else f"a person is asked where `{step.approval.when}`"
    return f"`{step.type}` ({asked})"


def _undo(changing: list[tuple[RuleAction, ActionType]]) -> str:
    if not changing:
        return "-"
    firm = sorted({step.type for step, entry in changing if not (entry.reversible or step.rollback)})
    if not firm:
        return "yes"
    return "no" if len(firm) == len({step.type for step, _ in changing}) else f"yes, but for {', '.join(firm)}"


def _needs(steps: list[RuleAction]) -> str:
    """What the executor must be given for the steps that cannot be left out."""
    specs = (Executor().find(step.type) for step in steps if step.type and step.critical)
    return "; ".join(sorted({need.text for spec in specs if spec is not None for need in spec.requires})) or "-"
