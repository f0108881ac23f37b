"""Settings of identity providers, and secrets that change in their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow_service.domain.permissions import Grant, Right
from workflow_service.settings import SecretFile, SettingsError, current, load
from workflow_service.settings.rules import roles

OP = Grant(Right.OPERATOR)


def test_what_roles_mean() -> None:
    """Names may hold colons and equals signs; rights add up; namespaces limit."""
    text = "sre=operator, CN=leads=operator+approver , system:serviceaccount:a:b=viewer@shop+pay"
    assert roles(text) == {
        "sre": (OP,),
        "CN=leads": (OP, Grant(Right.APPROVER)),
        "system:serviceaccount:a:b": (Grant(Right.VIEWER, frozenset({"shop", "pay"})),),
    }


@pytest.mark.parametrize("text", ["sre", "=operator", "sre=root", "sre=operator@", "sre=operator@Shop", "sre=", ","])
def test_roles_that_mean_nothing(text: str) -> None:
    """A role without a right, or with one that does not exist, is refused."""
    with pytest.raises(ValueError, match="must be such as"):
        roles(text)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"AUTH_MODE": "key"}, "AUTH_MODE (env): 'key' must be none, or one or more of keys, jwt, kubernetes"),
        ({"AUTH_MODE": "none,keys"}, "AUTH_MODE (env): 'none,keys' must be none, or"),
        ({"AUTH_MODE": "jwt"}, "OIDC_ISSUER: must be given with AUTH_MODE=jwt"),
        ({"AUTH_MODE": "jwt"}, "OIDC_AUDIENCE: must be given with AUTH_MODE=jwt"),
        ({"AUTH_MODE": "jwt"}, "OIDC_ROLES: must be given with AUTH_MODE=jwt"),
        ({"AUTH_MODE": "kubernetes"}, "KUBERNETES_ROLES: must be given with AUTH_MODE=kubernetes"),
        ({"AUTH_MODE": "kubernetes", "KUBERNETES_CA_FILE": "/none"}, "KUBERNETES_CA_FILE: '/none' must be a PEM file"),
        ({"OIDC_ISSUER": "http://idp.example"}, "must be a URL that begins with https://"),
        ({"WEBHOOK_SECRETS": "short"}, "WEBHOOK_SECRETS (env): '********' must be one or two secrets of 24 bytes"),
        ({"WEBHOOK_SECRETS": " ".join(["x" * 24] * 3)}, "must be one or two secrets"),
        ({"WEBHOOK_SECRETS": "whsec_!"}, "must be one or two secrets"),
        ({"OIDC_ALGORITHMS": "RS256,HS256"}, "OIDC_ALGORITHMS (env): 'RS256,HS256' must be one or more of RS256"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, str], problem: str) -> None:
    """What is missing, unknown or unsafe refuses the start and says so."""
    with pytest.raises(SettingsError) as caught:
        load(given)
    assert problem in str(caught.value)


def test_modes() -> None:
    """Beyond loopback any mode will do; `none` is a word, not the absence of one."""
    assert load({}).auth_mode is None
    assert load({"AUTH_MODE": "none", "HOST": "10.0.0.1"}).auth_mode == frozenset()
    assert load({"AUTH_MODE": "Keys", "HOST": "10.0.0.1"}).auth_mode == frozenset({"keys"})
    issuer = {"OIDC_ISSUER": "https://idp.example/", "OIDC_AUDIENCE": "x", "OIDC_ROLES": "sre=operator"}
    found = load({"AUTH_MODE": "keys,jwt", **issuer})
    assert (found.auth_mode, found.oidc.issuer) == (frozenset({"keys", "jwt"}), "https://idp.example/")


def test_a_secret_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    """A new file is seen at the next look, a second later at most; what cannot be used changes nothing."""
    seconds, file = [0.0], tmp_path / "token"
    file.write_text("one\n")
    secret = SecretFile(file, lambda text: text or _refuse(), monotonic=lambda: seconds[0])
    assert secret() == "one"
    (tmp_path / "next").write_text("two")
    (tmp_path / "next").replace(file)
    assert secret() == "one"
    for change in ("", "three"):
        seconds[0] += 1
        assert secret() == "two"
        file.write_text(change)
    seconds[0] += 1
    assert secret() == "three"
    file.unlink()
    seconds[0] += 1
    assert secret() == "three"


def _refuse() -> str:
    raise ValueError("must not be empty")


def test_which_secrets_follow_their_files(tmp_path: Path) -> None:
    """A secret from a `_FILE` follows it; one given by value stays."""
    file = tmp_path / "token"
    file.write_text("old")
    by_file = current(load({"EXECUTOR_TOKEN_FILE": str(file)}), "service_coordination.executor_token")
    by_value = current(load({"EXECUTOR_TOKEN": "fix"}), "service_coordination.executor_token")
    assert current(load({}), "service_coordination.executor_token")() is None
    assert by_value() == "fix"
    file.write_text("newer")
    assert by_file() == "newer"
