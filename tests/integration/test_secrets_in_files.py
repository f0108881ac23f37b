"""Secrets that change in their files while the service runs: what it sends, and what it accepts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from tests.support.identity_providers import AUDIENCE, ApiServer, Provider
from tests.support.keys import bearer
from tests.support.replica import HIGH_CPU, Running, replica
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.signing import standard


class Listening(Provider):
    """An executor that only notes with which token it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[str | None] = set()

    def routes(self) -> list[web.RouteDef]:
        """Its catalogue."""
        return [web.get("/api/v1/actions", self._actions)]

    async def _actions(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers.get("Authorization"))
        return web.json_response({})


async def until(holds: Callable[[], bool], again: Callable[[], object]) -> None:
    """Do it again and again until something holds; a file is looked at once a second."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        outcome = again()
        if asyncio.iscoroutine(outcome):
            await outcome
        await asyncio.sleep(0.05)


async def test_the_executors_token_follows_its_file(tmp_path: Path) -> None:
    """A rotated token is sent without a restart."""
    file, executor = tmp_path / "token", Listening()
    file.write_text("old")

    async def ask(running: Running) -> None:
        await running.parts.sites.own.executor.catalogue()

    async with (
        executor.serving(),
        replica(
            tmp_path,
            ScriptedExecutor(),
            through=lambda _: None,
            EXECUTOR_SERVICE_URL=executor.url,
            EXECUTOR_TOKEN_FILE=str(file),
        ) as running,
    ):
        await ask(running)
        assert executor.tokens == {"Bearer old"}
        file.write_text("rotated")
        await until(lambda: "Bearer rotated" in executor.tokens, lambda: ask(running))


async def test_webhook_secrets_follow_their_file(tmp_path: Path) -> None:
    """A new secret beside the old one is accepted without a restart, and the old one until it is taken away."""
    file, body = tmp_path / "secrets", json.dumps(HIGH_CPU).encode()
    old, new = "o" * 24, "n" * 24
    file.write_text(old)
    async with replica(tmp_path, ScriptedExecutor(), AUTH_MODE="keys", WEBHOOK_SECRETS_FILE=str(file)) as running:
        codes: dict[str, int] = {}

        async def send() -> None:
            for secret in (old, new):
                headers = standard(secret.encode(), body, now=time.time())
                answer = await running.http.post("/api/v1/execute", content=body, headers=headers)
                codes[secret] = answer.status_code

        await send()
        assert codes == {old: 200, new: 401}
        file.write_text(f"{old} {new}")
        await until(lambda: codes == {old: 200, new: 200}, send)
        file.write_text(new)
        await until(lambda: codes == {old: 401, new: 200}, send)


async def test_our_own_token_for_reviews_follows_its_file(tmp_path: Path) -> None:
    """The service account's token, which the kubelet replaces, is read again."""
    file, cluster = tmp_path / "token", ApiServer()
    file.write_text("old")
    cluster.users = {"good": ("ana", [], [AUDIENCE])}
    async with (
        cluster.serving(),
        replica(
            tmp_path,
            ScriptedExecutor(),
            AUTH_MODE="kubernetes",
            KUBERNETES_API_URL=cluster.url,
            KUBERNETES_TOKEN_FILE=str(file),
            KUBERNETES_ROLES="ana=viewer",
        ) as running,
    ):
        numbers = iter(range(1000))

        async def ask() -> None:
            await running.http.get("/api/v1/workflows", headers=bearer(f"unknown-{next(numbers)}"))

        await ask()
        assert cluster.authorizations == ["Bearer old"]
        file.write_text("replaced")
        await until(lambda: "Bearer replaced" in cluster.authorizations, ask)
