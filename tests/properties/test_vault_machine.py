"""Whatever is done to two vaults of a store, by whom and from which process, the model foretells it.

Each answer and each refusal is the model's, and so is each record that either log got for it.  A
longer run: MUNIMENT_EXAMPLES=2000 pytest -k vault_machine.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec import UNSET
from msgspec.structs import replace

from eventstore.events import SecretSet as SecretSetEvent
from eventstore.log import Log
from support.other_process import OtherProcess, Refused, StillClock, outcome
from support.providers import RESOURCE, FileProvider, providers
from support.vault_model import DAY, SECOND, Records, Trace, VaultModel, World
from support.vaults import ALICE, BOB, MALLORY, START, check_store, make_store
from vault import history
from vault.access import SECRET_PERMISSIONS
from vault.caller import Arrival, Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import Diff, PlanRestore, ReadHistory, Restore, RotateKeys
from vault.rule_commands import (
    DeletePolicy,
    ListPolicies,
    SetPolicy,
    ShowBoundary,
    ShowVault,
    UpdateBoundary,
    UpdateVault,
)
from vault.storage_commands import (
    DeleteSasDefinition,
    DeleteStorageAccount,
    GetDeletedSasDefinition,
    GetDeletedStorageAccount,
    GetSasDefinition,
    GetStorageAccount,
    ListDeletedSasDefinitions,
    ListDeletedStorageAccounts,
    ListSasDefinitions,
    ListStorageAccounts,
    PurgeDeletedStorageAccount,
    RecoverDeletedSasDefinition,
    RecoverDeletedStorageAccount,
    RegenerateKey,
    SetSasDefinition,
    SetStorageAccount,
    SyncStorageKeys,
    UpdateSasDefinition,
    UpdateStorageAccount,
)
from vault.store import Store

EXAMPLES = os.environ.get("MUNIMENT_EXAMPLES")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(86_400 if EXAMPLES else 300)]

RETENTION = {"first-vault": 7, "other-vault": 90}
PEOPLE = {person.principal: person for person in (ALICE, BOB, MALLORY)}

# Small worlds, so that things meet.
NAMES = ["db", "DB", "api-key", "Api-Key", "x"]
names = st.sampled_from([*NAMES, *NAMES, "no name", "shop-a"])
accounts = st.sampled_from(["shop", "shop", "Shop", "web"])
definitions = st.sampled_from(["a", "a", "A", "b"])
ABOUT_ACCOUNTS = [
    *(GetStorageAccount, SyncStorageKeys, DeleteStorageAccount, GetDeletedStorageAccount),
    *(RecoverDeletedStorageAccount, RecoverDeletedStorageAccount, PurgeDeletedStorageAccount),
]
ABOUT_DEFINITIONS = [
    *(GetSasDefinition, DeleteSasDefinition, GetDeletedSasDefinition),
    RecoverDeletedSasDefinition,
]
LISTS_OF_STORAGE = [
    *(ListStorageAccounts, ListDeletedStorageAccounts),
    *(ListSasDefinitions, ListDeletedSasDefinitions),
]
values = st.sampled_from(["", "s3cret", "zwölf", "x" * 300])
dates = st.none() | st.sampled_from([0, START // SECOND, 4_000_000_000])
types = st.none() | st.sampled_from(["", "text/plain"])
tags = st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "1"]))
starts = st.sampled_from(["", "api-key", "DB"])
limits = st.sampled_from([None, 0, 1, 2])
vaults = st.sampled_from(sorted(RETENTION))
AFAR = replace(ALICE, address="203.0.113.9", arrival=Arrival())
THROUGH = replace(BOB, application="portal", address="198.51.100.7", arrival=Arrival())
callers = st.sampled_from([*[ALICE] * 8, BOB, MALLORY, AFAR, THROUGH])
clients = st.sampled_from(["", "", "portal"])
permissions = st.lists(st.sampled_from([*SECRET_PERMISSIONS, "all"]), max_size=4) | st.just(["fly"])
which = st.integers(0, 5)
where = st.integers(0, 9)
points = st.integers(0, 99)
elsewhere = st.sampled_from([False, False, True])


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | strategy


sets = st.builds(
    SetSecret,
    name=names,
    value=values,
    content_type=types,
    tags=tags,
    enabled=st.sampled_from([True, True, False]),
    nbf=dates,
    exp=dates,
)


class VaultMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.home = Path(self.directory.name) / "store"
        self.clock = StillClock()
        self.other: OtherProcess | None = None
        self.kept: dict[str, list[str]] = {}
        self.world = World()

    @initialize()
    def begin(self) -> None:
        self.world.provider = FileProvider(self.home.parent / "provider.json")
        self.made = providers(self.world.provider)
        self.store = make_store(self.home, self.clock, providers=self.made)
        self.models = {}
        for name, days in RETENTION.items():
            self.store.create_vault(ALICE, name, retention_days=days)
            model = VaultModel(self.world, name, ALICE.principal, self.clock.now, days)
            self.models[name] = model
        self.compared = {(name, log): 0 for name in RETENTION for log in ("changes", "access")}
        items = tuple(SetSecret(name=name, value=f"first {name}") for name in NAMES)
        for vault in RETENTION:
            self.ask(vault, ALICE, ImportSecrets(items=items), there=False)
            policy = SetPolicy(object_id=BOB.principal, secrets=("get", "delete", "restore"))
            self.ask(vault, ALICE, policy, there=False)

    # -- asking ----------------------------------------------------------------------------------

    def ask(self, vault: str, caller: Caller, command: Command[Any], there: bool) -> Any:
        """The answer, which is the model's, as is every record that it left."""
        if there:
            self.other = self.other or OtherProcess(self.home)
            given = self.other.do(self.clock.now, vault, caller, command)
        else:
            given = outcome(self.store, vault, caller, command)
        note(f"answered: {given!r}")
        assert given == self.models[vault].handle(self.clock.now, caller, command, given)
        self.compare_records(vault)
        return given

    def compare_records(self, vault: str) -> None:
        for log, records in self.logs(vault):
            name = log.identity.kind_name
            known = self.compared[vault, name]
            with log.snapshot() as snapshot:
                written = [history.item(name, entry) for entry in snapshot.entries(known)]
            assert [
                Trace(
                    item.operation, item.principal, item.outcome, item.rule, item.name, item.at,
                    item.time,
                )
                for item in written
            ] == records.all[known:]  # fmt: skip
            self.compared[vault, name] = records.size

    def logs(self, vault: str) -> list[tuple[Log, Records]]:
        found, model = self.store.vault(vault), self.models[vault]
        return [(found.changes, model.changes), (found.access, model.access)]

    def name_of(self, vault: str, number: int, *, gone: bool = False) -> str:
        """Mostly one that is active, or deleted; else any, or none at all."""
        known = self.models[vault].secrets.values()
        fit = [secret.name for secret in known if (secret.deleted is not None) is gone]
        if gone and not fit and known and number < 8:
            name = self.name_of(vault, number)
            self.ask(vault, ALICE, DeleteSecret(name=name), there=False)
            return name
        if number < 8 and fit:
            return fit[number % len(fit)]
        return "no name" if number == 9 else NAMES[number % len(NAMES)]

    def version_of(self, vault: str, name: str, number: int) -> str:
        """One that the secret has, the empty one, one that nobody has, or none at all."""
        secret = self.models[vault].secrets.get(name.upper())
        ids = [] if secret is None else [one.id for one in secret.versions]
        first = ids[len(ids) // 2].upper() if ids else ""
        return ["", first, ids[-1] if ids else "", "", "0" * 32, "latest"][number]

    def expected_of(self, vault: str, name: str, right: bool | None) -> int | None:
        secret = self.models[vault].secrets.get(name.upper())
        at = -1 if secret is None else secret.at
        return None if right is None else at if right else at + 1

    # -- secrets ---------------------------------------------------------------------------------

    @rule(vault=vaults, caller=callers, command=sets, there=elsewhere)
    def set_secret(self, vault: str, caller: Caller, command: SetSecret, there: bool) -> None:
        self.ask(vault, caller, command, there)

    @rule(vault=vaults, name=names, value=values, right=st.booleans(), there=elsewhere)
    def set_as_expected(self, vault: str, name: str, value: str, right: bool, there: bool) -> None:
        expected = self.expected_of(vault, name, right)
        self.ask(vault, ALICE, SetSecret(name=name, value=value, expected=expected), there)

    @rule(vault=vaults, caller=callers)
    def set_too_much(self, vault: str, caller: Caller) -> None:
        self.ask(vault, caller, SetSecret(name="db", value="ü" * 12_801), there=False)

    @rule(
        vault=vaults, caller=callers, items=st.lists(sets, min_size=1, max_size=4), there=elsewhere
    )
    def import_secrets(
        self, vault: str, caller: Caller, items: list[SetSecret], there: bool
    ) -> None:
        self.ask(vault, caller, ImportSecrets(items=tuple(items)), there)

    @rule(vault=vaults, caller=callers, name=where, number=which, there=elsewhere)
    def get(self, vault: str, caller: Caller, name: int, number: int, there: bool) -> None:
        named = self.name_of(vault, name)
        version = self.version_of(vault, named, number)
        self.ask(vault, caller, GetSecret(name=named, version=version), there)

    @rule(
        vault=vaults,
        caller=callers,
        name=where,
        number=which,
        changed=st.fixed_dictionaries(
            {
                "content_type": maybe(types),
                "tags": maybe(tags),
                "enabled": maybe(st.booleans()),
                "nbf": maybe(dates),
                "exp": maybe(dates),
            }
        ),
        right=st.sampled_from([None, None, True, False]),
        there=elsewhere,
    )
    def update(
        self, vault: str, caller: Caller, name: int, number: int, changed: Any, right: Any,
        there: bool,
    ) -> None:  # fmt: skip
        named = self.name_of(vault, name)
        version, expected = (
            self.version_of(vault, named, number),
            self.expected_of(vault, named, right),
        )
        command = UpdateSecret(name=named, version=version, expected=expected, **changed)
        self.ask(vault, caller, command, there)

    @rule(vault=vaults, caller=callers, name=where, there=elsewhere)
    def delete(self, vault: str, caller: Caller, name: int, there: bool) -> None:
        named = self.name_of(vault, name)
        self.ask(vault, caller, DeleteSecret(name=named), there)

    @rule(vault=vaults, caller=callers, name=where, there=elsewhere)
    def recover(self, vault: str, caller: Caller, name: int, there: bool) -> None:
        named = self.name_of(vault, name, gone=True)
        self.ask(vault, caller, RecoverDeletedSecret(name=named), there)

    @rule(vault=vaults, caller=callers, name=where, backups=st.booleans(), there=elsewhere)
    def purge(self, vault: str, caller: Caller, name: int, backups: bool, there: bool) -> None:
        named = self.name_of(vault, name, gone=True)
        self.ask(vault, caller, PurgeDeletedSecret(name=named, backups=backups), there)

    @rule(vault=vaults, caller=callers, name=where, there=elsewhere)
    def backup(self, vault: str, caller: Caller, name: int, there: bool) -> None:
        named = self.name_of(vault, name)
        self.ask(vault, caller, BackupSecret(name=named), there)

    @rule(vault=vaults, caller=callers, number=where, room=st.booleans(), there=elsewhere)
    @precondition(lambda self: self.world.blobs)
    def restore(self, vault: str, caller: Caller, number: int, room: bool, there: bool) -> None:
        issued = self.world.blobs[number % len(self.world.blobs)]
        if room:
            self.ask(vault, ALICE, DeleteSecret(name=issued.name), there)
            self.ask(vault, ALICE, PurgeDeletedSecret(name=issued.name), there)
        self.ask(vault, caller, RestoreSecret(blob=issued.blob), there)

    @rule(vault=vaults, caller=callers, blob=st.binary(max_size=200), whole=st.booleans())
    def restore_what_is_no_backup(
        self, vault: str, caller: Caller, blob: bytes, whole: bool
    ) -> None:
        if self.world.blobs and not whole:
            blob = self.world.blobs[-1].blob[: len(blob) - 201]
        self.ask(vault, caller, RestoreSecret(blob=blob), there=False)

    @rule(vault=vaults, caller=callers, name=where, there=elsewhere)
    def get_deleted(self, vault: str, caller: Caller, name: int, there: bool) -> None:
        named = self.name_of(vault, name, gone=True)
        self.ask(vault, caller, GetDeletedSecret(name=named), there)

    @rule(
        vault=vaults,
        caller=callers,
        gone=st.booleans(),
        there=elsewhere,
        after=starts,
        limit=limits,
    )
    def list_page(
        self, vault: str, caller: Caller, gone: bool, there: bool, after: str, limit: int | None
    ) -> None:
        command = ListDeletedSecrets if gone else ListSecrets
        self.ask(vault, caller, command(after=after, limit=limit), there)

    @rule(
        vault=vaults, caller=callers, name=where, number=st.sampled_from([0, 2]), there=elsewhere,
        limit=limits,
    )  # fmt: skip
    def list_versions(
        self, vault: str, caller: Caller, name: int, number: int, there: bool, limit: int | None
    ) -> None:
        named = self.name_of(vault, name)
        after = self.version_of(vault, named, number)
        self.ask(vault, caller, ListSecretVersions(name=named, after=after, limit=limit), there)

    # -- storage ---------------------------------------------------------------------------------

    @rule(
        vault=vaults, caller=callers, there=elsewhere, name=accounts, tags=tags,
        active=st.sampled_from(["key1", "key1", "key2", "key3"]),
        days=st.sampled_from([None, 1, 30]), enabled=st.sampled_from([True, True, True, False]),
    )  # fmt: skip
    def set_account(
        self, vault: str, caller: Caller, there: bool, name: str, tags: Any, active: str,
        days: int | None, enabled: bool,
    ) -> None:  # fmt: skip
        command = SetStorageAccount(
            name=name, resource_id=RESOURCE, active_key=active, tags=tags, enabled=enabled,
            auto_regenerate=days is not None, period=None if days is None else days * DAY,
        )  # fmt: skip
        self.ask(vault, caller, command, there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, name=accounts, sas=definitions, tags=tags,
        period=st.sampled_from([60, 14_400]), enabled=st.sampled_from([True, True, False]),
    )  # fmt: skip
    def set_definition(
        self, vault: str, caller: Caller, there: bool, name: str, sas: str, tags: Any,
        period: int, enabled: bool,
    ) -> None:  # fmt: skip
        command = SetSasDefinition(
            account=name, name=sas, template="sv=2018-03-28&ss=b&srt=o&sp=r", sas_type="account",
            period=period, tags=tags, enabled=enabled,
        )  # fmt: skip
        self.ask(vault, caller, command, there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, kind=st.sampled_from(ABOUT_ACCOUNTS),
        name=accounts,
    )  # fmt: skip
    def about_account(self, vault: str, caller: Caller, there: bool, kind: Any, name: str) -> None:
        self.ask(vault, caller, kind(name=name), there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, name=accounts,
        key=st.sampled_from(["key1", "key2", "key3"]),
    )  # fmt: skip
    def regenerate(self, vault: str, caller: Caller, there: bool, name: str, key: str) -> None:
        self.ask(vault, caller, RegenerateKey(name=name, key_name=key), there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, name=accounts,
        enabled=maybe(st.booleans()), tags=maybe(tags), active=maybe(st.sampled_from(["key1", "key2"])),
    )  # fmt: skip
    def update_account(
        self, vault: str, caller: Caller, there: bool, name: str, enabled: Any, tags: Any,
        active: Any,
    ) -> None:  # fmt: skip
        command = UpdateStorageAccount(name=name, enabled=enabled, tags=tags, active_key=active)
        self.ask(vault, caller, command, there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, kind=st.sampled_from(ABOUT_DEFINITIONS),
        name=accounts, sas=definitions,
    )  # fmt: skip
    def about_definition(
        self, vault: str, caller: Caller, there: bool, kind: Any, name: str, sas: str
    ) -> None:
        self.ask(vault, caller, kind(account=name, name=sas), there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, name=accounts, sas=definitions,
        enabled=maybe(st.booleans()), period=maybe(st.sampled_from([60, 300])),
    )  # fmt: skip
    def update_definition(
        self, vault: str, caller: Caller, there: bool, name: str, sas: str, enabled: Any,
        period: Any,
    ) -> None:  # fmt: skip
        command = UpdateSasDefinition(account=name, name=sas, enabled=enabled, period=period)
        self.ask(vault, caller, command, there)

    @rule(vault=vaults, caller=callers, there=elsewhere, name=accounts, sas=definitions)
    def read_token(self, vault: str, caller: Caller, there: bool, name: str, sas: str) -> None:
        self.ask(vault, caller, GetSecret(name=f"{name}-{sas}"), there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, kind=st.sampled_from(LISTS_OF_STORAGE),
        name=accounts, after=st.sampled_from(["", "A", "shop"]), limit=limits,
    )  # fmt: skip
    def list_storage(
        self, vault: str, caller: Caller, there: bool, kind: Any, name: str, after: str,
        limit: int | None,
    ) -> None:  # fmt: skip
        of = {"account": name} if "account" in kind.__struct_fields__ else {}
        self.ask(vault, caller, kind(after=after, limit=limit, **of), there)

    @rule(vault=vaults)
    def rotate_due(self, vault: str) -> None:
        told = self.store.vault(vault).rotate_due()
        model = self.models[vault]
        model.now = self.clock.now
        model.storage.rotated(self.clock.now // SECOND, told)
        self.compare_records(vault)

    # -- rules, history and keys -----------------------------------------------------------------

    @rule(
        vault=vaults, caller=callers, who=st.sampled_from(sorted(PEOPLE)), there=elsewhere,
        allowed=maybe(permissions.map(tuple)), client=clients,
    )  # fmt: skip
    def set_policy(
        self, vault: str, caller: Caller, who: str, there: bool, allowed: Any, client: str
    ) -> None:
        command = SetPolicy(object_id=who, secrets=allowed, application_id=client)
        self.ask(vault, caller, command, there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere,
        default=maybe(st.sampled_from(["Allow", "Deny"])),
        rules=maybe(st.lists(st.sampled_from(["203.0.113.9/32", "198.51.100.7/32", "10.0.0.0/8"]),
                             max_size=2, unique=True).map(tuple)),
    )  # fmt: skip
    def bound(self, vault: str, caller: Caller, there: bool, default: Any, rules: Any) -> None:
        self.ask(vault, caller, UpdateBoundary(default_action=default, ip_rules=rules), there)

    @rule(vault=vaults, who=st.sampled_from(sorted(PEOPLE)))
    def grant_everything(self, vault: str, who: str) -> None:
        administrator = PEOPLE[self.models[vault].administrators[0]]
        self.ask(vault, administrator, SetPolicy(object_id=who, secrets=("all",)), there=False)

    @rule(
        vault=vaults, caller=callers, who=st.sampled_from(sorted(PEOPLE)), there=elsewhere,
        client=clients,
    )  # fmt: skip
    def delete_policy(self, vault: str, caller: Caller, who: str, there: bool, client: str) -> None:
        self.ask(vault, caller, DeletePolicy(object_id=who, application_id=client), there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere,
        # Protection stays, so it comes seldom.
        protection=st.sampled_from([UNSET] * 5 + [False, True]),
        administrators=maybe(st.sampled_from([(ALICE.principal,), (ALICE.principal, BOB.principal),
                                              (BOB.principal,), ()])),
    )  # fmt: skip
    def update_vault(
        self, vault: str, caller: Caller, there: bool, protection: Any, administrators: Any
    ) -> None:
        command = UpdateVault(purge_protection=protection, administrators=administrators)
        self.ask(vault, caller, command, there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere,
        command=st.sampled_from([ShowVault(), ShowBoundary(), ListPolicies()]),
    )  # fmt: skip
    def look_at_vault(self, vault: str, caller: Caller, there: bool, command: Any) -> None:
        self.ask(vault, caller, command, there)

    @rule(
        vault=vaults,
        caller=callers,
        there=elsewhere,
        command=st.builds(
            ReadHistory,
            name=st.sampled_from(["", "db"]),
            principal=st.sampled_from(["", BOB.principal, "muniment"]),
            outcome=st.sampled_from(["", "ok", "access.denied"]),
            operation=st.sampled_from(["", "secret.read", "clock.stepped-back"]),
        ),
    )
    def read_history(self, vault: str, caller: Caller, there: bool, command: Any) -> None:
        self.ask(vault, caller, command, there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, name=st.sampled_from(NAMES), number=points,
        kind=st.sampled_from([GetSecret, GetSecret, ListSecretVersions]),
    )  # fmt: skip
    def look_back_at_one(
        self, vault: str, caller: Caller, there: bool, name: str, number: int, kind: Any
    ) -> None:
        self.ask(vault, caller, kind(name=name, as_of=self.size_of(vault, number)), there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, number=points,
        kind=st.sampled_from([ListSecrets, ListDeletedSecrets, ListPolicies]),
    )  # fmt: skip
    def look_back_at_all(
        self, vault: str, caller: Caller, there: bool, number: int, kind: Any
    ) -> None:
        self.ask(vault, caller, kind(as_of=self.size_of(vault, number)), there)

    @rule(vault=vaults, caller=callers, there=elsewhere, first=points, last=points)
    def compare_two_points(
        self, vault: str, caller: Caller, there: bool, first: int, last: int
    ) -> None:
        before, after = (self.size_of(vault, number) for number in (first, last))
        self.ask(vault, caller, Diff(before=before, after=after), there)

    @rule(
        vault=vaults, caller=callers, there=elsewhere, number=points, prune=st.booleans(),
        late=st.sampled_from([False] * 5 + [True]),
    )  # fmt: skip
    def go_back(
        self, vault: str, caller: Caller, there: bool, number: int, prune: bool, late: bool
    ) -> None:
        plan = self.plan_to(vault, number, prune)
        planned = self.ask(vault, caller, plan, there)
        if isinstance(planned, Refused):
            return
        self.ask(vault, caller, Restore(plan=plan, head=planned.head - late), there)
        with self.store.vault(vault).changes.snapshot() as snapshot:
            back = [entry.event for entry in snapshot.entries(planned.head)]
        self.models[vault].name_versions(
            [one.version for one in back if isinstance(one, SecretSetEvent)]
        )

    @rule(vault=vaults, caller=callers, there=elsewhere, number=points, prune=st.booleans())
    def look_at_the_way_back(
        self, vault: str, caller: Caller, there: bool, number: int, prune: bool
    ) -> None:
        self.ask(vault, caller, self.plan_to(vault, number, prune), there)

    def plan_to(self, vault: str, number: int, prune: bool) -> PlanRestore:
        model, to = self.models[vault], self.size_of(vault, number)
        named = {"db", *model.secrets, *model.past[to].secrets}
        return PlanRestore(to=to, names=tuple(sorted(named)), prune=prune)

    def size_of(self, vault: str, number: int) -> int:
        """A size that `changes` had when a request had ended; 0 is the newest."""
        sizes = sorted(self.models[vault].past)
        return sizes[-1 - number % len(sizes)]

    @rule(vault=vaults, caller=callers, there=elsewhere, signing=st.booleans(), audit=st.booleans())
    def rotate(self, vault: str, caller: Caller, there: bool, signing: bool, audit: bool) -> None:
        self.ask(vault, caller, RotateKeys(signing=signing, audit=audit), there)

    @rule()
    def rotate_root(self) -> None:
        self.store.rotate_root_key(ALICE)
        for vault, model in self.models.items():
            model.root_rotated(self.clock.now, ALICE.principal)
            self.compare_records(vault)

    @rule(vault=vaults)
    def rebuild(self, vault: str) -> None:
        rebuilt = self.store.vault(vault).rebuild()
        assert rebuilt.before == rebuilt.after
        model = self.models[vault]
        assert rebuilt.events == model.changes.size + model.access.size

    # -- time, and what else befalls a store -----------------------------------------------------

    @rule(days=st.sampled_from([0, 1, 6, 7, 8, 83, 90]), seconds=st.sampled_from([0, 1, 0.9]))
    def time_goes_on(self, days: int, seconds: float) -> None:
        self.clock.advance(days=days, seconds=seconds)

    @rule(seconds=st.sampled_from([0.00001, 0.04, 0.06, 1, 3600, 3 * DAY]))
    def clock_steps_back(self, seconds: float) -> None:
        self.clock.advance(seconds=-seconds)

    @rule()
    def reopen(self) -> None:
        for vault in RETENTION:
            for log, _ in self.logs(vault):
                key = os.fspath(log.path.relative_to(self.home))
                self.kept.setdefault(key, []).append(log.checkpoint())
        self.store.close()
        self.store = Store.open(self.home, clock=self.clock, providers=self.made)

    @rule()
    @precondition(lambda self: self.other is not None)
    def other_process_ends(self) -> None:
        assert self.other is not None
        self.other.end()
        self.other = None

    @rule(vault=vaults, after=st.integers(0, 5), how=st.sampled_from(["reopen", "go on"]))
    def other_process_is_killed(self, vault: str, after: int, how: str) -> None:
        """Of its writes, all that it answered stand, and at most the one it was at besides."""
        self.grant_everything(vault, ALICE.principal)
        model, changes = self.models[vault], self.store.vault(vault).changes
        free = [name for name in ("crash", "db") if not self.is_deleted(vault, name)]
        stream: list[Command[Any]] = [
            SetSecret(name=free[number % len(free)], value=f"crash {number}")
            for number in range(99)
        ]
        other, self.other = self.other or OtherProcess(self.home), None
        acknowledged = 0
        killed = other.killed_amid(self.clock.now, vault, ALICE, stream, after)
        for given, command in zip(killed, stream, strict=False):
            assert given == model.handle(self.clock.now, ALICE, command, given)
            acknowledged += 1
        assert after <= acknowledged
        # Asked of a writer: LMDB shows readers the last commit of a killed process only once somebody
        # has had its lock.
        size = changes.transact(lambda append: append.size)
        if size > model.changes.size:
            unheard = changes.read(size - 1).event
            model.handle(self.clock.now, ALICE, stream[acknowledged], unheard)
        if how == "reopen":
            self.reopen()
        else:
            self.ask(vault, ALICE, SetSecret(name=free[0], value="after the crash"), there=False)
        self.compare_records(vault)

    def is_deleted(self, vault: str, name: str) -> bool:
        secret = self.models[vault].secrets.get(name.upper())
        return secret is not None and secret.deleted is not None

    # -- always ----------------------------------------------------------------------------------

    @invariant()
    def both_logs_stand_where_they_should(self) -> None:
        for vault in getattr(self, "models", {}):
            for log, records in self.logs(vault):
                head = log.head()
                assert (head.size, head.time) == (records.size, records.last)
                published = (log.path / "checkpoint").read_text().splitlines()
                assert published[1] == str(records.size)

    def teardown(self) -> None:
        try:
            if hasattr(self, "models"):
                self.every_value_is_there()
                self.store.close()
                if self.other is not None:
                    self.other.end()
                check_store(self.home, self.clock, self.kept)
        finally:
            self.directory.cleanup()

    def every_value_is_there(self) -> None:
        for vault, model in self.models.items():
            self.grant_everything(vault, ALICE.principal)
            for secret, version in list(model.every_version()):
                command = GetSecret(name=secret.name, version=version.id)
                self.ask(vault, ALICE, command, there=False)


TestVaults = VaultMachine.TestCase
TestVaults.settings = settings(
    max_examples=int(EXAMPLES or 40),
    stateful_step_count=50,
    derandomize=EXAMPLES is None,
    # To shrink takes minutes, and CI has none to spare: the longer run does.
    phases=[phase for phase in Phase if EXAMPLES or phase != Phase.shrink],
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
