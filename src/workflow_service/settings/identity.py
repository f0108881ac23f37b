"""Settings of our own certificate, and of the providers whose tokens `AUTH_MODE` accepts. A part of `tree`."""

# ruff: noqa: RUF009 - `setting` returns dataclasses.field()
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workflow_service.domain.permissions import Roles
from workflow_service.settings import rules
from workflow_service.settings.declaring import setting

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_PATH = rules.word(r"/[^\s?#]{1,1023}", "an absolute path without spaces, ? and #")


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS on our own port."""

    cert_file: Path | None = setting("TLS_CERT_FILE", None, rules.file)
    key_file: Path | None = setting("TLS_KEY_FILE", None, rules.file)


@dataclass(frozen=True, slots=True)
class Oidc:
    """An OpenID Connect issuer, for `AUTH_MODE=jwt`."""

    issuer: str | None = setting("OIDC_ISSUER", None, rules.issuer)
    audience: str | None = setting("OIDC_AUDIENCE", None, rules.word(r"\S{1,400}", "a name without spaces"))
    jwks_url: str | None = setting("OIDC_JWKS_URL", None, rules.issuer)  # None: discovered
    algorithms: tuple[str, ...] = setting("OIDC_ALGORITHMS", "RS256,ES256", rules.algorithms)
    name_claim: str = setting("OIDC_NAME_CLAIM", "sub", rules.word(r"\S{1,200}", "a name without spaces"))
    roles_claim: str = setting("OIDC_ROLES_CLAIM", "groups", rules.word(r"\S{1,200}", "a name without spaces"))
    roles: Roles | None = setting("OIDC_ROLES", None, rules.roles)


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """The API server that reviews tokens, for `AUTH_MODE=kubernetes`. Defaults: as a pod finds them."""

    api_url: str = setting("KUBERNETES_API_URL", "https://kubernetes.default.svc", rules.url("https", "http"))
    audience: str = setting(
        "KUBERNETES_AUDIENCE", "workflow-service", rules.word(r"\S{1,400}", "a name without spaces")
    )
    token_file: str = setting("KUBERNETES_TOKEN_FILE", f"{_ACCOUNT}/token", _PATH)
    ca_file: str = setting("KUBERNETES_CA_FILE", f"{_ACCOUNT}/ca.crt", _PATH)
    roles: Roles | None = setting("KUBERNETES_ROLES", None, rules.roles)
