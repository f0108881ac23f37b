"""What this cluster can do beyond the plain API: served groups, storage that grows, snapshot classes. Reads only."""

from dataclasses import dataclass, field
from pathlib import Path

from executor_service.contract import Json
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.errors import ApiStatusError
from executor_service.kubernetes.templates import Template, load_templates

SNAPSHOTS = "snapshot.storage.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that decides which actions make sense here. `known` is False while nobody could be asked."""

    known: bool = False
    served: frozenset[str] = frozenset()
    """API groups with their versions, such as `autoscaling/v2`."""
    growing_storage: frozenset[str] = frozenset()
    """Storage classes that allow expansion."""
    snapshot_classes: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()
    """Names of the settings that configure something outside and are set."""
    templates: dict[str, Template | str] = field(default_factory=dict)
    """Job templates by action; a text says why one cannot be used."""

    @property
    def groups(self) -> frozenset[str]:
        """The served API groups without versions."""
        return frozenset(entry.partition("/")[0] for entry in self.served)


async def look_around(kube: KubeClient, settings: frozenset[str], templates: Path | None) -> Surroundings:
    """Ask the cluster and read the templates. Raises ApiError when the cluster does not answer."""
    listed = await kube.read("apis")
    served = frozenset(
        version["groupVersion"] for group in listed.get("groups") or [] for version in group.get("versions") or []
    )
    classes = await _classes(kube, "StorageClass")
    snapshots = await _classes(kube, "VolumeSnapshotClass") if SNAPSHOTS in served else []
    return Surroundings(
        known=True,
        served=served,
        growing_storage=frozenset(_name(item) for item in classes if item.get("allowVolumeExpansion")),
        snapshot_classes=frozenset(_name(item) for item in snapshots),
        settings=settings,
        templates=load_templates(templates),
    )


async def _classes(kube: KubeClient, kind: str) -> list[dict[str, Json]]:
    """All objects of a kind; none where they may not be listed or are not served."""
    try:
        return await kube.list(kind, None)
    except ApiStatusError as error:
        if error.code in {403, 404}:
            return []
        raise


def _name(item: dict[str, Json]) -> str:
    return str(item["metadata"]["name"])
