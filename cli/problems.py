"""What can go wrong at the terminal itself, before or after the vault is asked.  Pure.

Like every error of the house these have a class, a code and a way out.  A message may name an
option, a file, a line or a key, and never what could be a value.
"""

from __future__ import annotations

from eventstore.errors import MunimentError, VerificationFailed


class TerminalError(MunimentError):
    """The terminal could not do what was asked."""

    code = "terminal.error"


class Usage(TerminalError):
    """The command line does not say what to do."""

    code = "usage"


class ValueOnCommandLine(Usage):
    """A secret value is never an argument: everybody on the machine can read arguments."""

    code = "usage.value-as-argument"
    hint = "give it on standard input, in a file with --file, or at the prompt on a terminal"


class SettingInvalid(Usage):
    """A setting has a value, or a name, that Muniment does not know."""

    code = "setting.invalid"


class PointInvalid(Usage):
    """The text is not a point in time."""

    code = "point.invalid"
    hint = "write 2h, PT2H, 90d, 2026-11-03, 2026-11-03T10:00:00Z, or for the past #18230 or now"


class CheckpointFileMissing(PointInvalid):
    """The checkpoint that a point names is not there."""

    code = "point.no-such-file"
    hint = "after @ stands the file that `muniment checkpoint show > FILE` wrote"


class CopiesUnrelated(Usage):
    """The two stores have no vault in common: they are no copies of each other."""

    code = "copies.unrelated"
    hint = "name two copies of one store: the vaults of copies have the same directories"


class CursorInvalid(Usage):
    """A cursor says how far each log was read: changes:18230,access:77."""

    code = "cursor.invalid"


class NotConfirmed(Usage):
    """What destroys must be confirmed: type the name on a terminal, or give --yes."""

    code = "confirm.missing"
    hint = "nothing was changed"


class FileInTheWay(TerminalError):
    """There is a file at that place already; it was not touched."""

    code = "file.exists"
    hint = "name another file, or replace it with --yes"


class FileUnusable(TerminalError):
    """A file could not be read or written."""

    code = "file.unusable"


class FileTooLarge(Usage):
    """The file, or standard input, has more bytes than such a thing can have; it was not read on."""

    code = "file.too-large"
    hint = "is it the file that you meant?  nothing was changed"


class ValueNotText(Usage):
    """The bytes are not text in that encoding, and a secret's value is text."""

    code = "value.not-text"
    hint = "keep a binary file as text with --encoding base64; download turns it back"


class ImportMalformed(Usage):
    """The file is not of the format that it should be; nothing was imported."""

    code = "import.malformed"


class ImportTooLarge(Usage):
    """The file does not fit into one commit, so it cannot be imported as a whole; nothing was."""

    code = "import.too-large"
    hint = "--keep-going imports it in several commits"


class ImportIncomplete(TerminalError):
    """Some of the items could not be imported; all others were."""

    code = "import.incomplete"


class ExportAmbiguous(TerminalError):
    """Two secrets would have the same name in the file."""

    code = "export.ambiguous"
    hint = "name the secrets that are meant, or export them as json"


class Unwell(TerminalError):
    """Something about the store or its surroundings needs mending."""

    code = "doctor.unwell"


class RotationFailed(TerminalError):
    """A key of a storage account that is due was not rotated."""

    code = "rotation.failed"
    hint = "the next `muniment storage rotate-due` tries again; `muniment log` shows what was said"


class ServerRefused(TerminalError):
    """The server does not carry out the request."""

    code = "server.refused"


class ServerDenied(ServerRefused):
    """The server does not let this caller do it."""

    code = "server.denied"


class ServerNotFound(ServerRefused):
    """The server has nothing at that place."""

    code = "server.not-found"
    hint = "the URL names a vault: https://VAULT.vault.localhost:8443"


class ServerConflict(ServerRefused):
    """What the server holds is in the way of the request."""

    code = "server.conflict"


class AnswerMalformed(TerminalError):
    """The server does not answer as Key Vault does."""

    code = "server.malformed"
    hint = "look whether the URL is that of a vault, and what stands between here and there"


class NotAuthenticated(TerminalError):
    """The server does not know who asks."""

    code = "server.not-authenticated"
    hint = (
        "give a token with --token-file or MUNIMENT_TOKEN, or set AZURE_CLIENT_ID, AZURE_TENANT_ID "
        "and AZURE_CLIENT_SECRET"
    )


class ChallengeRefused(TerminalError):
    """The server asks for a token that it must not get."""

    code = "server.challenge-refused"
    hint = "nothing was sent; an authority on another host is named with AZURE_AUTHORITY_HOST"


class Unreachable(TerminalError):
    """The server does not answer."""

    code = "server.unreachable"


class Unanswered(Unreachable):
    """The server took the request and did not answer."""

    code = "server.unanswered"


class ServerUntrusted(Unreachable):
    """The server cannot show that it is the one that was named."""

    code = "server.untrusted"
    hint = "name its authority's certificate with --ca or MUNIMENT_CA"


class ServerBusy(Unreachable):
    """The server has no time, or cannot record anything now."""

    code = "server.busy"


class VerifiedWeaker(VerificationFailed):
    """The history is whole, but not everything that was asked for could be checked."""

    code = "verify.weaker"
    hint = "what was checked, and against what, stands in the report"


class RolledBack(VerificationFailed):
    """The log is not one that continues what this account has already seen of it."""

    code = "verify.rolled-back"
    hint = (
        "if a copy was put back on purpose, `muniment checkpoint forget` accepts it from now on; "
        "`muniment verify --without-seen` looks at a copy as it is"
    )


class NotPublished(TerminalError):
    """The checkpoint could not be published."""

    code = "checkpoint.not-published"


class OutputGone(TerminalError):
    """Nobody reads the output any more."""

    code = "output.gone"


class Interrupted(TerminalError):
    """Interrupted; what was not yet acknowledged did not happen."""

    code = "interrupted"


class Internal(TerminalError):
    """Something went wrong that Muniment did not foresee."""

    code = "internal"
    hint = "MUNIMENT_DEBUG=1 shows where, without any value"
