"""What a vault is to its users: a dict of secrets, a dict of policies, and two lists of records.

The model is told what no model can know (random ids) and says everything else: the answer or the
refusal, and each record that either log gets.  Its times follow from a clock that stands still.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from dataclasses import replace as replace_version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from support.other_process import Refused
from support.providers import FileProvider
from support.storage_model import NEEDS as STORAGE_NEEDS
from support.storage_model import StorageModel
from vault import answers, history_commands, rule_commands
from vault import commands as c
from vault.access import SECRET_PERMISSIONS, STORAGE_PERMISSIONS
from vault.caller import Caller

NEEDS = {
    c.SetSecret: "set",
    c.ImportSecrets: "set",
    c.UpdateSecret: "set",
    c.GetSecret: "get",
    c.GetDeletedSecret: "get",
    c.ListSecrets: "list",
    c.ListSecretVersions: "list",
    c.ListDeletedSecrets: "list",
    c.DeleteSecret: "delete",
    c.RecoverDeletedSecret: "recover",
    c.PurgeDeletedSecret: "purge",
    c.BackupSecret: "backup",
    c.RestoreSecret: "restore",
}
DAY = 86_400
SECOND = 1_000_000
TOLERATED = 50_000


class Refusal(Exception):
    """The model's no, the secret in the way of a request that names none, and the rule that says it."""

    def __init__(self, code: str, about: str = "", rule: str = "") -> None:
        super().__init__(code)
        self.about = about
        self.rule = rule


class Trace(NamedTuple):
    """What a record tells an auditor."""

    operation: str
    principal: str
    outcome: str
    rule: str
    name: str
    at: int | None
    time: int


class Records:
    """One log: positions in order, times that only grow, a fall of the clock told once."""

    def __init__(self) -> None:
        self.all: list[Trace] = []
        self._fallen = False

    @property
    def size(self) -> int:
        return len(self.all)

    @property
    def last(self) -> int:
        return self.all[-1].time if self.all else 0

    def append(
        self, now: int, operation: str, principal: str, rule: str, name: str = "",
        *, outcome: str = "ok", at: int | None = None,
    ) -> int:  # fmt: skip
        """Keep a record and give its position."""
        if self.last - now > TOLERATED and not self._fallen:
            self._fallen = True
            self._put(now, "clock.stepped-back", "muniment", "ok", "log", "", None)
        self._put(now, operation, principal, outcome, rule, name, at)
        self._fallen = self._fallen and self.last > now
        return self.size - 1

    def _put(
        self, now: int, operation: str, who: str, outcome: str, rule: str, name: str, at: int | None
    ) -> None:
        time = max(now, self.last + 1)
        self.all.append(Trace(operation, who, outcome, rule, name, at, time))

    def seconds(self, position: int) -> int:
        return self.all[position].time // SECOND


@dataclass
class Version:
    id: str
    value: str
    content_type: str | None
    tags: dict[str, str] | None
    enabled: bool
    nbf: int | None
    exp: int | None
    created: int
    updated: int


@dataclass
class Secret:
    """One lifetime of a name.  The last version is the current one."""

    name: str
    at: int
    versions: list[Version] = field(default_factory=list)
    deleted: int | None = None
    due: int = 0
    born: int = -1

    def __post_init__(self) -> None:
        # Each lifetime has a key of its own, whatever its name was before.
        self.born = self.at if self.born < 0 else self.born

    def version(self, id: str) -> Version | None:
        return next((one for one in self.versions if one.id == id), None)


class IssuedBlob(NamedTuple):
    """A backup, and what it holds."""

    blob: bytes
    key: int
    name: str
    versions: list[Version]


class World:
    """What both vaults of a store share: its blobs, and which of their keys are gone."""

    def __init__(self) -> None:
        self.blobs: list[IssuedBlob] = []
        self.erased: set[int] = set()
        self.ids: set[str] = set()
        self.provider: FileProvider | None = None


class Stood(NamedTuple):
    """What a vault was when `changes` had some size."""

    secrets: dict[str, Secret]
    policies: dict[tuple[str, str], answers.Policy]
    protected: bool


class VaultModel:
    def __init__(self, world: World, name: str, owner: str, now: int, days: int) -> None:
        self.world, self.name, self.days, self.now = world, name, days, now
        self.protected = False
        self.administrators: tuple[str, ...] = (owner,)
        self.secrets: dict[str, Secret] = {}
        self.policies: dict[tuple[str, str], answers.Policy] = {}
        self.boundary = answers.Boundary(
            default_action="Allow", bypass="AzureServices", ip_rules=(), subnet_rules=(),
            public_network_access=True, allow_private_ranges=False, networks=(),
            trusted_services=(), position=0,
        )  # fmt: skip
        self.backups: defaultdict[str, list[int]] = defaultdict(list)
        self.foreign: defaultdict[str, set[int]] = defaultdict(set)
        self.changes, self.access = Records(), Records()
        self.past: dict[int, Stood] = {}
        self.purged: dict[int, int] = {}
        self.unnamed: list[Version] = []
        self.storage = StorageModel(self, world.provider or FileProvider(Path("none")), Refusal)
        first = self.changes.append(now, "vault.created", owner, "store owner", name)
        self.created = self.changes.seconds(first)
        at = self.changes.append(now, "policy.set", owner, "store owner", owner)
        self.policies[owner, ""] = answers.Policy(
            object_id=owner, secrets=SECRET_PERMISSIONS, storage=STORAGE_PERMISSIONS, position=at
        )

    # -- asking ----------------------------------------------------------------------------------

    def handle(self, now: int, caller: Caller, command: c.Command[Any], given: Any) -> Any:
        """What must be answered.  Of *given*, the real answer, only its random ids are used."""
        self.now = now
        self._retire()
        seen = self.changes.size
        try:
            self._rule = self._authorize(caller, command)
            self._caller = caller.principal
            if type(command) in STORAGE_NEEDS:
                return self.storage.handle(command, given)
            if getattr(command, "as_of", None) is not None:
                return self._look_back(command, given)
            return self._answers[type(command)](self, command, given)
        except Refusal as refusal:
            code = str(refusal)
            name = getattr(command, "name", "")[:127] or refusal.about
            self.access.append(
                now, command.records, caller.principal, refusal.rule, name, outcome=code, at=seen
            )
            return Refused(code)
        finally:
            if self.changes.size not in self.past:
                self.past[self.changes.size] = deepcopy(self._stands)

    @property
    def _stands(self) -> Stood:
        return Stood(self.secrets, self.policies, self.protected)

    def _look_back(self, command: Any, given: Any) -> Any:
        """What is answered as of a size at which a request had ended."""
        now = self._stands
        self.secrets, self.policies, self.protected = self.past[command.as_of]
        try:
            return self._answers[type(command)](self, command, given)
        finally:
            self.secrets, self.policies, self.protected = now

    def _authorize(self, caller: Caller, command: c.Command[Any]) -> str:
        need = NEEDS.get(type(command))
        storage = STORAGE_NEEDS.get(type(command), set())
        if need is None and not storage:
            if caller.principal not in self.administrators:
                raise Refusal("access.not-administrator")
            return "administrator"
        by = self._pass_boundary(caller)
        for client in dict.fromkeys(("", caller.application)):
            policy = self.policies.get((caller.principal, client))
            allowed = policy is not None and (
                need in policy.secrets or not storage.isdisjoint(policy.storage)
            )
            if policy is not None and allowed:
                return f"policy #{policy.position}{by}"
        raise Refusal("access.denied")

    def _pass_boundary(self, caller: Caller) -> str:
        """Of a caller over a network, what lets him in: here rules are single addresses."""
        if caller.arrival is None or self.boundary.default_action == "Allow":
            return ""
        place = f"(boundary #{self.boundary.position})"
        if f"{caller.address}/32" in self.boundary.ip_rules:
            return f", address {caller.address}/32 {place}"
        raise Refusal("boundary.outside", rule=f"default action Deny {place}")

    def _retire(self) -> None:
        gone: list[tuple[Any, Any]] = [(one, None) for one in self.secrets.values()]
        gone += self.storage.due()
        due = [pair for pair in gone if pair[0].deleted and pair[0].due <= self.now // SECOND]
        erased = 0
        for one, account in sorted(due, key=lambda pair: (pair[0].due, pair[0].at)):
            erased += self._retired(one, account)
        self.receipts(erased)

    def _retired(self, one: Any, of: Any) -> int:
        """Take what is due, and say how many keys that destroys."""
        operation, name = "secret.purged", one.name
        if isinstance(one, Secret):
            del self.secrets[name.upper()]
            # A clock that is found to have fallen is told of before the purge.
            self.purged[one.born] = self.changes.append(
                self.now, operation, "muniment", "retention", name
            )
            return 1
        elif of is None:
            operation = "storage-account.purged"
            del self.storage.accounts[name.upper()]
        elif not any(of is known for known in self.storage.accounts.values()):
            return 0  # it went with its account
        else:
            operation, name = "sas-definition.purged", of.name
            del of.definitions[one.name.upper()]
        self.changes.append(self.now, operation, "muniment", "retention", name)
        return int(of is None)

    def receipts(self, count: int) -> None:
        for _ in range(count):
            self.changes.append(self.now, "keys.erased", "muniment", "erasure")

    def change(self, operation: str, name: str = "") -> int:
        return self.changes.append(self.now, operation, self._caller, self._rule, name)

    def read(self, operation: str, name: str = "") -> None:
        at = self.changes.size
        self.access.append(self.now, operation, self._caller, self._rule, name, at=at)

    # -- what is so ------------------------------------------------------------------------------

    def active(self, name: str) -> Secret:
        secret = self._find(name)
        if secret is None or secret.deleted is not None:
            raise Refusal("secret.not-found")
        return secret

    def _changeable(self, name: str) -> Secret:
        if self._find(name) is None and self.storage.managed(name) is not None:
            raise Refusal("secret.managed")
        return self.active(name)

    def _refuse_held(self, name: str) -> None:
        if self.storage.held(name):
            raise Refusal("secret.managed", name)

    def deleted(self, name: str) -> Secret:
        secret = self._find(name)
        if secret is None or secret.deleted is None:
            raise Refusal("secret.deleted-not-found")
        return secret

    def _find(self, name: str) -> Secret | None:
        if not name or not name.replace("-", "").isalnum():
            raise Refusal("name.invalid")
        return self.secrets.get(name.upper())

    def _version(self, secret: Secret, asked: str) -> Version:
        if asked and len(asked) != 32:
            raise Refusal("version.invalid")
        found = secret.version(asked.lower()) if asked else secret.versions[-1]
        if found is None:
            raise Refusal("secret.not-found")
        return found

    def _expect(self, secret: Secret | None, expected: int | None) -> None:
        if expected is not None and expected != (-1 if secret is None else secret.at):
            raise Refusal("log.conflict")

    def _bundle(
        self, secret: Secret, version: Version | None = None, *, value: bool = False
    ) -> answers.SecretBundle:
        one = version or secret.versions[-1]
        closed = secret.born in self.purged
        level = ("" if self.days == 90 else "Customized") + "Recoverable"
        gone = None
        if secret.deleted is not None:
            gone = answers.Deletion(deleted_date=secret.deleted, scheduled_purge_date=secret.due)
        return answers.SecretBundle(
            name=secret.name,
            version=one.id,
            attributes=answers.Attributes(
                enabled=one.enabled,
                nbf=one.nbf,
                exp=one.exp,
                created=one.created,
                updated=one.updated,
                recovery_level=level if self.protected else level + "+Purgeable",
                recoverable_days=self.days,
            ),
            content_type=None if closed else one.content_type,
            tags=None if closed else one.tags,
            value=one.value if value else None,
            deletion=gone,
            erased=closed,
            erased_by=self.purged.get(secret.born),
        )

    def _fresh(self, id: str) -> str:
        """A version id is new, whoever else has one."""
        assert id not in self.world.ids
        assert len(bytes.fromhex(id)) == 16
        self.world.ids.add(id)
        return id

    # -- changes of secrets ----------------------------------------------------------------------

    def _set(self, command: c.SetSecret, given: Any) -> Any:
        self._may_set(command)
        return self._bundle(self._add(command, given.version), value=True)

    def _may_set(self, command: c.SetSecret) -> None:
        known = self._find(command.name)
        if known is None:
            self._refuse_held(command.name)
        if len(command.value.encode()) > 25_600:
            raise Refusal("value.too-large")
        if known is not None and known.deleted is not None:
            raise Refusal("secret.is-deleted", known.name)
        self._expect(known, command.expected)

    def _add(self, command: c.SetSecret, id: str) -> Secret:
        known = self.secrets.get(command.name.upper())
        at = self.change("secret.set", command.name if known is None else known.name)
        secret = self.secrets.setdefault(command.name.upper(), Secret(command.name, at))
        secret.at, time = at, self.changes.seconds(at)
        secret.versions.append(
            Version(
                self._fresh(id), command.value, command.content_type, command.tags or None,
                command.enabled, command.nbf, command.exp, time, time,
            )
        )  # fmt: skip
        return secret

    def _import(self, command: c.ImportSecrets, given: Any) -> Any:
        for item in command.items:
            self._may_set(item)
        ids = [] if isinstance(given, Refused) else [id for _, id in given.items]
        set_now = [self._add(*pair) for pair in zip(command.items, ids, strict=True)]
        pairs = zip(set_now, ids, strict=True)
        return answers.Imported(items=tuple((secret.name, id) for secret, id in pairs))

    def _update(self, command: c.UpdateSecret, given: Any) -> Any:
        secret = self._changeable(command.name)
        version = self._version(secret, command.version)
        self._expect(secret, command.expected)
        secret.at = self.change("secret.updated", secret.name)
        for name in ("content_type", "tags", "enabled", "nbf", "exp"):
            if getattr(command, name) is not UNSET:
                setattr(version, name, getattr(command, name))
        version.tags = version.tags or None
        version.updated = self.changes.seconds(secret.at)
        return self._bundle(secret, version)

    def _delete(self, command: c.DeleteSecret, given: Any) -> Any:
        secret = self._changeable(command.name)
        self._expect(secret, command.expected)
        secret.at = self.change("secret.deleted", secret.name)
        secret.deleted = self.changes.seconds(secret.at)
        secret.due = secret.deleted + self.days * DAY
        return self._bundle(secret)

    def _recover(self, command: c.RecoverDeletedSecret, given: Any) -> Any:
        secret = self.deleted(command.name)
        secret.at, secret.deleted = self.change("secret.recovered", secret.name), None
        return self._bundle(secret)

    def _purge(self, command: c.PurgeDeletedSecret, given: Any) -> Any:
        secret = self.deleted(command.name)
        if self.protected:
            raise Refusal("secret.purge-protected")
        self.purged[secret.born] = at = self.change("secret.purged", secret.name)
        self.receipts(1)
        del self.secrets[secret.name.upper()]
        issued = self.backups[secret.name.upper()]
        if command.backups:
            self.world.erased |= set(issued)
            issued.clear()
        return answers.Purged(
            name=secret.name,
            position=at,
            receipt=self.changes.size - 1,
            provider="file",
            assurance=given.assurance,
            open_backups=tuple(sorted(self.foreign[secret.name.upper()].union(issued))),
        )

    def _backup(self, command: c.BackupSecret, given: Any) -> Any:
        secret = self._changeable(command.name)
        secret.at = self.change("secret.backed-up", secret.name)
        # The number of the blob's key stands in its public front.
        key = int.from_bytes(given.blob[40:48], "big")
        self.backups[secret.name.upper()].append(key)
        held = deepcopy(secret.versions)
        self.world.blobs.append(IssuedBlob(given.blob, key, secret.name, held))
        return answers.Backup(name=secret.name, versions=len(held), blob=given.blob)

    def _restore(self, command: c.RestoreSecret, given: Any) -> Any:
        issued = next((one for one in self.world.blobs if one.blob == command.blob), None)
        if issued is None:
            # The public front of a torn blob still tells that its key is gone.
            fronts = [one.blob[:48] for one in self.world.blobs if one.key in self.world.erased]
            gone = command.blob[:48] in fronts
            raise Refusal("backup.erased" if gone else "backup.invalid")
        if issued.key in self.world.erased:
            raise Refusal("backup.erased")
        held = self._find(issued.name)
        if held is not None:
            code = "secret.exists" if held.deleted is None else "secret.is-deleted"
            raise Refusal(code, held.name)
        self._refuse_held(issued.name)
        if issued.key not in self.backups[issued.name.upper()]:
            self.foreign[issued.name.upper()].add(issued.key)
        at = self.change("secret.restored", issued.name)
        for _ in issued.versions:
            at = self.change("secret.version-restored", issued.name)
        secret = Secret(issued.name, at, deepcopy(issued.versions))
        self.secrets[secret.name.upper()] = secret
        return self._bundle(secret)

    # -- reads of secrets ------------------------------------------------------------------------

    def _get(self, command: c.GetSecret, given: Any) -> Any:
        if command.version and len(command.version) != 32:
            raise Refusal("version.invalid")
        managed = self.storage.managed(command.name)
        if managed is not None and not command.version:
            return self.storage.token(*managed, given)
        secret = self.active(command.name)
        version = self._version(secret, command.version)
        if not version.enabled:
            raise Refusal("secret.disabled")
        if secret.born in self.purged:
            raise Refusal("secret.erased")
        self.read("secret.read", secret.name)
        return self._bundle(secret, version, value=True)

    def _get_deleted(self, command: c.GetDeletedSecret, given: Any) -> Any:
        secret = self.deleted(command.name)
        if not secret.versions[-1].enabled:
            raise Refusal("secret.disabled")
        self.read("deleted-secret.read", secret.name)
        return self._bundle(secret)

    def _list(self, command: c.ListSecrets, given: Any) -> Any:
        self.read("secrets.listed")
        whole = self._listed(command, lambda secret: secret.deleted is None, limit=None)
        whole += [
            self.storage.secret(*managed)
            for managed in self.storage.all_managed()
            if f"{managed[0].name}-{managed[1].name}".upper() > command.after.upper()
        ]
        if command.as_of is not None:
            # Of tokens the model knows no past; tests/unit/test_storage_history.py does.
            whole = [one for one in whole if not one.managed]
            whole += [one for one in given if one.managed]
        return sorted(whole, key=lambda one: one.name.upper())[: command.limit]

    def _list_deleted(self, command: c.ListDeletedSecrets, given: Any) -> Any:
        self.read("deleted-secrets.listed")
        return self._listed(command, lambda secret: secret.deleted is not None, command.limit)

    def _listed(
        self,
        command: c.ListSecrets | c.ListDeletedSecrets,
        wanted: Callable[[Secret], bool],
        limit: int | None,
    ) -> list[answers.SecretBundle]:
        names = sorted(name for name, secret in self.secrets.items() if wanted(secret))
        names = [name for name in names if name > command.after.upper()][:limit]
        return [self._bundle(self.secrets[name]) for name in names]

    def _list_versions(self, command: c.ListSecretVersions, given: Any) -> Any:
        secret = self._find(command.name)
        self.read("secret-versions.listed", command.name)
        if secret is None or secret.deleted is not None:
            return []
        versions = sorted(secret.versions, key=lambda one: one.id)
        versions = [one for one in versions if one.id > command.after][: command.limit]
        return [self._bundle(secret, one) for one in versions]

    # -- rules -----------------------------------------------------------------------------------

    def _set_policy(self, command: rule_commands.SetPolicy, given: Any) -> Any:
        known = self.policies.get((command.object_id, command.application_id))
        secrets = () if known is None else known.secrets
        storage = () if known is None else known.storage
        if command.secrets is not UNSET:
            if set(command.secrets) - {*SECRET_PERMISSIONS, "all"}:
                raise Refusal("permission.unknown")
            every = "all" in command.secrets
            secrets = tuple(one for one in SECRET_PERMISSIONS if every or one in command.secrets)
        at = self.change("policy.set", command.object_id)
        policy = answers.Policy(
            object_id=command.object_id,
            application_id=command.application_id,
            secrets=secrets,
            storage=storage,
            position=at,
        )
        self.policies[command.object_id, command.application_id] = policy
        return policy

    def _delete_policy(self, command: rule_commands.DeletePolicy, given: Any) -> Any:
        who = command.object_id, command.application_id
        if who not in self.policies:
            raise Refusal("policy.not-found")
        del self.policies[who]
        at = self.change("policy.deleted", command.object_id)
        return answers.Policy(
            object_id=who[0], application_id=who[1], secrets=(), storage=(), position=at
        )

    def _list_policies(self, command: rule_commands.ListPolicies, given: Any) -> Any:
        self.read("vault.read")
        return [policy for _, policy in sorted(self.policies.items())]

    def _update_boundary(self, command: rule_commands.UpdateBoundary, given: Any) -> Any:
        named = {"default_action": command.default_action, "ip_rules": command.ip_rules}
        said = {name: one for name, one in named.items() if one is not UNSET}
        if any(rule.startswith("10.") for rule in said.get("ip_rules", ())):
            raise Refusal("boundary.range-invalid")
        at = self.change("boundary.set")
        self.boundary = replace(self.boundary, **said, position=at)
        return self.boundary

    def _show_boundary(self, command: rule_commands.ShowBoundary, given: Any) -> Any:
        self.read("vault.read")
        return self.boundary

    def _update_vault(self, command: rule_commands.UpdateVault, given: Any) -> Any:
        if self.protected and command.purge_protection is False:
            raise Refusal("vault.purge-protection-one-way")
        if command.administrators == ():
            raise Refusal("principal.invalid")
        if command.purge_protection is not UNSET:
            self.protected = bool(command.purge_protection)
        if command.administrators is not UNSET:
            self.administrators = tuple(command.administrators)
        self.change("vault.updated")
        return self._facts(given)

    def _show(self, command: rule_commands.ShowVault, given: Any) -> Any:
        self.read("vault.read")
        return self._facts(given)

    def _facts(self, given: answers.VaultFacts) -> answers.VaultFacts:
        return answers.VaultFacts(
            name=self.name,
            created=self.created,
            retention_days=self.days,
            purge_protection=self.protected,
            administrators=self.administrators,
            changes=self.changes.size,
            access=self.access.size,
            verifiers=given.verifiers,
            checkpoints=given.checkpoints,
        )

    # -- history and keys ------------------------------------------------------------------------

    def _history(self, command: history_commands.ReadHistory, given: Any) -> Any:
        # Compared by what a record tells; positions and times are compared record by record.
        found = [
            (log, position)
            for log, records in (("changes", self.changes), ("access", self.access))
            for position, one in enumerate(records.all)
            if (not command.name or one.name.upper() == command.name.upper())
            and (not command.principal or one.principal == command.principal)
            and (not command.outcome or one.outcome == command.outcome)
            and (not command.operation or one.operation == command.operation)
        ]
        self.read("history.read", command.name)
        shown = {(item.log, item.position): item for item in given}
        assert sorted(shown) == sorted(found)
        return [shown[place] for place in sorted(shown, key=lambda one: (shown[one].time, one))]

    def _diff(self, command: Any, given: Any) -> Any:
        """Whatever stands otherwise is named, and nothing that no event was about."""
        if command.after < command.before:
            raise Refusal("points.reversed")
        before, after = (self.past[size].secrets for size in (command.before, command.after))
        between = self.changes.all[command.before : command.after]
        touched = {one.name.upper() for one in between}
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        self.read("history.read")
        shown = {one.name.upper() for one in given if one.what == "secret"}
        assert changed <= shown <= touched
        return given

    def _plan(self, command: Any, given: Any) -> Any:
        self.read("history.read")
        return self._planned(command, given)

    def _planned(self, command: Any, given: Any) -> answers.RestorePlan:
        steps: list[answers.RestoreStep] = []
        for name in sorted({one.upper() for one in command.names}):
            steps += self._steps(name, self.past[command.to].secrets.get(name), command.prune)
        return answers.RestorePlan(
            to=command.to, head=self.changes.size, steps=tuple(steps), stays=given.stays
        )

    def _steps(self, name: str, was: Secret | None, prune: bool) -> Iterator[answers.RestoreStep]:
        stands = self.secrets.get(name)
        if was is None or was.deleted is not None:
            if prune and stands is not None and stands.deleted is None:
                yield answers.RestoreStep(action="delete", name=stands.name)
            return
        if stands is None or stands.born != was.born:
            by = self.purged[was.born]
            yield answers.RestoreStep(action="lost", name=was.name, erased_by=by)
            return
        if stands.deleted is not None:
            yield answers.RestoreStep(action="recover", name=was.name)
        old = was.versions[-1]
        if old.value != stands.versions[-1].value:
            yield answers.RestoreStep(action="value", name=was.name, version=old.id)

    def _go_back(self, command: Any, given: Any) -> Any:
        if command.head != self.changes.size:
            raise Refusal("log.conflict")
        planned = self._planned(command.plan, given)
        self.change("vault.restored")
        for step in planned.steps:
            self._do(step, self.past[planned.to].secrets.get(step.name.upper()))
        return planned

    def _do(self, step: answers.RestoreStep, was: Secret | None) -> None:
        operations = {"delete": "deleted", "recover": "recovered", "value": "set"}
        if step.action not in operations:
            return
        secret = self.secrets[step.name.upper()]
        secret.at = self.change(f"secret.{operations[step.action]}", secret.name)
        time = self.changes.seconds(secret.at)
        if step.action == "delete":
            secret.deleted, secret.due = time, time + self.days * DAY
        elif step.action == "recover":
            secret.deleted = None
        elif was is not None:
            again = replace_version(was.versions[-1], id="", created=time, updated=time)
            secret.versions.append(again)
            self.unnamed.append(again)

    def name_versions(self, ids: list[str]) -> None:
        """Tell what the versions that came back are called: the log says it, and no answer."""
        for version, id in zip(self.unnamed, ids, strict=True):
            version.id = self._fresh(id)
        self.unnamed.clear()
        self.past[self.changes.size] = deepcopy(self._stands)

    def _rotate(self, command: history_commands.RotateKeys, given: Any) -> Any:
        places = []
        for log, records in (("access", self.access), ("changes", self.changes)):
            for asked, operation in (
                (command.signing, "signing-key.rotated"),
                (command.audit, "audit-key.rotated"),
            ):
                if asked:
                    at = records.append(self.now, operation, self._caller, self._rule)
                    places.append((log, at, operation))
        self.receipts(int(command.signing))
        assert [(item.log, item.position, item.operation) for item in given] == places
        return given

    def root_rotated(self, now: int, who: str) -> None:
        self.changes.append(now, "root-key.rotated", who, "store owner")

    def every_version(self) -> Iterator[tuple[Secret, Version]]:
        for secret in self.secrets.values():
            for version in secret.versions:
                yield secret, version

    _answers: ClassVar[dict[type, Callable[[VaultModel, Any, Any], Any]]] = {
        c.SetSecret: _set,
        c.ImportSecrets: _import,
        c.GetSecret: _get,
        c.UpdateSecret: _update,
        c.DeleteSecret: _delete,
        c.ListSecrets: _list,
        c.ListSecretVersions: _list_versions,
        c.GetDeletedSecret: _get_deleted,
        c.ListDeletedSecrets: _list_deleted,
        c.RecoverDeletedSecret: _recover,
        c.PurgeDeletedSecret: _purge,
        c.BackupSecret: _backup,
        c.RestoreSecret: _restore,
        rule_commands.SetPolicy: _set_policy,
        rule_commands.DeletePolicy: _delete_policy,
        rule_commands.ListPolicies: _list_policies,
        rule_commands.UpdateVault: _update_vault,
        rule_commands.ShowVault: _show,
        rule_commands.UpdateBoundary: _update_boundary,
        rule_commands.ShowBoundary: _show_boundary,
        history_commands.ReadHistory: _history,
        history_commands.Diff: _diff,
        history_commands.PlanRestore: _plan,
        history_commands.Restore: _go_back,
        history_commands.RotateKeys: _rotate,
    }
