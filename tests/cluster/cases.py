"""The case table: for every action what it begins with, what is asked, what is seen, what it cannot do without."""

from tests.cluster import node_cases, storage_cases, telling_cases, traffic_cases, workload_cases
from tests.cluster.rights import apps
from tests.support.places import Right

from executor_service.actions.roles import LOOKING_ROLE

CASES = tuple(
    sorted(
        (
            *workload_cases.CASES,
            *node_cases.CASES,
            *traffic_cases.CASES,
            *storage_cases.CASES,
            *telling_cases.CASES,
        ),
        key=lambda case: case.spec.family,
    )
)
"""By family, so that the roles of a place change seldom."""

UNDOABLE = tuple(case for case in CASES if case.drift is not None)

OBSERVED = (*apps("deployments", "list"), *apps("statefulsets", "list"), *apps("daemonsets", "list"))
"""Without any of these a pod that is gone is not observed: its owner is looked for by its name."""

AT_THE_START = {
    Right("list", "storageclasses", "storage.k8s.io"): "no storage is known to grow, so expand_pvc is not offered",
    Right("list", "volumesnapshotclasses", "snapshot.storage.k8s.io"): "no snapshot class is known, so none is taken",
    Right("create", "tokenreviews", "authentication.k8s.io"): "with EXECUTOR_AUTH=tokenreview nobody can be let in",
}
"""What an executor that starts without a right lacks: it asks when it looks around, or when it is called."""


def missed(role: str) -> set[Right]:
    """The rights of a role whose lack a test shows; every case counts for the role of looking."""
    ours = [case for case in CASES if role in {LOOKING_ROLE, case.spec.family}]
    of_cases = {
        right for case in ours for right in (*case.rights, *case.undo_rights, *(right for right, _ in case.lesser))
    }
    return of_cases | {*OBSERVED, *AT_THE_START}
