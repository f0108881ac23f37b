"""One lazy connection to the API server that keeps every field of every object (raw JSON, no typed models).

lightkube brings configuration, TLS, tokens and connection pooling. Its typed `AsyncClient` is not used, because its
models drop unknown fields and its `delete` cannot send preconditions.
"""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import orjson
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError
from lightkube.core.generic_client import BasicRequest, GenericAsyncClient
from yaml import YAMLError

from executor_service.contract import Json, ObjectRef
from executor_service.kubernetes.errors import ApiError, ApiSilentError, ApiStatusError, ApiUnreachableError
from executor_service.kubernetes.kinds import KINDS, collection_path

FIELD_MANAGER = "executor-service"
_READ_PAUSES = (0.1, 0.4, 1.0)
_PAGE = 500
_UNUSABLE = (
    ConfigError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    YAMLError,
    httpx2.InvalidURL,
)
"""What lightkube lets through when a kubeconfig makes no sense."""


class KubeClient:
    """GET, list and send raw JSON. Connects on first use and again after the kubeconfig file has changed."""

    def __init__(self, kubeconfig: Path | None, *, timeout_seconds: float = 10.0) -> None:
        self._kubeconfig = kubeconfig
        self._timeout = timeout_seconds
        self._client: GenericAsyncClient | None = None
        self._stamp: tuple[int, int] | None = None

    async def get(self, ref: ObjectRef) -> dict[str, Json]:
        """The object as the server stores it. Raises ApiError; short troubles of a read are tried again."""
        return dict(await self.read(await self.place_of(ref)))

    async def find(self, ref: ObjectRef) -> dict[str, Json] | None:
        """The object, or None when there is none. Raises ApiError for anything but 404."""
        try:
            return await self.get(ref)
        except ApiStatusError as error:
            if error.code == 404:
                return None
            raise

    async def list(
        self, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> list[dict[str, Json]]:
        """All objects of a kind that match the selectors, page by page. Raises ApiError."""
        params = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        params |= {"fieldSelector": fields} if fields else {}
        path = await self.place(kind, namespace)
        items: list[dict[str, Json]] = []
        while True:
            page = await self.read(path, params=params)
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return items
            params["continue"] = token

    async def place(self, kind: str, namespace: str | None) -> str:
        """The path of all objects of a kind, in a version of its API that this cluster serves. Raises ApiError."""
        known = KINDS[kind]
        if not known.older:
            return collection_path(kind, namespace)
        listed = (await self.read(f"apis/{known.group}")).get("versions") or []
        served = {entry["version"] for entry in listed}
        version = next((each for each in (known.version, *known.older) if each in served), known.version)
        return collection_path(kind, namespace, version=version)

    async def place_of(self, ref: ObjectRef) -> str:
        """The path of one object. Raises ApiError."""
        return f"{await self.place(ref.kind, ref.namespace)}/{ref.name}"

    async def read(self, path: str, *, params: dict[str, str] | None = None) -> Any:
        """GET a path and decode its JSON. Raises ApiError after a few tries."""
        return _decoded(await self._read(path, params or {}))

    async def read_text(self, path: str, *, params: dict[str, str] | None = None) -> str:
        """GET a path that answers plain text (container logs). Raises ApiError after a few tries."""
        return (await self._read(path, params or {})).decode("utf-8", "replace")

    async def _read(self, path: str, params: dict[str, str]) -> bytes:
        for pause in _READ_PAUSES:
            try:
                return await self._exchange(BasicRequest("GET", path, params=params))
            except ApiStatusError as error:
                if error.code not in {429, 500, 502, 503, 504}:
                    raise
            except ApiError:
                pass
            await asyncio.sleep(pause)
        return await self._exchange(BasicRequest("GET", path, params=params))

    async def send(
        self, method: str, path: str, body: Json, *, content_type: str = "application/json", dry_run: bool = False
    ) -> Any:
        """Send one write, exactly once. Raises ApiError; ApiSilentError means that its outcome is unknown."""
        params = {"fieldManager": FIELD_MANAGER} if method != "DELETE" else {}
        params |= {"dryRun": "All"} if dry_run else {}
        headers = {"Content-Type": content_type}
        answer = await self._exchange(BasicRequest(method, path, params=params, data=body, headers=headers))
        return _decoded(answer)

    async def eviction_version(self) -> str:
        """The apiVersion of an Eviction here: policy/v1, or policy/v1beta1 before Kubernetes 1.22. Raises ApiError."""
        for resource in (await self.read("api/v1")).get("resources") or []:
            if resource["name"] == "pods/eviction" and resource.get("version"):
                return f"{resource.get('group', 'policy')}/{resource['version']}"
        return "policy/v1"

    async def version(self, *, timeout_seconds: float = 2.0) -> str:
        """The server's version, asked once: the liveness probe of the connection. Raises ApiError."""
        request = BasicRequest("GET", "version", timeout=httpx2.Timeout(timeout_seconds))
        return str(_decoded(await self._exchange(request)).get("gitVersion", ""))

    async def close(self) -> None:
        """Close the connections; the next use opens them again."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]  # theirs
            self._client = None

    async def _exchange(self, request: BasicRequest) -> bytes:
        client = self._connected()
        request.headers = {"User-Agent": FIELD_MANAGER} | (request.headers or {})
        try:
            adapted = client.build_adapter_request(request)
            response = await client.send(adapted)  # type: ignore[no-untyped-call]  # theirs
        except (
            httpx2.ConnectError,
            httpx2.ConnectTimeout,
            httpx2.PoolTimeout,
            httpx2.InvalidURL,
            ConfigError,
        ) as error:
            raise ApiUnreachableError(_words(error)) from error
        except httpx2.RequestError as error:
            raise ApiSilentError(_words(error)) from error
        if response.status_code >= 400:
            raise _status_error(response)
        return bytes(response.content)

    def _connected(self) -> GenericAsyncClient:
        stamp = self._file_stamp()
        if self._client is None or stamp != self._stamp:
            try:
                # An earlier client is dropped, not closed: requests of other actions may still be under way on it.
                params = ConnectionParams(timeout=httpx2.Timeout(self._timeout))
                self._client = GenericAsyncClient(params, self._config())
            except _UNUSABLE as error:
                raise ApiUnreachableError(f"no usable cluster configuration: {_words(error)}") from error
            self._stamp = stamp
        return self._client

    def _config(self) -> SingleConfig:
        if self._kubeconfig is not None:
            config = KubeConfig.from_file(self._kubeconfig).get()
        else:
            config = KubeConfig.from_service_account().get()
        if config is None:
            raise ConfigError("the kubeconfig has no current context")
        return config

    def _file_stamp(self) -> tuple[int, int] | None:
        if self._kubeconfig is None:
            return None
        try:
            found = self._kubeconfig.stat()
        except OSError as error:
            raise ApiUnreachableError(f"kubeconfig {self._kubeconfig}: {error.strerror}") from error
        return found.st_mtime_ns, found.st_ino


def _decoded(answer: bytes) -> Any:
    """The answer's JSON. Raises ApiSilentError when there is none: whoever answered, it was not the API server."""
    try:
        return orjson.loads(answer or b"{}")
    except orjson.JSONDecodeError as error:
        raise ApiSilentError("the answer is no JSON") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _status_error(response: httpx2.Response) -> ApiStatusError:
    """A Kubernetes `Status` body, or whatever a proxy in between answered."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        body = {"message": response.text[:500]}
    after = response.headers.get("Retry-After", "")
    reason, message = str(body.get("reason", "")), str(body.get("message", ""))
    details = body.get("details")
    causes = (details.get("causes") if isinstance(details, dict) else None) or []
    named = frozenset(str(cause.get("reason")) for cause in causes if isinstance(cause, dict))
    return ApiStatusError(response.status_code, reason, message, float(after) if after.isdigit() else None, named)
