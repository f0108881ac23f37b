"""`executor-service rbac`: roles from the declarations, the smallest there are, and clear words about wrong options."""

import subprocess
import sys
from collections import Counter

import pytest
import yaml

from executor_service.actions.catalogue import Catalogue
from executor_service.actions.roles import LOOKING_ROLE, UnknownRoleError, chosen_roles, rules_by_role

SPECS = Catalogue().specs
EVERY_SETTING = frozenset({item.setting for spec in SPECS for item in spec.requires if item.setting})


def test_a_family_grants_nothing_that_looking_grants() -> None:
    """Otherwise a right could be taken from one role without anybody missing it."""
    roles = rules_by_role(SPECS, EVERY_SETTING)
    looking = {(rule.group, rule.resource, verb) for rule in roles[LOOKING_ROLE] for verb in rule.verbs}
    for role, rules in roles.items():
        rights = [(rule.group, rule.resource, verb) for rule in rules for verb in rule.verbs]
        assert max(Counter(rights).values()) == 1, role
        assert role == LOOKING_ROLE or not looking.intersection(rights), role


def test_a_setting_brings_the_rights_of_its_actions() -> None:
    """Creating Jobs comes with JOB_TEMPLATES, reading secrets with ROTATABLE_SECRETS, nothing with notifications."""
    plain, full = rules_by_role(SPECS, frozenset()), rules_by_role(SPECS, EVERY_SETTING)
    assert "secrets" not in plain
    assert "secrets" in full
    for roles, count in ((plain, 0), (full, 4)):
        creating = [
            role for role, rules in roles.items() for rule in rules if rule.resource == "jobs" if role != LOOKING_ROLE
        ]
        assert len(creating) == count
    assert not {"notifications", "monitoring", "custom"} & full.keys()


def test_reading_secrets_for_webhooks_and_jobs_is_asked_for_by_name() -> None:
    """READABLE_SECRETS alone brings `get` on secrets to those families; without it none of them has it."""
    without, with_it = (
        {
            role
            for role, rules in rules_by_role(SPECS, settings).items()
            if any(rule.resource == "secrets" and tuple(rule.verbs) == ("get",) for rule in rules)
        }
        for settings in (EVERY_SETTING, EVERY_SETTING | {"READABLE_SECRETS"})
    )
    assert without == set()
    assert with_it == {"backup", "custom", "database", "debugging", "storage"}


@pytest.mark.parametrize(
    ("families", "settings", "rule"),
    [
        (("nothing",), (), "family 'nothing' must be one of autoscaling, "),
        ((), ("NOTHING",), "setting 'NOTHING' must be one of ALERTMANAGER_URL, "),
        (("secrets",), (), "family 'secrets' has no enabled action without --setting ROTATABLE_SECRETS"),
    ],
)
def test_a_wrong_option_is_named(families: tuple[str, ...], settings: tuple[str, ...], rule: str) -> None:
    """With its value and what it could be."""
    with pytest.raises(UnknownRoleError, match=rule):
        chosen_roles(SPECS, families=families, settings=frozenset(settings))


def test_the_command_prints_what_can_be_applied() -> None:
    """Roles and bindings of one family and of looking, for the account that was named; a mistake is one line."""
    command = [sys.executable, "-m", "executor_service", "rbac", "--family", "nodes", "--namespace", "ops"]
    printed = subprocess.run([*command, "--account", "hand"], capture_output=True, text=True, check=True).stdout
    documents = list(yaml.safe_load_all(printed))
    assert [(one["kind"], one["metadata"]["name"].rpartition("-")[2]) for one in documents] == [
        ("ClusterRole", "looking"),
        ("ClusterRoleBinding", "looking"),
        ("ClusterRole", "nodes"),
        ("ClusterRoleBinding", "nodes"),
    ]
    assert documents[3]["subjects"] == [{"kind": "ServiceAccount", "name": "hand", "namespace": "ops"}]
    wrong = subprocess.run([*command, "--setting", "X"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
