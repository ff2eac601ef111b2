"""A service that is killed, or whose disk is full, while 32 callers write and read.

Whatever was answered is in the log afterwards: each write by its version, each read by the id of the
request.  What was refused because it could not be recorded was not done.
"""

from __future__ import annotations

import http.client
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from eventstore.access_events import SecretRead
from eventstore.events import SecretSet
from support.edge import Answer, Edge
from support.services import Service
from vault.caller import Caller
from vault.commands import GetSecret
from vault.together import Ask

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

CALLERS = 32
LIVES = 10
"""Each is a service that loses one of its two workers, and then is killed altogether."""


class Told(NamedTuple):
    """A request as its caller saw it end; a status of 0 is a connection that broke."""

    request: str
    method: str
    status: int
    version: str
    value: str


class Crowd:
    """Callers who write their own secret and read it back, again and again, until they are told."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.told: list[Told] = []
        self.refused: list[Answer] = []
        self._round = 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._round += 1
        stop = threading.Event()
        asking = [threading.Thread(target=self._ask, args=(n, stop)) for n in range(CALLERS)]
        for thread in asking:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in asking:
                thread.join()

    def count(self, method: str, status: int) -> int:
        return sum((one.method, one.status) == (method, status) for one in list(self.told))

    def _ask(self, caller: int, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            # Each value is one that nobody wrote before.
            value = f"{self._round}.{caller}.{number}"
            self._one("PUT", caller, value)
            self._one("GET", caller, "")
        self.edge.hang_up()

    def _one(self, method: str, caller: int, value: str) -> None:
        request = f"{method}-{self._round}-{caller}-{len(self.told)}"
        headers = {"x-ms-client-request-id": request}
        body = {"value": value} if value else None
        path = f"/secrets/of-{caller}"
        try:
            answer = self.edge.ask(method, path, body, headers=headers)
        except (OSError, http.client.HTTPException):
            self.told.append(Told(request, method, 0, "", value))
            time.sleep(0.02)
            return
        if answer.status == 503:
            self.refused.append(answer)
        answered = answer.json if answer.status == 200 else {}
        version = answered.get("id", "").rpartition("/")[2]
        self.told.append(
            Told(request, method, answer.status, version, answered.get("value", value))
        )


def workers_of(service: Service) -> list[int]:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def kill(*processes: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def is_alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"  # killed; nobody has collected it yet


def wait_until_gone(processes: list[int]) -> None:
    end = time.monotonic() + 10
    while any(is_alive(process) for process in processes):
        assert time.monotonic() < end
        time.sleep(0.01)


def check_answered(edge: Edge, told: list[Told]) -> None:
    """Each answer is in the log, and each write says what was written."""
    sets = {one.event.version: one for one in edge.changes() if isinstance(one.event, SecretSet)}
    reads = {one.context.request: one for one in edge.traces() if isinstance(one.event, SecretRead)}
    answered = [one for one in told if one.status == 200]
    for one in answered:
        if one.method == "GET":
            assert reads[one.request].event.version == one.version
            # What was read is what was set there, at a position the read knows of.
            assert sets[one.version].position < reads[one.request].event.at
    written = [one for one in answered if one.method == "PUT"]
    assert [sets[one.version].context.request for one in written] == [
        one.request for one in written
    ]
    caller = Caller(principal=edge.oid("all"), auth="test")
    asks = [
        Ask(caller, GetSecret(name=sets[one.version].event.name, version=one.version))
        for one in answered
    ]
    with edge.opened() as vault:
        kept = vault.handle_all(asks)
    assert [bundle.value for bundle in kept] == [one.value for one in answered]


def check_refused(edge: Edge, told: list[Told]) -> None:
    """What was answered 503 left nothing behind."""
    recorded = {one.context.request for log in (edge.changes(), edge.traces()) for one in log}
    assert not recorded & {one.request for one in told if one.status == 503}


def test_whatever_a_killed_service_has_answered_is_in_the_log(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    crowd = Crowd(edge)
    kills = 0
    for _ in range(LIVES):
        with edge.served(workers=2) as service:
            before = len(crowd.told)
            with crowd.asking():
                time.sleep(0.5)
                victim = workers_of(service)[0]
                kill(victim)
                kills += 1
                time.sleep(0.5)
                workers = workers_of(service)
                # The supervisor first, or it would start others.
                kill(service.process.pid, *workers)
                kills += 1
            service.process.wait(10)
            wait_until_gone([victim, *workers])
            statuses = {one.status for one in crowd.told[before:]}
            assert statuses <= {0, 200, 404}
    assert kills == 20
    assert min(crowd.count("PUT", 200), crowd.count("GET", 200)) > 5 * CALLERS
    assert crowd.count("PUT", 0) > 0  # some were under way
    check_answered(edge, crowd.told)
    with edge.served():
        edge.set("afterwards")
    edge.check()


def limit_files(processes: list[int], size: int) -> None:
    """No file of these processes grows beyond *size* from now on, as if the disk were full."""
    for process in processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_on_a_full_disk_it_refuses_turns_red_and_recovers_by_itself(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    crowd = Crowd(edge)
    with edge.served() as service:
        with crowd.asking():
            service.wait_for(lambda: crowd.count("PUT", 200) > 100)
            workers = workers_of(service)
            files = edge.home.glob("vaults/*/*/data.mdb")
            limit_files(workers, max(file.stat().st_size for file in files))
            service.wait_for(lambda: crowd.count("PUT", 503) > 50)
            service.wait_for(lambda: crowd.count("GET", 503) > 50)
            assert edge.ask("GET", "/readyz", token=None).status == 503
            assert edge.ask("GET", "/healthz", token=None).status == 200
            limit_files(workers, resource.RLIM_INFINITY)
            service.wait_for(lambda: edge.ask("GET", "/readyz", token=None).status == 200)
            good = crowd.count("PUT", 200)
            service.wait_for(lambda: crowd.count("PUT", 200) > good + 100)
        assert workers_of(service) == workers
        edge.set("afterwards")
        assert edge.ask("GET", "/readyz", token=None).status == 200
    assert {one.status for one in crowd.told} <= {200, 404, 503}
    for answer in crowd.refused:
        assert answer.error == (503, "ServiceUnavailable", "")
        assert int(answer.headers["retry-after"]) >= 1
    check_answered(edge, crowd.told)
    check_refused(edge, crowd.told)
    edge.check()


def test_what_one_worker_cannot_record_turns_the_whole_service_red(tmp_path: Path) -> None:
    edge = Edge(tmp_path)

    def ready() -> set[int]:
        """What is answered to whom, by which worker ever."""
        answers = set()
        for _ in range(12):
            edge.hang_up()  # the next connection may come to another one
            answers.add(edge.ask("GET", "/readyz", token=None).status)
        return answers

    with edge.served(workers=3) as service:
        edge.set("db")
        failing = workers_of(service)[0]
        files = edge.home.glob("vaults/*/*/data.mdb")
        limit_files([failing], max(file.stat().st_size for file in files))
        while edge.ask("PUT", "/secrets/db", {"value": "x" * 20_000}).status == 200:
            edge.hang_up()
        assert ready() == {503}
        limit_files([failing], resource.RLIM_INFINITY)
        service.wait_for(lambda: ready() == {200})
        asked = [one["worker"] for one in service.seen("request") if one["operation"] == "page"]
        assert len(set(asked)) > 1
    edge.check()


def test_what_is_under_way_is_answered_before_a_service_that_is_stopped_goes(
    tmp_path: Path,
) -> None:
    edge = Edge(tmp_path)
    crowd = Crowd(edge)
    with edge.served(workers=2, linger_seconds=0.5) as service:
        with crowd.asking():
            service.wait_for(lambda: crowd.count("GET", 200) > 100)
            service.process.send_signal(signal.SIGHUP)
            service.wait_for(lambda: len(service.seen("worker.left")) == 2)
            assert crowd.count("PUT", 0) + crowd.count("GET", 0) == 0
            with service.raw() as connection:
                body = b'{"value":"slowly"}'
                head = edge.head(
                    "PUT", "/secrets/slow?api-version=7.4", f"Content-Length: {len(body)}"
                )
                connection.sendall(head + b"\r\n" + body[:5])
                time.sleep(0.2)
                service.process.send_signal(signal.SIGTERM)
                time.sleep(0.2)
                connection.sendall(body[5:])
                assert connection.recv(12) == b"HTTP/1.1 200"
        assert service.process.wait(10) == 0
    assert {one.status for one in crowd.told} <= {0, 200}
    assert [one["drained"] for one in service.seen("worker.left")] == [1] * 4
    names = [one.event.name for one in edge.changes() if isinstance(one.event, SecretSet)]
    assert "slow" in names
    check_answered(edge, crowd.told)
    edge.check()
