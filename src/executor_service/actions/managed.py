"""Who else keeps an object in the shape that a repository says: they may put back what we change."""

from executor_service.contract import Json, Verb, Write

_LABELS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_ANNOTATIONS = {"argocd.argoproj.io/tracking-id": "Argo CD", "meta.helm.sh/release-name": "Helm"}
_WRITERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "helm": "Helm",
    "kubectl-client-side-apply": "kubectl apply",
}
PUTS_BACK = frozenset({"Argo CD", "Flux"})
"""Those that do so by themselves; Helm and kubectl only when somebody runs them again."""


def managed_by(item: dict[str, Json]) -> str | None:
    """The tool behind an object and the name it goes by there, such as `Argo CD (shop)`; None when there is none."""
    metadata = item["metadata"]
    for names, known in ((metadata.get("labels"), _LABELS), (metadata.get("annotations"), _ANNOTATIONS)):
        for name, tool in known.items():
            if name in (names or {}):
                return f"{tool} ({(names or {})[name]})"
    writers = {entry.get("manager") for entry in metadata.get("managedFields") or []}
    return next((tool for writer, tool in _WRITERS.items() if writer in writers), None)


def noting_manager(write: Write, current: dict[str, Json]) -> tuple[Write, dict[str, Json]]:
    """The write with the tool that keeps the object in shape, so that the answer can tell it, also after a restart."""
    tool = managed_by(current) if write.verb is not Verb.CREATE else None
    return (write.noting(write.notes | {"managed_by": tool}) if tool else write), current


def warning(managed: dict[str, str]) -> str:
    """What to tell about objects that somebody else will put back, or an empty text."""
    undone = [f"{name} by {tool}" for name, tool in managed.items() if tool.partition(" (")[0] in PUTS_BACK]
    return f" (kept in shape from a repository, which may put it back: {', '.join(undone)})" if undone else ""
