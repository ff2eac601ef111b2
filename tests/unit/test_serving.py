"""Workers, generations and limits, through real sockets and real processes.

There is no store here: `support.small_service` answers.
"""

import http.client
import os
import signal
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server import certificates
from server.serving import OptionsInvalid, options_from
from support.services import DOMAIN, Service, closed_after, free_port


@pytest.fixture
def service(tmp_path: Path):
    with Service(tmp_path) as service:
        yield service


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory):
    """One whose limits of time are short enough to be waited for."""
    directory = tmp_path_factory.mktemp("limited")
    with Service(directory, header_seconds=1, body_seconds=1, body_limit=1000) as service:
        yield service


# --- being served ---------------------------------------------------------------------------------


def test_a_client_that_trusts_the_authority_is_served(service: Service) -> None:
    assert service.places == [f"127.0.0.1:{service.port}"]
    status, text = service.get("/", "POST", b"x" * 500)
    assert (status, text.split()[1]) == (200, "500")


def test_a_client_that_does_not_trust_the_authority_is_not(service: Service) -> None:
    plain = socket.create_connection(("127.0.0.1", service.port), 10)
    with plain, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(plain, server_hostname=DOMAIN)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(service: Service, version: ssl.TLSVersion) -> None:
    assert service.get(minimum_version=version, maximum_version=version)[0] == 200


def test_an_older_tls_is_not(service: Service) -> None:
    context = service.context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    plain = socket.create_connection(("127.0.0.1", service.port), 10)
    with plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname=DOMAIN)


def test_a_connection_is_kept_for_the_next_request(service: Service) -> None:
    connection = service.connection()
    connection.connect()
    kept = connection.sock
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read().endswith(b" 0")
        assert connection.sock is kept
    connection.close()


def test_every_address_is_listened_on(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    with Service(tmp_path, bind=("127.0.0.1", f"unix:{place}")) as service:
        assert service.places == [f"127.0.0.1:{service.port}", f"unix:{place}"]
        assert service.get()[0] == 200
        assert place.stat().st_mode & 0o777 == 0o600
        plain = socket.socket(socket.AF_UNIX)
        plain.connect(str(place))
        with service.context().wrap_socket(plain, server_hostname=DOMAIN) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert closed_after(connection)[0].startswith(b"HTTP/1.1 200")
        service.stop()
        assert not place.exists()


def test_the_socket_of_a_service_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place))
    with Service(tmp_path, bind=(f"unix:{place}",)) as service:
        assert service.places == [f"unix:{place}"]


def test_a_file_in_the_place_of_a_socket_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "socket").write_text("mine")
    with Service(tmp_path, bind=(f"unix:{tmp_path / 'socket'}",)) as service:
        assert service.process.wait(10) == 3
    assert "refused serve.address-unusable" in service.log
    assert (tmp_path / "socket").read_text() == "mine"


def test_a_port_in_use_is_told(service: Service, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with Service(tmp_path / "second", port=service.port) as second:
        assert second.process.wait(10) == 3
    assert "refused serve.address-unusable" in second.log


# --- coming up ------------------------------------------------------------------------------------


def test_what_keeps_a_worker_from_its_store_is_told_by_its_own_code(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "fails").touch()
    with Service(tmp_path, workers=2) as service:
        assert service.process.wait(20) == 3
    assert "refused root.wrong" in service.log


def test_an_application_that_cannot_be_imported_is_told(tmp_path: Path) -> None:
    with Service(tmp_path, application="support.nowhere:application") as service:
        assert service.process.wait(20) == 3
    assert "refused serve.not-started" in service.log


def test_the_passphrase_reaches_every_worker_and_no_environment(tmp_path: Path) -> None:
    with Service(tmp_path, passphrase="correct horse") as service:
        for _ in range(2):
            assert service.get("/passphrase") == (200, "correct horse")
        worker = service.pid()
        for process in (worker, service.process.pid):
            environment = Path(f"/proc/{process}/environ").read_bytes()
            assert b"MUNIMENT_SERVE" in environment
            assert b"correct horse" not in environment
        service.reload()
        service.wait_for(lambda: service.pid() != worker)
        assert service.get("/passphrase") == (200, "correct horse")


def test_what_lies_in_the_working_directory_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").write_text("raise SystemExit(9)")
    (tmp_path / "msgspec.py").write_text("raise SystemExit(9)")
    with Service(tmp_path, wrap=lambda command: ["env", "-C", str(tmp_path), *command]) as service:
        assert service.get()[0] == 200


def test_a_worker_started_by_hand_says_what_it_lacks() -> None:
    with pytest.raises(OptionsInvalid):
        options_from({})
    with pytest.raises(OptionsInvalid):
        options_from({"MUNIMENT_SERVE": '{"home": "a", "tls": "b", "secret": "c"}'})


def test_systemd_hands_over_its_sockets_and_is_told_when_it_is_ready(tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(20)

    def activated(command: list[str]) -> list[str]:
        # As systemd does it: the socket is number 3, and the variables name this very process.
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3, inheritable=True);"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()),"
            "NOTIFY_SOCKET=sys.argv[2]); os.execv(sys.argv[3], sys.argv[3:])"
        )
        os.set_inheritable(listening.fileno(), True)
        opened = f"{listening.fileno()}"
        return [sys.executable, "-c", script, opened, str(tmp_path / "notify"), *command]

    service = Service(tmp_path, wrap=activated, passed=(listening.fileno(),), port=free_port())
    with listening, told, service:
        assert told.recv(100) == b"READY=1"
        assert service.places == [f"127.0.0.1:{port}"]
        service.port = port
        assert service.get()[0] == 200
        service.stop()
        assert told.recv(100) == b"STOPPING=1"


# --- replacing workers ----------------------------------------------------------------------------


class Asking(threading.Thread):
    """A client that asks without a pause, on new connections and on a kept one."""

    def __init__(self, service: Service, *, keeps: bool) -> None:
        super().__init__()
        self.service = service
        self.keeps = keeps
        self.answers: list[str] = []
        self.failures: list[Exception] = []
        self.enough = threading.Event()

    def run(self) -> None:
        connection = self.service.connection()
        while not self.enough.is_set():
            try:
                connection.request("GET", "/")
                self.answers.append(connection.getresponse().read().decode().split()[0])
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
            if not self.keeps:
                connection.close()
        connection.close()


def test_a_renewed_certificate_is_served_without_dropping_a_request(tmp_path: Path) -> None:
    with Service(tmp_path, workers=2) as service:
        before = _served_serial(service)
        slow = threading.Thread(target=lambda: slow_answers.append(service.get("/slow")))
        slow_answers: list[tuple[int, str]] = []
        asking = [Asking(service, keeps=keeps) for keeps in (True, False, False)]
        for client in asking:
            client.start()
        slow.start()
        for _ in range(3):
            certificates.renew(service.tls, datetime.now(UTC))
            known = len(service.seen("worker.ready"))
            service.reload()
            service.wait_for(lambda known=known: len(service.seen("worker.ready")) == known + 2)
        service.wait_for(lambda: len(service.seen("worker.left")) == 6)
        for client in asking:
            client.enough.set()
            client.join()
        slow.join()
        assert [client.failures for client in asking] == [[], [], []]
        assert len({pid for client in asking for pid in client.answers}) >= 4
        assert [status for status, _ in slow_answers] == [200]
        assert _served_serial(service) != before
    assert all(left["drained"] for left in service.seen("worker.left"))


def _served_serial(service: Service) -> str:
    with service.raw() as connection:
        found = connection.getpeercert()
    assert found is not None
    return str(found["serialNumber"])


def test_a_certificate_that_is_due_is_renewed_by_the_service(tmp_path: Path) -> None:
    made = datetime.now(UTC) - timedelta(days=21)
    certificates.init(tmp_path / "tls", DOMAIN, made)
    with Service(tmp_path) as service:
        assert service.seen("certificate.renewed")
        assert service.get()[0] == 200
    served = certificates.check_pair(certificates.pair_in(tmp_path / "tls"))
    assert served.end - datetime.now(UTC) > timedelta(days=29)


def test_a_certificate_that_was_put_there_is_taken_without_being_asked(tmp_path: Path) -> None:
    with Service(tmp_path, look_seconds=0.2) as service:
        before, worker = _served_serial(service), service.pid()
        time.sleep(0.5)
        assert service.pid() == worker
        certificates.renew(service.tls, datetime.now(UTC))
        service.wait_for(lambda: _served_serial(service) != before)


def test_a_certificate_that_becomes_due_is_renewed_while_it_is_served(tmp_path: Path) -> None:
    # Two seconds from being due.
    made = datetime.now(UTC) - timedelta(days=20) + timedelta(minutes=20, seconds=2)
    certificates.init(tmp_path / "tls", DOMAIN, made)
    with Service(tmp_path, look_seconds=0.2) as service:
        before = _served_serial(service)
        service.wait_for(lambda: bool(service.seen("certificate.renewed")))
        service.wait_for(lambda: _served_serial(service) != before)


def test_a_broken_certificate_is_not_taken_and_the_old_one_goes_on(service: Service) -> None:
    worker = service.pid()
    (service.tls / "server.pem").write_text("nonsense")
    service.reload()
    service.wait_for(lambda: bool(service.seen("reload.failed")))
    assert service.seen("reload.failed")[0]["code"] == "tls.invalid"
    assert service.pid() == worker


def test_a_generation_that_does_not_come_up_leaves_the_old_one(service: Service) -> None:
    worker = service.pid()
    (service.home / "fails").touch()
    service.reload()
    service.wait_for(lambda: bool(service.seen("reload.failed")))
    assert service.seen("reload.failed")[0]["code"] == "root.wrong"
    assert service.pid() == worker


def test_a_worker_that_dies_is_replaced(service: Service) -> None:
    worker = service.pid()
    os.kill(worker, signal.SIGKILL)
    service.wait_for(lambda: bool(service.seen("worker.died")))
    assert service.pid() != worker


def test_a_worker_that_dies_again_and_again_is_given_longer_pauses(service: Service) -> None:
    worker = service.pid()
    (service.home / "fails").touch()
    os.kill(worker, signal.SIGKILL)
    service.wait_for(lambda: len(service.seen("worker.died")) >= 3)
    pauses = [died["pause"] for died in service.seen("worker.died")]
    assert pauses[:3] == [1, 2, 4]
    (service.home / "fails").unlink()
    assert service.get()[0] == 200


# --- going ----------------------------------------------------------------------------------------


def test_a_request_that_was_begun_is_answered_before_the_service_goes(service: Service) -> None:
    connection = service.raw()
    connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.2)
    began = time.monotonic()
    assert service.stop() == 0
    with connection:
        assert closed_after(connection)[0].startswith(b"HTTP/1.1 200")
    assert time.monotonic() - began > 0.5
    with pytest.raises(ConnectionRefusedError):
        service.raw()


def test_a_request_that_does_not_end_is_cut_off_in_time(tmp_path: Path) -> None:
    with Service(tmp_path, drain_seconds=1, body_seconds=60) as service:
        connection = service.raw()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        time.sleep(0.2)
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 5
        connection.close()
    assert [left["drained"] for left in service.seen("worker.left")] == [0]


def test_workers_go_when_their_supervisor_was_killed(service: Service) -> None:
    worker = service.pid()
    service.process.kill()
    service.process.wait()
    service.wait_for(lambda: not _is_alive(worker))
    with pytest.raises(ConnectionRefusedError):
        service.raw()


def _is_alive(process: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_ctrl_c_is_an_ordinary_end(service: Service) -> None:
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.process.wait(20) == 0
    assert not service.seen("worker.died")


# --- callers who take their time, or send what no client sends ------------------------------------


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"G"],
    ids=["nothing", "half a head", "one byte"],
)
def test_a_head_that_does_not_come_ends_the_connection(limited: Service, sent: bytes) -> None:
    with limited.raw() as connection:
        connection.sendall(sent) if sent else None
        heard, seconds = closed_after(connection)
    assert heard == b""
    assert seconds < 5


def test_a_head_that_comes_byte_by_byte_ends_the_connection(limited: Service) -> None:
    began = time.monotonic()
    with limited.raw() as connection:
        while not _refuses(connection, b"G"):
            assert time.monotonic() - began < 10
            time.sleep(0.1)


def _refuses(connection: ssl.SSLSocket, sent: bytes) -> bool:
    try:
        connection.sendall(sent)
    except OSError:
        return True
    return False


def test_a_handshake_that_does_not_come_ends_the_connection(limited: Service) -> None:
    plain = socket.create_connection(("127.0.0.1", limited.port), 30)
    with plain:
        plain.sendall(b"\x16")
        began = time.monotonic()
        assert plain.recv(10) == b""
        assert time.monotonic() - began < 20


def test_a_body_that_does_not_come_is_answered_408(limited: Service) -> None:
    with limited.raw() as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")
        heard, seconds = closed_after(connection)
    assert heard.startswith(b"HTTP/1.1 408")
    assert seconds < 10


@pytest.mark.parametrize("length", [b"Content-Length: 1001", b"Transfer-Encoding: chunked"])
def test_a_body_that_is_too_large_is_answered_413(limited: Service, length: bytes) -> None:
    with limited.raw() as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\n" + length + b"\r\n\r\n")
        connection.sendall(b"3e9\r\n" * (length[:1] == b"T") + b"x" * 1001 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 200 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["long", "many", "two lengths", "signed length", "space", "folded", "nul", "http/2"],
)
def test_a_head_that_no_client_sends_is_refused(limited: Service, request_: bytes) -> None:
    with limited.raw() as connection:
        # It may be closed while a long one is still on its way.
        with suppress(OSError):
            connection.sendall(request_)
        heard, _ = closed_after(connection)
    assert heard[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
    assert limited.get()[0] == 200


def test_a_request_behind_a_chunked_body_is_not_smuggled_in(limited: Service) -> None:
    with limited.raw() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n"
        )
        heard, _ = closed_after(connection)
    assert heard.count(b"HTTP/1.1 ") == 1


def test_more_callers_than_a_shell_allows_files_are_served(tmp_path: Path) -> None:
    def narrow(command: list[str]) -> list[str]:
        return ["/bin/sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *command]

    with Service(tmp_path, wrap=narrow) as service:
        callers = [service.raw() for _ in range(100)]
        assert service.get()[0] == 200
        for caller in callers:
            caller.close()


def test_what_an_application_lets_fall_is_not_printed(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        assert service.get("/fall")[0] == 200
        assert service.get("/raise")[0] == 500
        service.wait_for(lambda: bool(service.seen("unforeseen")))
        service.stop()
    assert service.seen("unforeseen")[0]["error"] == "ValueError"
    assert "correct horse" not in service.log


def test_idle_callers_do_not_keep_others_out(tmp_path: Path) -> None:
    with Service(tmp_path, header_seconds=1, connections=4) as service:
        idle = [service.raw() for _ in range(4)]
        began = time.monotonic()
        assert service.get()[0] == 200
        assert time.monotonic() - began < 10
        for connection in idle:
            connection.close()
