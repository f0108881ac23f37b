"""Identity providers on loopback: an OIDC issuer that signs tokens, and an API server that reviews them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "workflow-service"


class Provider:
    """An HTTP server that counts what it is asked and can be switched off."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url, self.away = "", False

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        raise NotImplementedError

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """It answers as long as the block lasts."""

        @web.middleware
        async def watch(request: web.Request, handler: Any) -> web.StreamResponse:
            self.asked.append(request.path)
            if self.away:
                raise web.HTTPBadGateway
            found: web.StreamResponse = await handler(request)
            return found

        app = web.Application(middlewares=[watch])
        app.add_routes(self.routes())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield
        finally:
            await runner.cleanup()


class OidcIssuer(Provider):
    """An issuer with one RSA and one EC key."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, Any] = {
            "rsa": rsa.generate_private_key(65537, 2048),
            "ec": ec.generate_private_key(ec.SECP256R1()),
        }

    def routes(self) -> list[web.RouteDef]:
        """Discovery and keys."""
        return [web.get("/.well-known/openid-configuration", self._configuration), web.get("/keys", self._keys)]

    async def _configuration(self, _request: web.Request) -> web.Response:
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.public(kid) for kid in self.keys]})

    def public(self, kid: str) -> dict[str, Any]:
        """The public half of a key, as a JWK."""
        key = self.keys[kid].public_key()
        algorithm = jwt.get_algorithm_by_name("RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256")
        return {**json.loads(algorithm.to_jwk(key)), "kid": kid, "use": "sig"}

    def claims(self, **more: Any) -> dict[str, Any]:
        """Claims of a good token of `ana`, an operator; None takes one away."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "ana", "iat": now, "exp": now + 300, "groups": ["sre"]}
        return {name: value for name, value in {**claims, **more}.items() if value is not None}

    def token(self, kid: str = "rsa", *, algorithm: str | None = None, named: str | None = None, **more: Any) -> str:
        """A signed token; `named`: the key id that it names instead."""
        algorithm = algorithm or ("RS256" if isinstance(self.keys[kid], rsa.RSAPrivateKey) else "ES256")
        return jwt.encode(self.claims(**more), self.keys[kid], algorithm, headers={"kid": named or kid})

    def forged(self) -> dict[str, str]:
        """Tokens that must open nothing, by what is wrong with them."""
        past = int(time.time()) - 3600
        stranger = OidcIssuer()
        good = self.token()
        head, body, signature = good.split(".")
        return {
            "alg none": jwt.encode(self.claims(), "", "none", headers={"kid": "rsa"}),
            "HS256 with the public key": self._confused(),
            "wrong iss": self.token(iss="https://elsewhere.example"),
            "wrong aud": self.token(aud="another-service"),
            "expired": self.token(iat=past - 300, exp=past),
            "unknown kid": self.token(named="nobody"),
            "no exp": self.token(exp=None),
            "no aud": self.token(aud=None),
            "no sub": self.token(sub=None),
            "not yet": self.token(nbf=int(time.time()) + 3600),
            "another's key": stranger.token(iss=self.url),
            "its own key in the header": jwt.encode(
                self.claims(), stranger.keys["rsa"], "RS256", headers={"kid": "x", "jwk": stranger.public("rsa")}
            ),
            "EC token for an RSA key": jwt.encode(self.claims(), self.keys["ec"], "ES256", headers={"kid": "rsa"}),
            "algorithm that is not allowed": self.token(algorithm="RS512"),
            "changed claims": f"{head}.{_encoded(self.claims(sub='root'))}.{signature}",
            "signature cut": f"{head}.{body}.",
            "deep header": _encoded_text("[" * 8000) + f".{body}.{signature}",
            "odd claims": self.token(exp="soon"),
        }

    def _confused(self) -> str:
        """Signed with the public key as if it were a shared secret."""
        public = self.keys["rsa"].public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{_encoded(self.claims())}"
        digest = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


class ApiServer(Provider):
    """Knows users by token: name, groups and audiences."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, tuple[str, list[str], list[str]]] = {}
        self.authorizations: list[str | None] = []
        self.ignores_audiences = False  # as servers without TokenRequest do: then they name none

    def routes(self) -> list[web.RouteDef]:
        """TokenReview."""
        return [web.post("/apis/authentication.k8s.io/v1/tokenreviews", self._review)]

    async def _review(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization"))
        body = await request.json()
        name, groups, audiences = self.users.get(body["spec"]["token"], ("", [], []))
        shared = [one for one in body["spec"]["audiences"] if one in audiences]
        user = {"user": {"username": name, "groups": groups}, "audiences": shared}
        good = bool(name) and (bool(shared) or self.ignores_audiences)
        return web.json_response(body | {"status": {"authenticated": good} | (user if good else {})})


def _encoded(value: Any) -> str:
    return _encoded_text(json.dumps(value))


def _encoded_text(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
