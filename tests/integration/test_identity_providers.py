"""Tokens of an OIDC issuer and of Kubernetes, over HTTP on loopback; and who is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.identity_providers import AUDIENCE, ApiServer, OidcIssuer
from tests.support.keys import basic, bearer, make_key
from tests.support.replica import HIGH_CPU, MEMORY_LEAK, replica
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.access import jwks
from workflow_service.access.jwks import Jwks
from workflow_service.access.tokens import Issuer, Tokens
from workflow_service.clients.identity import HttpIssuer
from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import ProviderAway
from workflow_service.domain.permissions import Grant, Right

LIST = "/api/v1/workflows"
ROLES = "sre=operator, team=viewer+operator@staging"


@pytest.fixture
async def issuer() -> AsyncIterator[OidcIssuer]:
    """An issuer that answers."""
    found = OidcIssuer()
    async with found.serving():
        yield found


@pytest.fixture
async def cluster() -> AsyncIterator[ApiServer]:
    """An API server that answers."""
    found = ApiServer()
    async with found.serving():
        yield found


def by_token(issuer: OidcIssuer, **more: str) -> dict[str, Any]:
    """Settings that accept the issuer's tokens."""
    found = {"AUTH_MODE": "jwt", "OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE, "OIDC_ROLES": ROLES}
    return {**found, **more}


def by_review(cluster: ApiServer, directory: Path, **more: str) -> dict[str, Any]:
    """Settings that have tokens reviewed."""
    (directory / "token").write_text("our own")
    found = {
        "AUTH_MODE": "kubernetes",
        "KUBERNETES_API_URL": cluster.url,
        "KUBERNETES_TOKEN_FILE": str(directory / "token"),
        "KUBERNETES_ROLES": "system:serviceaccount:monitoring:alertmanager=operator,leads=approver",
    }
    return {**found, **more}


async def test_a_token_opens_what_its_groups_may(tmp_path: Path, issuer: OidcIssuer) -> None:
    """Signed by RSA or EC, as bearer or as password; groups give rights and namespaces, none of them gives nothing."""
    async with replica(tmp_path, ScriptedExecutor(), **by_token(issuer)) as running:
        for kid in ("rsa", "ec"):
            assert (await running.http.get(LIST, headers=bearer(issuer.token(kid)))).status_code == 200
        assert (await running.http.get(LIST, headers=basic("", issuer.token()))).status_code == 200
        assert (await running.http.get(LIST, headers=bearer(issuer.token(groups=["guests"])))).status_code == 403
        team = bearer(issuer.token(sub="tim", groups=["team"]))
        assert (await running.http.post("/api/v1/execute", json=MEMORY_LEAK, headers=team)).status_code == 200
        assert (await running.http.post("/api/v1/execute", json=HIGH_CPU, headers=team)).status_code == 403
        who = {line.get("caller") for line in running.log if line["event"] == "request"}
        assert who == {"oidc:ana", "oidc:tim"}


async def test_forged_tokens_open_nothing(tmp_path: Path, issuer: OidcIssuer) -> None:
    """Every forged token gets 401, in the same words, though the issuer's keys are known."""
    async with replica(tmp_path, ScriptedExecutor(), **by_token(issuer)) as running:
        assert (await running.http.get(LIST, headers=bearer(issuer.token()))).status_code == 200
        answers = {name: await running.http.get(LIST, headers=bearer(token)) for name, token in issuer.forged().items()}
        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 401)
        assert {answer.json()["detail"] for answer in answers.values()} == {"the credential is not valid here"}
        assert len(answers) >= 15


async def test_keys_are_fetched_rarely_and_kept(issuer: OidcIssuer) -> None:
    """Once for many tokens; again for an unknown key, but not more often than agreed; kept while the issuer is away."""
    seconds = [1000.0]
    session = SharedSession()
    source = HttpIssuer(session, issuer=issuer.url, jwks_url=None)
    keys = Jwks(source.keys, monotonic=lambda: seconds[0])
    rules = Issuer(issuer.url, AUDIENCE, ["RS256"], "sub", "groups", {"sre": (Grant(Right.OPERATOR),)})
    tokens = Tokens(rules, keys)

    async def name(kid: str = "rsa", named: str | None = None) -> str | None:
        caller = (await tokens.find_out(issuer.token(kid, named=named))).caller
        return caller.name if caller else None

    def fetches() -> int:
        return issuer.asked.count("/keys")

    assert [await name() for _ in range(5)] == ["oidc:ana"] * 5
    assert fetches() == 1
    assert [await name(named="unknown") for _ in range(5)] == [None] * 5
    assert fetches() == 1
    issuer.keys["new"] = issuer.keys["rsa"]
    seconds[0] += jwks.INTERVAL
    assert await name("new") == "oidc:ana"
    assert fetches() == 2
    issuer.away = True
    seconds[0] += jwks.FRESH
    assert await name() == "oidc:ana"
    with pytest.raises(ProviderAway):
        await name(named="newer")
    issuer.away = False
    seconds[0] += jwks.AGAIN
    assert await name(named="newer") is None
    await session.close()


async def test_the_issuer_is_away(tmp_path: Path, issuer: OidcIssuer) -> None:
    """Nobody is taken for nobody while the issuer's keys cannot be had: 503, so that senders try again."""
    issuer.away = True
    async with replica(tmp_path, ScriptedExecutor(), **by_token(issuer)) as running:
        answer = await running.http.post("/api/v1/execute", json=HIGH_CPU, headers=bearer(issuer.token()))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["title"] == "Identity provider unavailable"


async def test_an_issuer_that_speaks_for_another(issuer: OidcIssuer) -> None:
    """A configuration of another issuer is not believed, and an issuer with TLS is not asked for keys without it."""
    session = SharedSession()
    with pytest.raises(ProviderAway, match="another issuer"):
        await HttpIssuer(session, issuer=f"{issuer.url}/", jwks_url=None).keys()
    await session.close()


async def test_claims_where_they_lie(issuer: OidcIssuer) -> None:
    """Name and roles are read where the settings say, from a list or a text of words, along a path."""
    session = SharedSession()
    keys = Jwks(HttpIssuer(session, issuer=issuer.url, jwks_url=f"{issuer.url}/keys").keys, monotonic=lambda: 0.0)
    meaning = {"sre": (Grant(Right.OPERATOR),)}
    for path, claims in (
        ("realm_access.roles", {"realm_access": {"roles": ["sre", 7]}}),
        ("scope", {"scope": "openid sre"}),
        ("https://x.example/roles", {"https://x.example/roles": ["sre"]}),
    ):
        tokens = Tokens(Issuer(issuer.url, AUDIENCE, ["RS256"], "email", path, meaning), keys)
        found = await tokens.find_out(issuer.token(email="ana@x.example", **claims))
        assert found.caller is not None, path
        assert (found.caller.name, found.caller.grants) == ("oidc:ana@x.example", meaning["sre"])
        assert (await tokens.find_out(issuer.token(**claims))).caller is None  # no such name
    await session.close()


async def test_a_service_account_is_reviewed(tmp_path: Path, cluster: ApiServer) -> None:
    """Names and groups give rights; a yes is asked for once, and with a token of our own."""
    alertmanager = "system:serviceaccount:monitoring:alertmanager"
    cluster.users = {
        "good": (alertmanager, [], [AUDIENCE]),
        "lead": ("lena", ["leads"], [AUDIENCE]),
        "for others": (alertmanager, [], ["vault"]),
    }
    async with replica(tmp_path, ScriptedExecutor(), **by_review(cluster, tmp_path)) as running:
        for _ in range(3):
            assert (await running.http.get(LIST, headers=bearer("good"))).status_code == 200
        assert len(cluster.asked) == 1
        sent = await running.http.post("/api/v1/execute", json=HIGH_CPU, headers=bearer("good"))
        assert sent.status_code == 200
        path = f"{LIST}/{sent.json()['result']['workflow_id']}"
        assert (await running.http.post(f"{path}/pause", headers=bearer("lead"))).status_code == 403
        for token in ("for others", "unknown"):
            assert (await running.http.get(LIST, headers=bearer(token))).status_code == 401
        cluster.ignores_audiences = True
        cluster.users["for the server itself"] = (alertmanager, [], [])
        assert (await running.http.get(LIST, headers=bearer("for the server itself"))).status_code == 401
        assert set(cluster.authorizations) == {"Bearer our own"}
        cluster.away = True
        assert (await running.http.get(LIST, headers=bearer("good"))).status_code == 200
        assert (await running.http.get(LIST, headers=bearer("another"))).status_code == 503


async def test_made_up_tokens_are_no_load_on_kubernetes(tmp_path: Path, cluster: ApiServer) -> None:
    """However many tokens are made up, the API server is asked a bounded number of times; known ones still open."""
    cluster.users = {"good": ("system:serviceaccount:monitoring:alertmanager", [], [AUDIENCE])}
    async with replica(tmp_path, ScriptedExecutor(), **by_review(cluster, tmp_path)) as running:
        assert (await running.http.get(LIST, headers=bearer("good"))).status_code == 200
        codes = {(await running.http.get(LIST, headers=bearer(f"x{number}"))).status_code for number in range(400)}
        assert codes <= {401, 429, 503}
        assert 503 in codes
        assert len(cluster.asked) < 300
        assert (await running.http.get(LIST, headers=bearer("good"))).status_code == 200


async def test_all_ways_at_once(tmp_path: Path, issuer: OidcIssuer, cluster: ApiServer) -> None:
    """With several modes each credential finds its judge: a key, a token of our issuer, anything else Kubernetes."""
    cluster.users = {"good": ("lena", ["leads"], [AUDIENCE])}
    settings = {**by_token(issuer), **by_review(cluster, tmp_path), "AUTH_MODE": "keys, jwt,kubernetes"}
    async with replica(tmp_path, ScriptedExecutor(), **settings) as running:
        _, key = await make_key(running.parts.database, "ana", Right.VIEWER)
        for credential in (key, issuer.token(), "good"):
            assert (await running.http.get(LIST, headers=bearer(credential))).status_code == 200
        assert len(cluster.asked) == 1
        stranger = OidcIssuer().token(iss="https://elsewhere.example")
        assert (await running.http.get(LIST, headers=bearer(stranger))).status_code == 401
        assert len(cluster.asked) == 2
