"""Asking the API server whose token this is (authentication.k8s.io/v1 TokenReview)."""

from executor_service.kubernetes.client import KubeClient

_PATH = "apis/authentication.k8s.io/v1/tokenreviews"


async def review_token(kube: KubeClient, token: str, audiences: tuple[str, ...]) -> str | None:
    """The user's name; None when the token is not valid, or is meant for none of the audiences. Raises ApiError.

    An API server that ignores audiences answers with none: then the token was checked for itself only, not for us.
    """
    spec: dict[str, object] = {"token": token} | ({"audiences": list(audiences)} if audiences else {})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    status = (await kube.send("POST", _PATH, body)).get("status") or {}
    if status.get("authenticated") is not True:
        return None
    if audiences and not {*audiences} & {*(status.get("audiences") or [])}:
        return None
    return str((status.get("user") or {}).get("username") or "") or None
