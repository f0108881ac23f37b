"""The HTTP application: the Kubernetes API, its discovery, and the sandbox's own controls under /sandbox."""

import asyncio

from aiohttp import web

from executor_service.sandbox import discovery
from executor_service.sandbox.api import Api, json_answer, refused
from executor_service.sandbox.cluster import Cluster
from executor_service.sandbox.errors import ApiError, bad_request
from executor_service.sandbox.kinds import SWITCHED_OFF
from executor_service.sandbox.objects import Object
from executor_service.sandbox.operations import decode_body

_LARGEST_BODY = 3 * 1024 * 1024


class Controls:
    """What only a sandbox has: the audit, scripted faults, a fresh start."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def audit(self, _: web.Request) -> web.Response:
        """GET /sandbox/audit."""
        return json_answer(200, {"writes": self._cluster.audit.writes()})

    async def reset(self, _: web.Request) -> web.Response:
        """POST /sandbox/reset."""
        self._cluster.reset(asyncio.get_running_loop())
        return json_answer(200, {"reset": True})

    async def list_faults(self, _: web.Request) -> web.Response:
        """GET /sandbox/faults."""
        return json_answer(200, {"faults": self._cluster.faults.waiting()})

    async def add_fault(self, http: web.Request) -> web.Response:
        """POST /sandbox/faults."""
        try:
            return json_answer(201, self._cluster.faults.add(decode_body(await http.read())))
        except ApiError as problem:
            return refused(problem)

    async def clear_faults(self, _: web.Request) -> web.Response:
        """DELETE /sandbox/faults."""
        self._cluster.faults.clear()
        return json_answer(200, {"faults": []})

    async def switch(self, http: web.Request) -> web.Response:
        """POST /sandbox/groups: {"group": name, "served": true or false}."""
        body = decode_body(await http.read())
        group, served = (body or {}).get("group"), (body or {}).get("served")
        if group not in SWITCHED_OFF or not isinstance(served, bool):
            return refused(
                bad_request(f"group: {group!r} must be one of {', '.join(sorted(SWITCHED_OFF))}; served: a bool")
            )
        (self._cluster.switched_off.discard if served else self._cluster.switched_off.add)(group)
        return json_answer(200, {"switched_off": sorted(self._cluster.switched_off)})

    async def discovered(self, http: web.Request) -> web.Response:
        """GET /version, /api, /apis and below: which groups, versions and resources are served."""
        found = _discover(http.path.strip("/").split("/"), self._cluster.switched_off)
        return web.Response(status=404, text="404 page not found\n") if found is None else json_answer(200, found)


def application(cluster: Cluster) -> web.Application:
    """All routes over one cluster. Shutting down ends the open watches."""
    closing = asyncio.Event()
    controls = Controls(cluster)
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_get("/sandbox/audit", controls.audit)
    app.router.add_post("/sandbox/reset", controls.reset)
    app.router.add_get("/sandbox/faults", controls.list_faults)
    app.router.add_post("/sandbox/faults", controls.add_fault)
    app.router.add_delete("/sandbox/faults", controls.clear_faults)
    app.router.add_post("/sandbox/groups", controls.switch)
    for path in ("/healthz", "/livez", "/readyz"):
        app.router.add_get(path, _ok)
    for path in ("/version", "/api", "/apis", "/api/v1", "/apis/{group}", "/apis/{group}/{version}"):
        app.router.add_get(path, controls.discovered)
        app.router.add_get(f"{path}/", controls.discovered)
    app.router.add_route("*", "/{path:.*}", Api(cluster, closing).serve)

    async def end_watches(_: web.Application) -> None:
        closing.set()

    app.on_shutdown.append(end_watches)
    return app


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _discover(parts: list[str], switched_off: set[str]) -> Object | None:
    match parts:
        case ["version"]:
            found: Object | None = discovery.version()
        case ["api"]:
            found = discovery.core_versions()
        case ["apis"]:
            found = discovery.groups(switched_off)
        case ["apis", group, *_] if group in switched_off:
            found = None
        case ["apis", group]:
            found = discovery.group(group)
        case _:
            found = discovery.resources("".join(parts[1:-1]), parts[-1])
    return found
