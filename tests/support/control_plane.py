"""A real control plane on loopback: etcd, API server (TLS, RBAC), controllers, scheduler, hollow nodes and storage."""

import json
import secrets
import shutil
import subprocess
from pathlib import Path

import httpx2

from tests.support.hollow_nodes import NODES, HollowNodes
from tests.support.hollow_storage import HollowStorage
from tests.support.kube import Kube, Object, Server
from tests.support.processes import eventually, free_port

_START_SECONDS = 120.0
_END_SECONDS = 20.0
_DIES_WITH_US = ("setpriv", "--pdeathsig", "TERM")
"""So that a killed test run leaves no control plane behind."""


class ControlPlane:
    """Everything below one directory; ended by pid. `binaries` has the five programs (see build_control_plane.sh)."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries, self._directory = binaries, directory
        self.kubectl, self.kubeconfig = binaries / "kubectl", directory / "admin.kubeconfig"
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.server = Server(
            f"https://127.0.0.1:{free_port()}", directory / "certs/apiserver.crt", secrets.token_hex(16)
        )
        self._nodes, self._storage = HollowNodes(self.server), HollowStorage(self.server)

    def start(self) -> None:
        """Start it all; returns when the nodes are Ready. Fails with the end of a log."""
        self._directory.mkdir(parents=True, exist_ok=True)
        etcd = f"http://127.0.0.1:{free_port()}"
        peers = f"http://127.0.0.1:{free_port()}"
        self._run("etcd", _etcd(self._directory / "etcd", etcd, peers))
        self._run("kube-apiserver", self._api_server(etcd))
        eventually(self._serves, "the API server is ready", within=_START_SECONDS)
        self.kubeconfig.write_text(json.dumps(self.server.kubeconfig()))
        common = ["--kubeconfig", str(self.kubeconfig), "--leader-elect=false", "--port", "0", "--secure-port", "0"]
        self._run("kube-controller-manager", [*common, *self._controllers()])
        self._run("kube-scheduler", common)
        eventually(self._has_namespaces, "the controllers are at work", within=_START_SECONDS)
        self._nodes.start()
        self._storage.start()
        eventually(self._settled, "the nodes are ready", within=_START_SECONDS)

    def stop(self) -> None:
        """End every process that was started, the last first."""
        for hollow in (self._nodes, self._storage):
            if hollow.playing:
                hollow.stop()
        for _, process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _run(self, program: str, arguments: list[str]) -> None:
        log = self._directory / f"{program}.log"
        with log.open("wb") as output:
            command = [*_DIES_WITH_US, str(self._binaries / program), *arguments]
            process = subprocess.Popen(command, cwd=self._directory, stdout=output, stderr=subprocess.STDOUT)
        self._processes.append((program, process))

    def _api_server(self, etcd: str) -> list[str]:
        key, tokens = self._directory / "service-accounts.key", self._directory / "tokens.csv"
        _make_key(key)
        tokens.write_text(f'{self.server.token},administrator,1,"system:masters"\n')
        port = self.server.url.rpartition(":")[2]
        return [
            *("--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port, "--insecure-port", "0"),
            *("--cert-dir", str(self._directory / "certs"), "--token-auth-file", str(tokens)),
            *("--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16"),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", str(key)),
            *("--service-account-signing-key-file", str(key)),
        ]

    def _controllers(self) -> list[str]:
        key = str(self._directory / "service-accounts.key")
        keys = ["--service-account-private-key-file", key, "--root-ca-file", str(self.server.ca)]
        return [*keys, "--pvclaimbinder-sync-period", "1s"]

    def _serves(self) -> bool:
        self._alive()
        if not (self.server.ca and self.server.ca.exists()):
            return False
        try:
            with self.server.client() as http:
                return http.get("/readyz").status_code == 200
        except (httpx2.HTTPError, OSError):
            return False

    def _has_namespaces(self) -> bool:
        self._alive()
        with self.server.client() as http:
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            return http.get(path).status_code == 200 and http.get("/api/v1/namespaces/kube-node-lease").is_success

    def _settled(self) -> bool:
        """Whether the controllers took away the taints that a fresh node has."""
        self._alive()
        kube = Kube(self.server)
        nodes = kube.objects("Node")
        kube.close()
        return len(nodes) == len(NODES) and not any(_taints(node) for node in nodes)

    def _alive(self) -> None:
        for program, process in self._processes:
            assert process.poll() is None, f"{program} ended with {process.returncode}\n{self._told()}"

    def _told(self) -> str:
        logs = [self._directory / f"{program}.log" for program, _ in self._processes]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)


def _etcd(data: Path, clients: str, peers: str) -> list[str]:
    return [
        *("--data-dir", str(data), "--listen-client-urls", clients, "--advertise-client-urls", clients),
        *("--listen-peer-urls", peers, "--unsafe-no-fsync", "--logger", "zap"),
    ]


def _make_key(path: Path) -> None:
    """The key that signs service account tokens."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is needed to make the key of the service accounts"
    subprocess.run([openssl, "genrsa", "-out", str(path), "2048"], check=True, capture_output=True)


def _taints(node: Object) -> list[Object]:
    return list(node["spec"].get("taints") or [])
