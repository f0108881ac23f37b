"""Least privilege: the tests of all cases run with the role of their family and that of looking; here one is fewer."""

from pathlib import Path

import pytest
from tests.cluster.case import Case
from tests.cluster.cases import AT_THE_START, CASES, OBSERVED, missed
from tests.cluster.conftest import executor_at
from tests.cluster.scenes import claim
from tests.cluster.stage import Stage
from tests.support.outside import Outside
from tests.support.places import Right, granted_rights
from tests.support.processes import eventually

_STORAGE, _SNAPSHOTS, _REVIEWS = AT_THE_START


@pytest.mark.parametrize("role", sorted(granted_rights()))
def test_every_right_of_a_role_is_missed(role: str) -> None:
    """For each single right of each printed role there is a test here in which something fails without it."""
    assert granted_rights()[role] - missed(role) == set()


@pytest.mark.parametrize(
    ("case", "right"),
    [
        pytest.param(case, right, id=f"{case.name} without {right.verb} {right.resource}")
        for case in CASES
        for right in case.rights
    ],
)
def test_one_right_fewer(case: Case, right: Right, stage: Stage) -> None:
    """403 is told as `forbidden`; what was changed before it is listed and can be taken back."""
    case.arrange(stage)
    target = case.thing(stage)
    before = stage.own(target)
    stage.place.forbid(right)
    result = stage.order(case.type, case.parameters(stage))
    assert (result["status"], result["error"]["class"]) == ("failed", "forbidden"), result
    if result["changes"] and case.spec.reversible:
        assert stage.undo(result["key"])["status"] == "completed"
    if case.spec.reversible:
        stage.restored(target, before)


@pytest.mark.parametrize(
    ("case", "right"),
    [
        pytest.param(case, right, id=f"{case.name} without {right.verb} {right.resource}")
        for case in CASES
        for right in case.undo_rights
    ],
)
def test_an_undo_with_one_right_fewer(case: Case, right: Right, stage: Stage) -> None:
    """It is `forbidden`, and the effect stays."""
    case.arrange(stage)
    key = stage.order(case.type, case.parameters(stage))["key"]
    done = stage.own(case.thing(stage))
    stage.place.forbid(right)
    result = stage.undo(key)
    assert (result["status"], result["error"]["class"], result["changes"]) == ("failed", "forbidden", []), result
    assert stage.own(case.thing(stage)) == done


@pytest.mark.parametrize(
    ("case", "right"),
    [pytest.param(case, right, id=f"{case.name} without {right}") for case in CASES for right, _ in case.lesser],
)
def test_one_right_fewer_leaves_less_to_tell(case: Case, right: Right, stage: Stage) -> None:
    """It completes and says what it could not see, and sees it with the right."""
    lacks = dict(case.lesser)[right]
    case.arrange(stage)
    full = stage.order(case.type, case.parameters(stage))
    stage.place.forbid(right)
    less = stage.order(case.type, case.parameters(stage))
    assert (full["status"], less["status"]) == ("completed", "completed")
    assert (lacks(full), lacks(less)) == (False, True), less["result"]


@pytest.mark.parametrize("right", OBSERVED, ids=str)
def test_a_vanished_pod_is_observed_with_every_right_to_list(right: Right, stage: Stage) -> None:
    """Its owner is looked for among all workloads; without one kind the answer is 502, never a guess."""
    body = {"kind": "Pod", "namespace": stage.namespace, "name": "nobody"}
    assert stage.executor.http.post("/api/v1/observe", json=body).json()["found"] is False
    stage.place.forbid(right)
    assert stage.executor.http.post("/api/v1/observe", json=body).status_code == 502


def test_an_executor_that_may_not_list_storage_classes(stage: Stage, outside: Outside, tmp_path: Path) -> None:
    """It does not know of storage that grows, and says so."""
    stage.place.forbid(_STORAGE)
    with executor_at(stage.place.executor, tmp_path, outside) as executor:
        found = {entry["type"]: entry["reason"] for entry in executor.http.get("/api/v1/actions").json()["unavailable"]}
    assert found == {"expand_pvc": "no storage class has allowVolumeExpansion"}


def test_an_executor_that_may_not_list_snapshot_classes(stage: Stage, outside: Outside, tmp_path: Path) -> None:
    """It refuses to be told one; with the right it takes it."""
    claim(stage, "data")
    order = {"namespace": stage.namespace, "resource_name": "data", "destination": "snap"}
    with executor_at(stage.place.executor, tmp_path / "with", outside) as executor:
        assert executor.execute("backup_data", order)["status"] == "completed"
    stage.place.forbid(_SNAPSHOTS)
    with executor_at(stage.place.executor, tmp_path / "without", outside) as executor:
        result = executor.execute("backup_data", order)
    assert (result["status"], result["error"]["class"]) == ("failed", "permanent"), result
    assert "there is no snapshot class snap" in result["message"]


def test_an_executor_that_may_not_review_tokens(stage: Stage, outside: Outside, tmp_path: Path) -> None:
    """A caller with a token of the cluster is let in; without the right nobody can be asked, and the answer is 503."""
    if stage.place.name == "sandbox":
        pytest.skip("the sandbox knows no tokens; tests/executor/test_executor_callers.py has a server that does")
    headers = {"Authorization": f"Bearer {stage.place.executor.token}"}
    settings = {"EXECUTOR_AUTH": "tokenreview", "EXECUTOR_CALLERS": "*", "TOKENREVIEW_CACHE": "0s"}
    with executor_at(stage.place.executor, tmp_path, outside, **settings) as executor:
        assert executor.http.get("/api/v1/actions", headers=headers).status_code == 200
        assert executor.http.get("/api/v1/actions", headers={"Authorization": "Bearer no"}).status_code == 401
        stage.place.forbid(_REVIEWS)
        away = lambda: executor.http.get("/api/v1/actions", headers=headers).status_code == 503  # noqa: E731
        eventually(away, "nobody can be asked")
