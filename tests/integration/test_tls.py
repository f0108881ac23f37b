"""TLS on our own port: served, refused in time, and a certificate that changes while it is in use."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.integration.test_http_server import PATIENCE, Answer, Served, everything, serving
from tests.support.certificates import write_certificate
from tests.support.processes import eventually, free_port
from workflow_service.settings import SettingsError, load

OK = b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def ask(served: Served, *parts: bytes) -> tuple[Answer, str]:
    """What the server answers over TLS, and the common name in its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as bare,
        context.wrap_socket(bare) as connection,
    ):
        shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
        for part in parts:
            connection.sendall(part)
        [name] = shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Answer(everything(connection)), str(name.value)


def test_a_certificate_may_change_while_it_is_used(tmp_path: Path) -> None:
    """New connections get the new certificate; half of a change leaves the old one in use."""
    files = [str(path) for path in write_certificate(tmp_path, "first")]
    with serving(tls=files) as served:  # type: ignore[arg-type]
        answer, name = ask(served, OK)
        assert (answer.status, answer.body, name) == (200, b"ok", "first")
        (tmp_path / "other").mkdir()
        write_certificate(tmp_path / "other", "second")
        shutil.copy(tmp_path / "other/tls.crt", tmp_path / "tls.crt")  # and not yet the key
        assert ask(served, OK)[1] == "first"
        write_certificate(tmp_path, "third")
        eventually(lambda: ask(served, OK)[1] == "third", "the new certificate is used", within=PATIENCE)


def test_refusals_reach_their_clients_over_tls(tmp_path: Path) -> None:
    """What is refused before it is a request is answered as without TLS."""
    files = [str(path) for path in write_certificate(tmp_path)]
    with serving(tls=files, head_seconds=5) as served:  # type: ignore[arg-type]
        assert ask(served, b"GET /ok HTTP/1.1\r\nX: " + b"x" * 100_000)[0].problem()["status"] == 431
        assert ask(served, b"GET /ok HTTP/1.1\r\n")[0].problem()["status"] == 408
        with served.connect() as plain:
            plain.sendall(OK)
            assert b"200" not in everything(plain)


def test_the_service_serves_tls(tmp_path: Path) -> None:
    """With both files given the port speaks TLS, whose certificate clients can check, and the health check knows."""
    chain, key = write_certificate(tmp_path)
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path / "data"),
        "WORKFLOW_SERVICE_PORT": str(port),
        "TLS_CERT_FILE": str(chain),
        "TLS_KEY_FILE": str(key),
    }
    command = [sys.executable, "-m", "workflow_service"]
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def healthy() -> bool:
        check = [*command, "-health-check"]
        return subprocess.run(check, env=environment, capture_output=True, check=False, timeout=30).returncode == 0

    try:
        eventually(healthy, "it is healthy")
        context = ssl.create_default_context(cafile=str(chain))
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as bare,
            context.wrap_socket(bare, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert Answer(everything(connection)).status == 200
    finally:
        service.terminate()
        assert service.wait(timeout=35) == 0


@pytest.mark.parametrize("given", [("cert",), ("key",), ("cert", "other"), ("key", "cert")])
def test_what_is_no_certificate(tmp_path: Path, given: tuple[str, ...]) -> None:
    """One file alone, or two that do not belong together, refuse the start."""
    chain, key = write_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    files = {"cert": chain, "key": key, "other": write_certificate(tmp_path / "other")[1]}
    names = ("TLS_KEY_FILE",) if given == ("key",) else ("TLS_CERT_FILE", "TLS_KEY_FILE")
    with pytest.raises(SettingsError, match="TLS_KEY_FILE"):
        load({name: str(files[which]) for name, which in zip(names, given, strict=False)})
