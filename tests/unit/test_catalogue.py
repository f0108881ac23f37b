"""The executor's catalogue: its word on schemas counts, our aliases and risk floor stand above it."""

import pytest

from workflow_service.domain.catalogue import Catalogue, Risk, canonical, catalogue_from_wire

SCALE = {
    "type": "scale_deployment",
    "parameters": {
        "type": "object",
        "required": ["namespace", "resource_name", "replicas"],
        "properties": {
            "namespace": {"type": "string"},
            "resource_name": {"type": "string"},
            "replicas": {"type": "integer", "minimum": 0, "maximum": 100},
        },
        "additionalProperties": False,
    },
    "target_kinds": ["Deployment"],
    "risk": "low",
    "changes": True,
    "reversible": True,
    "default_timeout_seconds": 90,
}


def catalogue(*actions: object) -> Catalogue:
    """What a catalogue answer with these entries means."""
    return catalogue_from_wire({"digest": "sha256:1", "actions": list(actions)})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("restart-pod", "restart_pod"),
        ("ScaleReplicas", "scale_deployment"),
        ("RestartPod", "restart_pod"),
        ("delete_pod", "restart_pod"),
        (" notify-oncall ", "notify_oncall"),
        ("monitor", "collect_diagnostics"),
        ("rollback_deployment", "rollback_deployment"),
    ],
)
def test_other_peoples_names_are_understood(name: str, expected: str) -> None:
    """Hyphens, CamelCase and the names of upstream documents mean the catalogue's entry."""
    assert canonical(name) == expected


def test_an_entry_is_found_by_its_alias() -> None:
    """An alias leads to the entry, and what is not offered is not found."""
    offered = catalogue(SCALE)
    entry = offered.get("ScaleReplicas")
    assert entry is not None
    assert (entry.type, entry.reversible, entry.default_timeout, offered.digest) == (
        "scale_deployment",
        True,
        90,
        "sha256:1",
    )
    assert offered.get("drain_node") is None


def test_the_risk_is_never_below_our_floor() -> None:
    """An executor that calls draining a node harmless is not believed; one that is more careful is."""
    offered = catalogue(
        {"type": "drain_node", "risk": "low"}, {"type": "notify_team", "risk": "high"}, {"type": "odd", "risk": "?"}
    )
    assert [offered.actions[name].risk for name in ("drain_node", "notify_team", "odd")] == [
        Risk.HIGH,
        Risk.HIGH,
        Risk.HIGH,
    ]


def test_every_broken_parameter_is_named() -> None:
    """Violations carry the parameter's path, all of them at once."""
    entry = catalogue(SCALE).actions["scale_deployment"]
    found = entry.violations({"namespace": 1, "replicas": 101, "resource_name": "web", "x": 1}, at="steps.0.parameters")
    assert [violation.field for violation in found] == [
        "steps.0.parameters",
        "steps.0.parameters.namespace",
        "steps.0.parameters.replicas",
    ]
    assert not entry.violations({"namespace": "a", "resource_name": "web", "replicas": 3}, at="p")


def test_entries_that_make_no_sense_are_left_out() -> None:
    """One broken entry does not cost the others."""
    assert list(catalogue(None, "scale", {"risk": "low"}, SCALE).actions) == ["scale_deployment"]
    assert catalogue_from_wire({}).actions == {}
