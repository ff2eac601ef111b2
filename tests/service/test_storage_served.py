"""Storage accounts at a socket: a slow provider keeps nobody waiting, and two workers rotate once."""

from __future__ import annotations

import threading
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from eventstore.storage_events import StorageKeyRegenerated, StorageKeyRegenerating
from support.edge import Answer, Edge
from support.hooks import hooks_file, keys_of, manual
from support.vaults import ALICE, Clock
from vault.providers import Declared, Providers
from vault.storage_commands import SetStorageAccount
from vault.store import Store, system_clock

API = "api-version=7.3"
DAY = 86_400
BODY = {"resourceId": "/well/shop", "activeKeyName": "key1", "autoRegenerateKey": False}
SAS = {
    "templateUri": "sv=2018-03-28&ss=b&srt=sco&sp=rl",
    "sasType": "account",
    "validityPeriod": "PT4H",
}


def ask(edge: Edge, method: str, path: str, body: Any = None) -> Answer:
    return edge.ask(method, path, body, query=API)


def test_a_slow_provider_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    providers = hooks_file(tmp_path, slow="is slow", well="")
    with edge.served(providers=str(providers)):
        edge.set("db")
        answers: list[Answer] = []

        def set_slowly() -> None:
            answers.append(ask(edge, "PUT", "/storage/shop", {**BODY, "resourceId": "/slow/shop"}))
            edge.hang_up()

        asking = threading.Thread(target=set_slowly)
        asking.start()
        waits, done = [], 0
        while asking.is_alive():
            began = time.monotonic()
            assert ask(edge, "GET", "/secrets/db").status == 200
            waits.append(time.monotonic() - began)
            done += 1
        asking.join()
        assert [answer.status for answer in answers] == [200]
        # The program alone takes three seconds.
        assert max(waits) < 2.5
        assert done > 3
    edge.check()


def due_long_ago(directory: Path) -> Edge:
    """A store of a year ago, with an account that has a period of thirty days."""
    then = Clock(system_clock() - 365 * DAY * 1_000_000)
    edge = Edge(directory, then)
    declared = Providers([Declared("hook", "/well", manual(directory))])
    home = directory / "home"
    with Store.open(home, clock=then, providers=declared) as store:
        store.vault("one").handle(
            ALICE,
            SetStorageAccount(
                name="shop",
                resource_id="/well/shop",
                active_key="key1",
                auto_regenerate=True,
                period=30 * DAY,
            ),
        )
    return edge


def test_two_workers_rotate_what_is_due_once(tmp_path: Path) -> None:
    edge = due_long_ago(tmp_path)
    providers = hooks_file(tmp_path, well="is slow")
    before = keys_of(tmp_path)["shop"]
    with edge.served(providers=str(providers), workers=2) as service:
        service.wait_for(lambda: service.seen("storage.rotated"))
        assert ask(edge, "GET", "/storage/shop").json["activeKeyName"] == "key2"
        time.sleep(1)  # the other worker has looked by now
        [told] = service.seen("storage.rotated")
        assert (told["outcome"], told["vault"]) == ("ok", "one")
        assert "shop" not in str(told)
    after = keys_of(tmp_path)["shop"]
    assert after["key1"] == before["key1"]
    assert after["key2"] != before["key2"]
    kinds = [type(entry.event) for entry in edge.changes()]
    assert kinds.count(StorageKeyRegenerating) == kinds.count(StorageKeyRegenerated) == 1
    edge.check()


def test_no_byte_that_the_service_sends_or_logs_is_of_a_key(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    providers = hooks_file(tmp_path, well="", leaks="says the key in its error", fails="floods")
    keys: set[str] = set()
    with edge.served(providers=str(providers)) as service:
        told: list[Answer] = []
        for method, path, body in (
            ("PUT", "/storage/shop", BODY),
            ("PUT", "/storage/shop/sas/all", SAS),
            ("POST", "/storage/shop/regeneratekey", {"keyName": "key2"}),
            ("GET", "/storage/shop", None),
            ("PATCH", "/storage/shop", {"activeKeyName": "key2"}),
            ("GET", "/storage", None),
            ("GET", "/storage/shop/sas/all", None),
            ("GET", "/secrets/shop-all", None),
            ("GET", "/secrets", None),
            ("POST", "/storage/shop/backup", None),
            ("PUT", "/storage/other", {**BODY, "resourceId": "/leaks/shop"}),
            ("PUT", "/storage/other", {**BODY, "resourceId": "/fails/shop"}),
            ("DELETE", "/storage/shop", None),
            ("GET", "/deletedstorage/shop", None),
            ("POST", "/deletedstorage/shop/recover", None),
        ):
            keys |= {key for one in keys_of(tmp_path).values() for key in one.values()}
            told.append(ask(edge, method, path, body))
        statuses = [answer.status for answer in told]
        assert statuses.count(200) == 13
        assert sorted(statuses)[-2:] == [409, 503]
        sent = b"".join(answer.body + str(answer.headers).encode() for answer in told)
        sent += service.log.encode()
    keys |= {key for one in keys_of(tmp_path).values() for key in one.values()}
    assert b"?sv=2018-03-28" in sent
    for key in keys:
        raw = b64decode(key)
        for form in (key.encode(), raw, raw.hex().encode(), b64encode(raw, b"-_")):
            assert form[:40] not in sent
    assert all(key not in text for key in keys for text in map(str, edge.changes()))
    edge.check()
