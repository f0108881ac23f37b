"""The job controller: one pod at a time until one has succeeded or the patience (backoffLimit) is used up.

The pod template's annotation `sandbox.kubernaut.io/job: fail | hang` makes its pods fail or run for ever. Parallelism,
indexed completion and suspension are not there.
"""

from executor_service.sandbox.controllers.control import Control
from executor_service.sandbox.controllers.templates import pod_from
from executor_service.sandbox.objects import Object, annotations_of, clone, condition, is_terminating, meta, name_of
from executor_service.sandbox.writes import random_suffix

OUTCOME = "sandbox.kubernaut.io/job"
WORK_SECONDS = 0.1


class Jobs:
    """Makes pods for jobs and ends them."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._store = control.store

    def reconcile(self, namespace: str, name: str) -> None:
        """Start what is missing, count what has ended, then write the status."""
        job = self._store.get("jobs", namespace, name)
        if job is None or is_terminating(job) or condition(job, "Complete") or condition(job, "Failed"):
            return
        pods = self._control.pods_of(job)
        phases = [(pod.get("status") or {}).get("phase") for pod in pods]
        succeeded, failed = phases.count("Succeeded"), phases.count("Failed")
        done, lost = succeeded >= 1, failed > job["spec"].get("backoffLimit", 6)
        active = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
        if not (done or lost or active):
            self._control.create_pod(job, pod_from(job, f"{name}-{random_suffix()}", {}))
            active = [{}]
        for pod in (each for each in active if each and (each.get("status") or {}).get("podIP")):
            self._control.again("jobpods", pod, WORK_SECONDS)
        status: Object = {"startTime": meta(job)["creationTimestamp"], "active": len(active)}
        status |= {"succeeded": succeeded, "failed": failed}
        if done or lost:
            status |= {"active": 0, "conditions": [self._ended(done=done)]}
        kept = {key: value for key, value in status.items() if value or key == "startTime"}
        self._control.set_status("jobs", job, kept)

    def work(self, namespace: str, name: str) -> None:
        """The end of one pod of a job."""
        pod = self._store.get("pods", namespace, name)
        if pod is None or is_terminating(pod) or annotations_of(pod).get(OUTCOME) == "hang":
            return
        failed = annotations_of(pod).get(OUTCOME) == "fail"
        ended = clone(pod)
        status = ended["status"] | {"phase": "Failed" if failed else "Succeeded"}
        for entry in status.get("containerStatuses") or []:
            outcome = {"exitCode": int(failed), "reason": "Error" if failed else "Completed"}
            outcome["message"] = "could not do it" if failed else f"{name_of(pod)} is done"
            entry |= {"state": {"terminated": outcome}, "ready": False}
        status["conditions"] = [
            each | ({"status": "False"} if each["type"] in ("Ready", "ContainersReady") else {})
            for each in status.get("conditions") or []
        ]
        self._store.put("pods", ended | {"status": status})

    def _ended(self, *, done: bool) -> Object:
        about = {"type": "Complete", "reason": "CompletionsReached", "message": "Reached expected number of pods"}
        if not done:
            about = {"type": "Failed", "reason": "BackoffLimitExceeded"}
            about["message"] = "Job has reached the specified backoff limit"
        return about | {"status": "True", "lastTransitionTime": self._store.now()}
