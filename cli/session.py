"""What one command has in hand: its settings, its output, who asks, and the store when it is needed.

The store is opened at the first question and closed with it; where a server is named, that is asked.  Nothing here imports the vault before
that: help, completion and a typing error stay cheap.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cli.output import Output
from cli.problems import FileUnusable, SettingInvalid, Usage
from cli.settings import Settings
from cli.terminal import Terminal
from eventstore.errors import MunimentError

if TYPE_CHECKING:
    from cli.kept import Kept
    from eventstore.log import Log
    from eventstore.trust import Trust
    from vault.caller import Caller
    from vault.commands import Command
    from vault.providers import Providers
    from vault.service import Vault
    from vault.store import Store

A = TypeVar("A")


class Door(Protocol):
    """A vault that can be asked, in the store or behind a server.

    *name* is what ids begin with: the vault's name, or the address of its server.
    """

    @property
    def name(self) -> str: ...

    def handle(self, caller: Caller, command: Command[A]) -> A: ...


AGENT = "muniment cli"


class Session:
    """One command's run.  *flags* holds the common options as they were given."""

    def __init__(
        self, flags: Mapping[str, Any], clock: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self.settings = Settings(flags)
        self._flags = flags
        self.terminal = Terminal(self.settings.resolve("color").value or "auto")
        self.output = Output(
            self.settings.resolve("output").value or "table", flags.get("query"), self.terminal
        )
        self.paged = not flags.get("no_pager")
        self._request = flags.get("request_id") or ""
        self._clock = clock

    @cached_property
    def now(self) -> int:
        """Microseconds since 1970; one moment for the whole command."""
        return self._clock()

    # --- who asks, and which vault ----------------------------------------------------------------

    @cached_property
    def caller(self) -> Caller:
        return self.caller_for(self._request)

    def caller_for(self, request: str) -> Caller:
        """The caller with a request id of its own; `--as` is recorded as what it is, a claim."""
        from vault.caller import Caller

        here = f"local:{os_user()}"
        claimed = self.settings.resolve("principal").value
        if claimed is None or claimed == here:
            return Caller(principal=here, auth="local", agent=AGENT, request=request)
        return Caller(principal=claimed, auth=f"asserted by {here}", agent=AGENT, request=request)

    @property
    def request(self) -> str:
        return self._request

    def vault_name(self, named: str | None = None) -> str | None:
        """The vault to ask; *named* is what an id or a NAME said.  Raise Usage if they differ."""
        chosen = self.settings.resolve("vault")
        if named is None:
            return chosen.value
        if chosen.origin == "--vault-name" and chosen.value and chosen.value != named:
            raise Usage("--vault-name names another vault")
        return named

    # --- the server, if one is named --------------------------------------------------------------

    @cached_property
    def url(self) -> str | None:
        """The server to ask, if the command can ask one and no store is named more nearly.

        Raise Usage if both are named.
        """
        if "url" not in self._flags:
            return None
        server = self.settings.resolve("url")
        if server.value is None or self.settings.resolve("home").origin != "--home":
            return server.value
        if server.origin == "--url":
            raise Usage("--url names a server and --home a store: name one of them")
        return None

    def refuse_server(self, what: str) -> None:
        """Raise Usage if a server is asked, which cannot do *what*."""
        if self.url is not None:
            raise Usage(f"{what} works on a store only: Key Vault's REST has nothing like it")

    @contextmanager
    def door(self, named: str | None = None) -> Iterator[Door]:
        """The vault to ask, wherever it is."""
        if self.url is None:
            with self.vault(named) as vault:
                yield vault
        else:
            remote_vault = _remote_vault()
            with remote_vault(self, self.url, named) as server:
                yield server

    # --- the store --------------------------------------------------------------------------------

    @property
    def home(self) -> Path:
        """Where the store is.  Raise Usage if only a server is named."""
        server, home = (self.settings.resolve(name) for name in ("url", "home"))
        if server.value is not None and home.origin not in ("--home", "MUNIMENT_HOME"):
            # A log that is read here by mistake would be taken for the server's.
            raise Usage(f"{server.origin} names a server; this works on a store: give --home")
        return self.settings.home

    @property
    def root_directory(self) -> Path | None:
        return self.settings.path("root_key")

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store, it and its vaults held to what this account has seen.  Raise RolledBack."""
        with self.unchecked_store() as store:
            self.check_vaults(store)
            with self.minding(store, store.vaults):
                yield store

    @contextmanager
    def vault(self, named: str | None = None) -> Iterator[Vault]:
        """One vault, held to what this account has seen of it.  Raise RolledBack."""
        name = self.vault_name(named)
        with self.unchecked_store() as store:
            self.check_vaults(store)
            vault = store.vault(name)
            with self.minding(store, lambda: [vault]):
                yield vault

    @contextmanager
    def unchecked_store(self) -> Iterator[Store]:
        """The store, whatever it was before."""
        from vault.store import Store

        opened = Store.open(
            self.home,
            root_directory=self.root_directory,
            passphrase=self.passphrase(),
            providers=self.providers(),
        )
        with opened as store:
            yield store

    def providers(self) -> Providers | None:
        """Who makes the keys of storage accounts; None if nobody is declared."""
        path = self.settings.path("providers")
        if path is None:
            return None
        from cli.providers import DeclaredIn

        return DeclaredIn(path)

    @cached_property
    def kept(self) -> Kept:
        """What this account has seen and published."""
        from cli.kept import Kept

        return Kept(self.settings.state, self._instance())

    def _instance(self) -> str:
        """Which copy of a store this is; empty if it is none, or cannot be read."""
        from vault.configuration import read_configuration

        try:
            return read_configuration(self.home).instance
        except (MunimentError, OSError):
            return ""

    @contextmanager
    def minding(self, store: Store, vaults: Callable[[], list[Vault]]) -> Iterator[None]:
        """Hold the logs of *vaults* to what was seen of them, and at the end keep what is there."""
        for vault in vaults():
            for log in (vault.changes, vault.access):
                self.check_seen(log)
        try:
            yield
        finally:
            for vault in vaults():
                for log in (vault.changes, vault.access):
                    self._keep_seen(log)
            self._keep_vaults(store)

    def check_vaults(self, store: Store) -> None:
        """Raise RolledBack if a vault is gone that this account has seen in *store*."""
        try:
            self.kept.check_vaults(store.configuration.store_id, store.vault_ids())
        except OSError as error:
            self.note_unkept(error)

    def _keep_vaults(self, store: Store) -> None:
        try:
            self.kept.keep_vaults(store.configuration.store_id, store.vault_ids())
        except OSError as error:
            self.note_unkept(error)

    def check_seen(self, log: Log) -> None:
        from cli.kept import check

        try:
            # Before the snapshot: another command may commit and keep in between.
            seen = self.kept.newest(log.identity.origin)
        except OSError as error:
            self.note_unkept(error)
            return
        with log.snapshot() as snapshot:
            check(seen, snapshot.tree)

    def _keep_seen(self, log: Log) -> None:
        origin = log.identity.origin
        try:
            seen, head = self.kept.own(origin), log.head()
            if seen is None or seen.size != head.size:
                self.kept.keep(origin, head.size, log.checkpoint())
        except OSError as error:
            self.note_unkept(error)
        except MunimentError:
            # The command has said what is wrong, or the next one will.
            pass

    def accept_vaults(self, store: Store) -> None:
        """From now on hold *store* to the vaults that it has now."""
        try:
            self.kept.forget_vaults(store.configuration.store_id, but=store.vault_ids())
        except OSError as error:
            self.note_unkept(error)
        self._keep_vaults(store)

    def accept(self, vault: Vault) -> None:
        """From now on hold the vault to what it is now, whatever was seen of it."""
        for log in (vault.changes, vault.access):
            try:
                self.kept.forget(log.identity.origin)
            except OSError as error:
                self.note_unkept(error)
            self._keep_seen(log)

    @cached_property
    def trust(self) -> Trust:
        """Whose word on time is believed: what --policy and --tsa-roots say, wherever they stand.

        Raise TrustPolicyInvalid, RootsInvalid or EvidenceExtraMissing.
        """
        from eventstore.trust import trust_in

        return trust_in(self.settings.path("policy"), self.settings.path("tsa_roots"))

    def note_unkept(self, error: OSError) -> None:
        place = self.kept.place
        self.terminal.note(f"muniment: what was seen is not kept in {place}: {error.strerror}")

    def ask(
        self, command: Command[A], named: str | None = None, *, as_of: str | None = None
    ) -> tuple[str, A]:
        """Ask one thing, of now or of the point *as_of*; give the vault's name and the answer."""
        if as_of is None:
            with self.door(named) as door:
                return door.name, door.handle(self.caller, command)
        from cli.as_of import Then

        self.refuse_server("--as-of")
        with self.vault(named) as vault:
            return vault.name, Then(self, vault, as_of).ask(command)

    # --- the passphrase ---------------------------------------------------------------------------

    def passphrase(self) -> Callable[[], bytes] | None:
        """How the store may ask for its passphrase; None if it cannot be known."""
        path = self.settings.path("passphrase_file")
        if path is not None:
            return lambda: read_passphrase(path)
        return self._prompted if self._can_prompt else None

    def new_passphrase(self, file: str | None, flag: str = "--passphrase-file") -> bytes:
        """A passphrase that is being chosen: typed twice, or from *file*, which *flag* names."""
        if file is not None:
            return read_passphrase(Path(file))
        given = self.terminal.ask_hidden("New passphrase: ", again=True)
        if not given:
            raise Usage(
                f"a passphrase is needed: type one on a terminal, or name a file with {flag}"
            )
        return given.encode()

    @property
    def _can_prompt(self) -> bool:
        import sys

        from cli.terminal import is_terminal

        return self.terminal.answers or is_terminal(sys.stderr)

    def _prompted(self) -> bytes:
        from eventstore.errors import StoreLocked

        given = self.terminal.ask_hidden("Passphrase: ")
        if given is None:
            raise StoreLocked
        return given.encode()


def _remote_vault() -> Callable[..., AbstractContextManager[Door]]:
    try:
        from cli.remote import remote_vault
    except ModuleNotFoundError as error:
        if error.name != "urllib3":
            raise
        from server.serving import ServerExtraMissing

        raise ServerExtraMissing("not installed: urllib3") from None
    return remote_vault


def read_passphrase(path: Path) -> bytes:
    """The first line of *path*, without its end."""
    try:
        read = path.read_bytes()
    except OSError as error:
        raise FileUnusable(f"{path}: {error.strerror}") from None
    first = read.split(b"\n", 1)[0].rstrip(b"\r")
    if not first:
        raise SettingInvalid(f"{path} holds no passphrase")
    return first


def os_user() -> str:
    """Who the operating system says it is; never what a variable says."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
