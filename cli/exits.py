"""Which exit status a failure has.  Pure.  One table, by code; a test holds every error to it.

0 ok, 1 failure, 2 usage or a value beyond a documented limit, 3 not found, 4 denied (policy or
firewall), 5 conflict, 6 unreachable, 10 no such store, 11 locked, 12 wrong key or passphrase,
20 verification failed, 21 verified but weaker than asked, 130 interrupted.
"""

from __future__ import annotations

from eventstore.errors import MunimentError

OK = 0
FAILURE = 1
USAGE = 2
NOT_FOUND = 3
DENIED = 4
CONFLICT = 5
UNREACHABLE = 6
NO_STORE = 10
LOCKED = 11
WRONG_KEY = 12
NOT_VERIFIED = 20
WEAKER = 21
INTERRUPTED = 130

EXITS: dict[str, int] = {
    "muniment.error": FAILURE,
    # The log and its bytes.
    "seal.wrong-key": WRONG_KEY,
    "seal.broken": NOT_VERIFIED,
    "record.malformed": NOT_VERIFIED,
    "format.unknown": FAILURE,
    "event.unknown": FAILURE,
    "checkpoint.malformed": NOT_VERIFIED,
    "checkpoint.signature-invalid": NOT_VERIFIED,
    "proof.invalid": NOT_VERIFIED,
    "proof.malformed": NOT_VERIFIED,
    "verify.failed": NOT_VERIFIED,
    "verify.record-altered": NOT_VERIFIED,
    "verify.root-mismatch": NOT_VERIFIED,
    "verify.truncated": NOT_VERIFIED,
    "verify.forked": NOT_VERIFIED,
    "verify.head-altered": NOT_VERIFIED,
    "verify.key-chain-broken": NOT_VERIFIED,
    "verify.tail-unsigned": NOT_VERIFIED,
    "verify.log-misplaced": NOT_VERIFIED,
    "verify.weaker": WEAKER,
    "verify.rolled-back": NOT_VERIFIED,
    "view.corrupt": NOT_VERIFIED,
    "log.conflict": CONFLICT,
    "request.id-reused": CONFLICT,
    "log.not-recorded": FAILURE,
    "log.outcome-unknown": FAILURE,
    "log.no-such-position": NOT_FOUND,
    "log.not-found": NO_STORE,
    "log.already-open": FAILURE,
    # Keys.
    "key.erased": NOT_FOUND,
    "key.unknown": FAILURE,
    "keyring.not-found": NO_STORE,
    "keyring.exists": CONFLICT,
    "keyring.full": FAILURE,
    "root.missing": LOCKED,
    "root.wrong": WRONG_KEY,
    "root.damaged": WRONG_KEY,
    "root.exposed": FAILURE,
    "root.exists": CONFLICT,
    "root.not-erased": FAILURE,
    "root.locked": LOCKED,
    # The vault's refusals.
    "vault.error": FAILURE,
    "access.denied": DENIED,
    "access.not-administrator": DENIED,
    "access.not-store-administrator": DENIED,
    "boundary.outside": DENIED,
    "boundary.public-access-disabled": DENIED,
    "boundary.range-invalid": USAGE,
    "boundary.too-many-rules": USAGE,
    "boundary.network-invalid": USAGE,
    "boundary.subnet-unknown": USAGE,
    "boundary.trusted-service-invalid": USAGE,
    "boundary.network-in-use": CONFLICT,
    "boundary.network-not-found": NOT_FOUND,
    "boundary.rule-not-found": NOT_FOUND,
    "policy.too-many": USAGE,
    "policy.twice": USAGE,
    "vault.setting-invalid": USAGE,
    "vault-tags.invalid": USAGE,
    "parameter.invalid": USAGE,
    "name.invalid": USAGE,
    "version.invalid": USAGE,
    "vault-name.invalid": USAGE,
    "value.too-large": USAGE,
    "content-type.too-long": USAGE,
    "tags.invalid": USAGE,
    "attributes.invalid": USAGE,
    "retention.invalid": USAGE,
    "permission.unknown": USAGE,
    "principal.invalid": USAGE,
    "vault.purge-protection-one-way": USAGE,
    "backup.invalid": USAGE,
    "points.reversed": USAGE,
    "restore.names-and-policies": USAGE,
    "backup.foreign": USAGE,
    "secret.not-found": NOT_FOUND,
    "secret.deleted-not-found": NOT_FOUND,
    "secret.erased": NOT_FOUND,
    "secret.disabled": DENIED,
    "secret.is-deleted": CONFLICT,
    "secret.exists": CONFLICT,
    "secret.purge-protected": DENIED,
    "policy.not-found": NOT_FOUND,
    "purge.erasure-pending": FAILURE,
    "backup.erased": NOT_FOUND,
    "store.not-found": NO_STORE,
    "store.exists": CONFLICT,
    "vault.not-found": NOT_FOUND,
    "vault.exists": CONFLICT,
    "vault.is-deleted": CONFLICT,
    "vault.retention-is-fixed": USAGE,
    "vault.location-is-fixed": USAGE,
    "vault.deleted-not-found": NOT_FOUND,
    "vault.purge-protected": DENIED,
    "vault.not-chosen": USAGE,
    # The HTTPS edge's: a request that cannot be read.
    "api-version.missing": USAGE,
    "api-version.unknown": USAGE,
    "query.malformed": USAGE,
    "skiptoken.invalid": USAGE,
    "body.malformed": USAGE,
    "secret.being-deleted": CONFLICT,
    # The service's identities.
    "identity.error": FAILURE,
    "identity.not-found": NOT_FOUND,
    "identity.exists": CONFLICT,
    "identity.invalid": USAGE,
    # The service's.
    "serve.error": FAILURE,
    "serve.extra-missing": FAILURE,
    "serve.not-started": FAILURE,
    "serve.address-unusable": FAILURE,
    "serve.options-invalid": FAILURE,
    "serve.listen-invalid": USAGE,
    "serve.proxy-invalid": USAGE,
    "serve.interface-unusable": FAILURE,
    "serve.not-permitted": DENIED,
    "tls.error": FAILURE,
    "tls.exists": CONFLICT,
    "tls.not-found": NOT_FOUND,
    "tls.invalid": FAILURE,
    "tls.no-authority": NOT_FOUND,
    "tls.domain-invalid": USAGE,
    # The terminal's own.
    "terminal.error": FAILURE,
    "usage": USAGE,
    "usage.value-as-argument": USAGE,
    "setting.invalid": USAGE,
    "point.invalid": USAGE,
    "point.no-such-file": USAGE,
    "copies.unrelated": USAGE,
    "cursor.invalid": USAGE,
    "confirm.missing": USAGE,
    "file.exists": CONFLICT,
    "file.unusable": FAILURE,
    "value.not-text": USAGE,
    "import.malformed": USAGE,
    "import.too-large": USAGE,
    "import.incomplete": FAILURE,
    "export.ambiguous": CONFLICT,
    "doctor.unwell": FAILURE,
    "server.refused": FAILURE,
    "server.denied": DENIED,
    "server.not-found": NOT_FOUND,
    "server.conflict": CONFLICT,
    "server.malformed": FAILURE,
    "server.not-authenticated": DENIED,
    "server.challenge-refused": DENIED,
    "server.unreachable": UNREACHABLE,
    "server.unanswered": UNREACHABLE,
    "server.untrusted": UNREACHABLE,
    "server.busy": UNREACHABLE,
    "checkpoint.not-published": FAILURE,
    "output.gone": FAILURE,
    "interrupted": INTERRUPTED,
    "internal": FAILURE,
}


def exit_status(error: MunimentError) -> int:
    """The exit status of *error*; of a code that is not in the table, plain failure."""
    return EXITS.get(error.code, FAILURE)
