"""From the options of a worker to what publishes its checkpoints, if that was asked for."""

from __future__ import annotations

from pathlib import Path

from eventstore.trust import trust_in
from server.operations_log import OperationsLog
from server.outside import Outside
from server.publisher import Plan, Publisher
from server.publishing import Outcome
from server.serving import Publish
from vault.store import Store


def publisher_of(asked: Publish, home: Path, store: Store, log: OperationsLog) -> Publisher:
    """What publishes the logs of *store*, which lies in *home*, and tells *log* what came of it.

    Raise TrustPolicyInvalid, RootsInvalid, EvidenceExtraMissing or OutsideAddressInvalid.
    """
    trust = trust_in(_path(asked.policy), _path(asked.tsa_roots))

    def tell(outcome: Outcome) -> None:
        problems = ",".join(problem.code for problem in outcome.problems)
        log.event(
            "checkpoint.published",
            log=outcome.kind,
            records=outcome.checkpoint.size,
            anchored=int(outcome.anchored),
            problems=problems,
        )

    return Publisher(
        home,
        store.vaults,
        Plan(trust, asked.tsa, asked.interval, asked.growth),
        Outside(_path(asked.ca)),
        tell,
        lambda code: log.event("checkpoint.not-published", code=code),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
