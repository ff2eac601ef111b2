"""Every failure has a class, a code and a way out.

A code is released once and never reused; prose may improve.  No HTTP status and no exit status
stands here: each edge has one table of its own.  ``docs/errors.md`` is generated from the classes.
"""

from __future__ import annotations

from typing import ClassVar


class MunimentError(Exception):
    """Something that Muniment refuses, or could not do."""

    code: ClassVar[str] = "muniment.error"
    hint: ClassVar[str] = ""

    @property
    def message(self) -> str:
        return str(self) or (self.__doc__ or "").strip().splitlines()[0]


def every_error(root: type[MunimentError] = MunimentError) -> list[type[MunimentError]]:
    """All error classes that are imported now, sorted by code."""
    found = {root}
    for child in root.__subclasses__():
        found.update(every_error(child))
    return sorted(found, key=lambda error: error.code)


# --- bytes that are not what they should be -----------------------------------------------------


class WrongKey(MunimentError):
    """The key is not the one that sealed this."""

    code = "seal.wrong-key"
    hint = "the record was sealed under another key, or its key commitment was altered"


class SealBroken(MunimentError):
    """The sealed bytes or what they are bound to were altered."""

    code = "seal.broken"
    hint = "run `muniment verify`; restore the file from a copy that verifies"


class RecordMalformed(MunimentError):
    """A stored record does not have the form that the format demands."""

    code = "record.malformed"
    hint = "run `muniment verify`; restore the file from a copy that verifies"


class FormatUnknown(MunimentError):
    """The bytes name a format, suite or schema that this release does not know."""

    code = "format.unknown"
    hint = "use the release that wrote it, or a newer one; nothing was changed"


class EventUnknown(MunimentError):
    """An event has a tag or a field that this release does not know."""

    code = "event.unknown"
    hint = "use the release that wrote it, or a newer one; an unknown event is never skipped"


class CheckpointMalformed(MunimentError):
    """The text is not a signed checkpoint (C2SP tlog-checkpoint in a signed-note)."""

    code = "checkpoint.malformed"
    hint = "give the file that `muniment checkpoint show` printed, unchanged"


class CheckpointSignatureInvalid(MunimentError):
    """No signature on the checkpoint was made by a key of this log."""

    code = "checkpoint.signature-invalid"
    hint = "the checkpoint belongs to another log, or was altered or forged"


class ProofInvalid(MunimentError):
    """A Merkle proof does not lead to the root it was given."""

    code = "proof.invalid"
    hint = "the proof was altered, or is of another record, log or checkpoint"


class ProofMalformed(MunimentError):
    """The text is not a proof (C2SP tlog-proof, or the consistency proof of a tlog-witness)."""

    code = "proof.malformed"
    hint = "give the file that `muniment prove` printed, unchanged"


class BundleTooLarge(MunimentError):
    """A bundle of evidence holds at most 4 GiB."""

    code = "evidence.too-large"
    hint = "make one bundle for each part of the period"


class FieldUnknown(MunimentError):
    """The record has no such field."""

    code = "field.unknown"
    hint = "a field that has its usual value is not written; `--show all` shows what is there"


# --- verification: the history is not what was signed -------------------------------------------


class VerificationFailed(MunimentError):
    """The log is not the one that was signed."""

    code = "verify.failed"
    hint = "treat the store as tampered with; compare with a copy and a kept checkpoint"


class RecordAltered(VerificationFailed):
    """A record's bytes do not fit its leaf, its place or its signature."""

    code = "verify.record-altered"


class RootMismatch(VerificationFailed):
    """The records do not hash to the signed root."""

    code = "verify.root-mismatch"


class LogTruncated(VerificationFailed):
    """Records that a checkpoint covers are missing: the tail was cut or an old copy put back."""

    code = "verify.truncated"


class TailUnsigned(VerificationFailed):
    """The last records are not covered by a signed checkpoint yet."""

    code = "verify.tail-unsigned"
    hint = "if a crash cut the last commit short, open the store once, so that its head is signed"


class HeadAltered(VerificationFailed):
    """What the log says about itself was not written by a holder of its keys."""

    code = "verify.head-altered"


class HistoryForked(VerificationFailed):
    """The log does not extend the history that a kept checkpoint fixed."""

    code = "verify.forked"


class KeyChainBroken(VerificationFailed):
    """A signing key was not endorsed by the key before it, or is not the one trusted."""

    code = "verify.key-chain-broken"


class LogMisplaced(VerificationFailed):
    """A vault's folder lacks one of its logs, or holds one that belongs elsewhere."""

    code = "verify.log-misplaced"


# --- the auditor's key and grants ---------------------------------------------------------------


class GrantInvalid(VerificationFailed):
    """The file is no grant, was altered, or is not of exactly the records of its period."""

    code = "grant.invalid"
    hint = "ask the vault's administrator for the file again, and compare the grant's id"


class GrantOfAnotherLog(VerificationFailed):
    """The copy is not of the logs that the grant is for."""

    code = "grant.other-log"
    hint = "name the copy of the vault that the grant was made in"


class GrantForAnotherKey(MunimentError):
    """The grant was sealed to another auditor's key."""

    code = "grant.other-key"
    hint = "name the private key that belongs to the public key which was granted to"


class GrantOutsidePeriod(MunimentError):
    """What is asked for is not in the period of the grant."""

    code = "grant.outside-period"
    hint = "the grant opens its own period and no other; ask the administrator for another grant"


class AuditorKeyInvalid(MunimentError):
    """The text is not an auditor's public key, or it was mistyped."""

    code = "auditor-key.invalid"
    hint = "copy all of it from what `muniment audit keygen` printed; it begins with mna1-"


class AuditorKeyDamaged(MunimentError):
    """The file is not an auditor's private key, or was altered."""

    code = "auditor-key.damaged"
    hint = "put the file back from a copy; without it the grants to this key open nothing"


class AuditorKeyWrong(MunimentError):
    """The passphrase is not the one of the auditor's private key."""

    code = "auditor-key.wrong"


class AuditorKeyLocked(MunimentError):
    """The auditor's private key needs a passphrase and none was given."""

    code = "auditor-key.locked"
    hint = "give it at the prompt, or name a file with --passphrase-file"


# --- the log as a place to write ----------------------------------------------------------------


class LogConflict(MunimentError):
    """The stream is not at the version that the append expected; nothing was written."""

    code = "log.conflict"
    hint = "read again and decide again"


class RequestIdReused(MunimentError):
    """The request id was used before for something else."""

    code = "request.id-reused"
    hint = "a retry must repeat the same request; use a new id for a new one"


class LogUnavailable(MunimentError):
    """The event could not be recorded, so the request was not carried out."""

    code = "log.not-recorded"
    hint = (
        "free disk space, mend the disk, or run as the account whose store it is; then try again: "
        "nothing was changed"
    )


class OutcomeUnknown(MunimentError):
    """The disk failed while committing, and the log cannot be read back to see what stands."""

    code = "log.outcome-unknown"
    hint = "mend the disk, then repeat the request with the same request id"


class PositionUnknown(MunimentError):
    """The log has no record at that position."""

    code = "log.no-such-position"


class LogNotFound(MunimentError):
    """There is no log at that place."""

    code = "log.not-found"


class LogBusy(MunimentError):
    """The log is already open in this process, or was opened before a fork."""

    code = "log.already-open"
    hint = "open a store once per process, and after a fork open it anew"


# --- keys ---------------------------------------------------------------------------------------


class KeyErased(MunimentError):
    """The key was destroyed: what it sealed is closed for ever."""

    code = "key.erased"


class KeyUnknown(MunimentError):
    """The keyring holds no key with that number."""

    code = "key.unknown"


class KeyringNotFound(MunimentError):
    """There is no keyring at that place."""

    code = "keyring.not-found"
    hint = "without its keyring a store cannot be opened: name the right store, or put it back"


class KeyringExists(MunimentError):
    """There is a keyring at that place already; it was not touched."""

    code = "keyring.exists"


class KeyringFull(MunimentError):
    """The keyring has given out every key number it can hold."""

    code = "keyring.full"


class RootKeyMissing(MunimentError):
    """The root key is not where the store says it is."""

    code = "root.missing"
    hint = "put the root key directory back, or name it with --root-key or MUNIMENT_ROOT_KEY"


class RootKeyWrong(MunimentError):
    """The root key or the passphrase is not the one of this store."""

    code = "root.wrong"
    hint = "check --root-key and the passphrase; nothing was changed"


class RootKeyDamaged(MunimentError):
    """The root key's file was torn or altered, or is of another kind."""

    code = "root.damaged"
    hint = "put the root key directory back from a copy made after the last purge"


class RootKeyExposed(MunimentError):
    """Others on this machine can read the root key, or put another in its place."""

    code = "root.exposed"
    hint = "chmod 600 the slot files and chmod 700 their directory; then rotate the root key"


class RootKeyExists(MunimentError):
    """There is a root key at that place already; it was not touched."""

    code = "root.exists"
    hint = "it may open another store: name an empty directory with --root-key"


class RootKeyNotErased(MunimentError):
    """The keys are destroyed in the keyring, but the root key before them still stands."""

    code = "root.not-erased"
    hint = "the purge is not complete: mend the disk, then purge again or reopen the store"


class StoreLocked(MunimentError):
    """The store needs a passphrase and none was given."""

    code = "root.locked"
    hint = "give it at the prompt, or name a file with MUNIMENT_PASSPHRASE_FILE"
