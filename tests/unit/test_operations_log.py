"""One line a request for the operators, and nothing in it that a caller made up."""

import asyncio
import json
import os
import threading
from contextlib import suppress
from datetime import datetime

import pytest

from server.operations_log import OperationsLog


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        with suppress(OSError):
            os.close(fd)


def answered(log: OperationsLog, **given) -> None:
    facts = {
        "vault": "shop.vault.localhost",
        "operation": "SecretGet",
        "status": 200,
        "seconds": 0.0012345,
        "request": "0b9f1c8e-9c7e-4f5a-8f3c-2b1f7d1d4a10",
        "client_request": "9d8c1c9e-0000-11ee-b9d1-0242ac120002",
        "principal": "11111111-2222-3333-4444-555555555555",
    }
    log.request(**{**facts, **given})


def read(fd: int) -> list[str]:
    return os.read(fd, 1_000_000).decode().splitlines()


def test_a_request_is_one_line_of_json(pipe) -> None:
    answered(OperationsLog(worker=2, fd=pipe[1]))
    (line,) = read(pipe[0])
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert told == {
        "event": "request",
        "worker": 2,
        "vault": "shop.vault.localhost",
        "operation": "SecretGet",
        "status": 200,
        "durationMs": 1.234,
        "requestId": "0b9f1c8e-9c7e-4f5a-8f3c-2b1f7d1d4a10",
        "clientRequestId": "9d8c1c9e-0000-11ee-b9d1-0242ac120002",
        "principal": "11111111-2222-3333-4444-555555555555",
    }


def test_a_request_is_one_line_of_text(pipe) -> None:
    answered(OperationsLog("text", fd=pipe[1]), principal="")
    (line,) = read(pipe[0])
    assert " request worker=0 vault=shop.vault.localhost operation=SecretGet status=200 " in line
    assert "principal" not in line


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("field", ["vault", "client_request", "request", "principal"])
@pytest.mark.parametrize(
    "made_up",
    ['x\n{"event":"request","status":200}', "\x1b[2J", "a b=c", "x" * 10_000, "pässword", "\ud800"],
    ids=["line", "escape", "field", "long", "letters", "surrogate"],
)
def test_what_a_caller_made_up_is_not_repeated(pipe, form, field: str, made_up: str) -> None:
    answered(OperationsLog(form, fd=pipe[1]), **{field: made_up})
    (line,) = read(pipe[0])
    assert made_up[:4] not in line.replace(",", "")
    assert len(line) < 600


def test_lines_of_one_turn_of_the_loop_are_written_together(pipe) -> None:
    log = OperationsLog(fd=pipe[1])

    async def turn() -> None:
        os.set_blocking(pipe[0], False)
        for _ in range(3):
            answered(log)
        with pytest.raises(BlockingIOError):
            os.read(pipe[0], 1)
        await asyncio.sleep(0)
        assert len(read(pipe[0])) == 3

    asyncio.run(turn())


def test_lines_of_many_workers_stay_whole(pipe) -> None:
    heard: list[bytes] = []

    def listen() -> None:
        while part := os.read(pipe[0], 65536):
            heard.append(part)

    def work(number: int) -> None:
        log = OperationsLog(worker=number, fd=pipe[1])

        async def turns() -> None:
            for _ in range(20):
                for _ in range(30):
                    answered(log)
                await asyncio.sleep(0)

        asyncio.run(turns())

    reader = threading.Thread(target=listen)
    reader.start()
    workers = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    os.close(pipe[1])
    reader.join()
    lines = b"".join(heard).decode().splitlines()
    assert len(lines) == 3 * 20 * 30
    assert {json.loads(line)["worker"] for line in lines} == {1, 2, 3}


def test_a_log_that_nobody_reads_stops_no_request(pipe) -> None:
    os.close(pipe[0])
    answered(OperationsLog(fd=pipe[1]))


def test_what_happens_to_the_service_is_told(pipe) -> None:
    OperationsLog(fd=pipe[1]).event("worker.died", number=3, status=-9)
    (line,) = read(pipe[0])
    told = json.loads(line)
    assert (told["event"], told["number"], told["status"]) == ("worker.died", 3, -9)
