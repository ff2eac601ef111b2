"""What a witness answers over HTTP is what C2SP says: status, form and content type."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import LogUnavailable
from eventstore.witness import Witness
from server.witness import WitnessApplication
from support.witnesses import NOW, Grown, now, witness_in

LOG = Grown(("a", 40))
FORK = Grown(("a", 10), ("b", 30))


class Client:
    """A caller of the application, without a socket."""

    def __init__(self, witness: Witness) -> None:
        self.told: list[tuple[str, int]] = []
        self.application = WitnessApplication(
            lambda: witness, 5, lambda what, status: self.told.append((what, status)), now
        )

    def post(
        self, body: bytes, path: str = "/add-checkpoint", method: str = "POST"
    ) -> tuple[int, str, bytes]:
        return asyncio.run(self._ask(body, path, method))

    async def _ask(self, body: bytes, path: str, method: str) -> tuple[int, str, bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        lifespan = iter([{"type": "lifespan.startup"}])

        async def life() -> Any:
            return next(lifespan)

        try:
            await self.application({"type": "lifespan"}, life, send)
        except (StopIteration, RuntimeError):
            sent.clear()

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        scope = {"type": "http", "method": method, "path": path}
        await self.application(scope, receive, send)
        headers = dict(sent[0]["headers"])
        return sent[0]["status"], headers[b"content-type"].decode(), sent[1]["body"]


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = witness_in(tmp_path / "witness", LOG)
    yield made
    made.close()


@pytest.fixture
def client(witness: Witness) -> Client:
    return Client(witness)


def test_a_cosignature_is_a_line_that_goes_under_the_checkpoint(
    client: Client, witness: Witness
) -> None:
    status, _, body = client.post(LOG.submission(0, 20), "/some/prefix/add-checkpoint")
    assert status == 200
    assert witness.key.time_in(LOG.note(20) + body.decode()) == NOW
    assert client.told == [("add-checkpoint", 200)]


def test_a_conflict_names_the_size_and_nothing_else(client: Client) -> None:
    client.post(LOG.submission(0, 20))
    conflict = (409, "text/x.tlog.size", b"20\n")
    assert client.post(LOG.submission(0, 30)) == conflict
    assert client.post(LOG.submission(10, 15)) == conflict
    assert client.post(FORK.submission(20, 20)) == conflict


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"old 0\n", 400),
        (LOG.submission(0, 30).replace(b"old 0", b"old 31"), 400),
        (Grown(("a", 40), key=2).submission(0, 30), 403),
        (Grown(("a", 40), origin="other.example").submission(0, 30), 404),
        (FORK.submission(20, 30), 422),
        (bytes(200_000), 413),
    ],
)
def test_every_refusal_has_the_status_that_c2sp_gives_it(
    client: Client, body: bytes, status: int
) -> None:
    client.post(LOG.submission(0, 20))
    assert client.post(body)[0] == status


def test_there_is_one_call_and_it_is_a_post(client: Client) -> None:
    assert client.post(b"", method="GET")[0] == 405
    assert client.post(b"", "/")[0] == 404
    assert client.post(b"", "/healthz", "GET")[0] == 200


def test_what_cannot_be_recorded_is_not_cosigned(
    client: Client, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LogUnavailable("no room in a place that is nobody's business")

    monkeypatch.setattr(witness, "_write", full)
    status, _, body = client.post(LOG.submission(0, 20))
    assert (status, body) == (503, b"\n")
