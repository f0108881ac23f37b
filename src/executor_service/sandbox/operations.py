"""What each verb does at each address: the bridge from a parsed request to reads, writes and subresources."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from executor_service.sandbox.addresses import Address
from executor_service.sandbox.deletion import delete, read_options
from executor_service.sandbox.errors import ApiError, bad_request, conflict, unsupported_media_type
from executor_service.sandbox.eviction import evict
from executor_service.sandbox.json_patch import apply_json_patch
from executor_service.sandbox.merge_patch import apply_merge_patch
from executor_service.sandbox.objects import Object, clone, meta, name_of, namespace_of, uid_of
from executor_service.sandbox.reads import get, list_page, read_filter
from executor_service.sandbox.scale import scale_of, scaled
from executor_service.sandbox.store import Store
from executor_service.sandbox.strategic_patch import apply_strategic_patch
from executor_service.sandbox.writes import Change, change, create

PATCHES: dict[str, tuple[str, Callable[[Object, Any], Object]]] = {
    "application/json-patch+json": ("json", apply_json_patch),
    "application/merge-patch+json": ("merge", apply_merge_patch),
    "application/strategic-merge-patch+json": ("strategic", apply_strategic_patch),
}
_JSON = ("application/json", "")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, with its body decoded (None when there was none; its text when it could not be decoded)."""

    verb: str
    address: Address
    query: dict[str, str]
    content_type: str
    body: Any
    undecodable: ApiError | None = None

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        inside = self.body.get("dryRun") if isinstance(self.body, dict) and self.verb.startswith("delete") else None
        return bool(self.query.get("dryRun") or inside)


def decode_body(raw: bytes) -> Any:
    """The JSON of a request body. Raises ApiError 400."""
    if not raw.strip():
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise bad_request(f"the object provided is unrecognized (must be JSON): {problem}") from problem


def answer(store: Store, request: Request) -> tuple[int, Object]:
    """Carry out any request except a watch or a log; the HTTP status and what to send. Raises ApiError."""
    _check_media_type(request)
    if request.undecodable is not None:
        raise request.undecodable
    if request.query.get("dryRun", "All") != "All":
        message = f' "" is invalid: dryRun: Unsupported value: "{request.query["dryRun"]}": supported values: "All"'
        raise ApiError(422, message)
    match request.verb:
        case "get":
            return 200, _read(store, request.address)
        case "list":
            address = request.address
            return 200, list_page(store, read_filter(address.kind, address.namespace, request.query), request.query)
        case "create":
            return 201, _create(store, request)
        case "delete":
            options = read_options(_object_or_empty(request), request.query)
            return 200, delete(store, request.address.kind, request.address.key, options)
        case "deletecollection":
            return 200, _delete_collection(store, request)
        case _:
            return 200, _change(store, request)


def _read(store: Store, address: Address) -> Object:
    found = get(store, address.kind, address.key)
    return scale_of(found) if address.subresource == "scale" else found


def _check_media_type(request: Request) -> None:
    accepted = tuple(PATCHES) if request.verb == "patch" else _JSON
    if request.body is not None and request.content_type not in accepted:
        raise unsupported_media_type([name for name in accepted if name])


def _object(request: Request) -> Object:
    if not isinstance(request.body, dict):
        raise bad_request("the body must be a JSON object")
    return request.body


def _object_or_empty(request: Request) -> Object:
    return {} if request.body is None else _object(request)


def _create(store: Store, request: Request) -> Object:
    address = request.address
    if address.subresource == "eviction":
        return evict(store, address.key, _object(request), dry_run=request.dry_run)
    return create(store, address.kind, _object(request), namespace=address.namespace, dry_run=request.dry_run)


def _delete_collection(store: Store, request: Request) -> Object:
    """Delete everything that the selectors match; the answer lists what was there."""
    kind = request.address.kind
    wanted = read_filter(kind, request.address.namespace, request.query)
    options = read_options(_object_or_empty(request), request.query)
    page = list_page(store, wanted, {})
    for item in page["items"]:
        delete(store, kind, (namespace_of(item), name_of(item)), options)
    return page


def _change(store: Store, request: Request) -> Object:
    """PUT and PATCH, of the object or of its status or scale."""
    address = request.address
    transform = _patch(request) if request.verb == "patch" else _replacement(request)
    if address.subresource == "scale":
        transform = _through_scale(address, transform)
    wanted = Change(
        transform,
        status_only=address.subresource == "status",
        dry_run=request.dry_run,
        patched=request.verb == "patch",
    )
    stored = change(store, address.kind, address.key, wanted)
    return scale_of(stored) if address.subresource == "scale" else stored


def _patch(request: Request) -> Callable[[Object], Object]:
    if request.body is None:
        raise bad_request("a patch needs a body")
    _, apply = PATCHES[request.content_type]
    return lambda old: apply(old, request.body)


def _replacement(request: Request) -> Callable[[Object], Object]:
    body = _object(request)
    address = request.address

    def replace(old: Object) -> Object:
        uid = (body.get("metadata") or {}).get("uid") if isinstance(body.get("metadata", {}), dict) else None
        if uid and uid != uid_of(old):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(old)}"
            raise conflict(address.kind, address.name, why)
        return clone(body)

    return replace


def _through_scale(address: Address, transform: Callable[[Object], Object]) -> Callable[[Object], Object]:
    """A change of the Scale as a change of the workload behind it."""

    def rescale(old: Object) -> Object:
        scale = transform(scale_of(old))
        if (meta(scale).get("name") or address.name) != address.name:
            raise bad_request(f"the name of the object ({meta(scale)['name']}) does not match the name on the URL")
        return scaled(address.kind, old, scale)

    return rescale
