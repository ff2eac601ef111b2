"""From the options of a worker to its service: everything that is open while it serves."""

from __future__ import annotations

from pathlib import Path

from server.app import Done, Service
from server.authority import Authority
from server.http import Response
from server.identities import Identities
from server.metrics import CONTENT_TYPE, LogFacts, Metrics, TailFacts
from server.operations_log import OperationsLog
from server.serving import Options, passphrase_of, providers_of, root_directory_of
from server.shared import SharedNumbers
from server.skiptoken import Skiptokens
from server.tokens import Authenticator
from vault.answers import Rotated
from vault.store import Store


def service_of(options: Options) -> Service:
    """Open the store and what is around it.  Raise what opening a store raises."""
    store = Store.open(
        Path(options.home),
        root_directory=root_directory_of(options),
        passphrase=passphrase_of(options),
        providers=providers_of(options),
    )
    identities = Identities(store)
    directory = Path(options.metrics_directory) if options.metrics_directory else None
    metrics = Metrics(directory)
    log = OperationsLog(options.log_format, options.worker)

    def observe(done: Done) -> None:
        log.request(
            vault=done.vault,
            operation=done.operation,
            status=done.status,
            seconds=done.seconds,
            request=done.request_id,
            client_request=done.client_request,
            principal=done.principal,
        )
        metrics.request(done.operation, done.status, done.seconds)
        if done.status == 401:
            metrics.unauthenticated()

    def rotated(vault: str, one: Rotated) -> None:
        # Neither the account nor its key: a log of operations has no names.
        log.event("storage.rotated", vault=vault, outcome=one.outcome)

    def numbers() -> Response:
        logs = [
            LogFacts(vault.name, log.identity.kind_name, log.head().size)
            for vault in store.vaults()
            if not vault.settings.purged  # several may have had one name
            for log in (vault.changes, vault.access)
        ]
        measured = None if publisher is None else publisher.tails
        tails = [TailFacts(*tail) for tail in measured or ()]
        text = metrics.text(ready=service.ready(), logs=logs, tails=tails)
        return Response(200, (("Content-Type", CONTENT_TYPE),), text)

    publisher = None
    if options.publish is not None:
        # Most services publish nothing, and need not keep in memory what it takes.
        from server.start_publishing import publisher_of

        publisher = publisher_of(options.publish, Path(options.home), store, log)
    service = Service(
        store,
        Authenticator(identities),
        Authority(identities),
        Skiptokens(identities.derived(b"skiptoken")),
        SharedNumbers(identities.derived(b"shared-numbers"), directory and directory / "shared"),
        tenant=identities.tenant,
        domain=options.domain,
        throttled=options.throttle,
        delete_lag=options.simulate_delete_lag,
        observe=observe,
        committed=metrics.commit,
        rotated=rotated,
        fault=lambda kind, request: log.event("fault", kind=kind, requestId=request),
        pages={"/metrics": numbers} if options.metrics else {},
        publisher=publisher,
    )
    return service
