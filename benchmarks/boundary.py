"""What does the boundary cost, and what do the callers whom it lets in notice of a flood that it refuses?

First the rule alone, with 1, 100 and 1,000 ranges, and with as many subnets.  Then a service of one worker: wrk asks by a listener
whose callers are let in, with 8 connections, each read recorded before its answer; and beside it another
wrk floods with 32 connections by a listener whose callers are refused.  Each kind of flood takes turns
with none at all.  As a measure of what any 32 busy connections cost, one of them is let in too.

Needs `wrk`, and the extra `server`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from _fill import ALICE
from _measure import heading, ratio, scratch
from openbao import BIN, DOMAIN, free_port, stopping, until

from eventstore.rule_events import BoundarySet, Subnet, SubnetRule, VirtualNetwork
from projections.rows import Boundary
from server.identities import Identities
from server.tokens import issue
from vault.boundary import Rules
from vault.caller import Arrival, Caller
from vault.commands import SetSecret
from vault.refusals import OutsideBoundary
from vault.rule_commands import SetPolicy, UpdateBoundary
from vault.store import Store, system_clock

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "4"))
CALLERS, FLOOD = 8, 32
PRINCIPALS = 100
OFFICE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/office"

# --- the rule alone -------------------------------------------------------------------------------

LEAST = 20_000


def blocks(count: int) -> tuple[str, ...]:
    """So many ranges, of which no two touch."""
    return tuple(f"{20 + number // 250}.{number % 250}.16.0/20" for number in range(count))


def rules(ranges: int) -> Rules:
    """A boundary of so many address rules."""
    return ready(BoundarySet(default_action="Deny", ip_rules=blocks(ranges)))


def subnets(count: int) -> Rules:
    """A boundary that knows so many subnets, of which the first 200 have rules."""
    known = [Subnet(name=f"s{at}", ranges=(one,)) for at, one in enumerate(blocks(count))]
    network = VirtualNetwork(id=OFFICE, subnets=tuple(known))
    listed = tuple(SubnetRule(id=f"{OFFICE}/subnets/{one.name}") for one in known[:200])
    return ready(BoundarySet(default_action="Deny", networks=(network,), subnet_rules=listed))


def ready(known: BoundarySet) -> Rules:
    parts = {name: getattr(known, name) for name in BoundarySet.__struct_fields__}
    return Rules(Boundary(**parts, at=1))


def microseconds(made: Rules, address: str) -> float:
    who = Caller(principal="alice", auth="token", address=address, arrival=Arrival())
    began = time.process_time()
    for _ in range(LEAST):
        with suppress(OutsideBoundary):
            made.admit(who)
    # Of the processor: a busy machine would else be measured too.
    return (time.process_time() - began) / LEAST * 1e6


def alone() -> None:
    print("the rule alone, microseconds a request: let in, and refused")
    for what, make in (("ranges", rules), ("subnets", subnets)):
        for count in (1, 100, 1000):
            made = make(count)
            last = min(count, 200 if what == "subnets" else count) - 1
            address = f"{20 + last // 250}.{last % 250}.17.1"
            let_in = [microseconds(made, address) for _ in range(ROUNDS)]
            refused = [microseconds(made, "198.51.100.1") for _ in range(ROUNDS)]
            print(f"  {count:5,} {what:7}  {median(let_in):6.2f}  {median(refused):6.2f}")
    print()


# --- a flood --------------------------------------------------------------------------------------


class Run(NamedTuple):
    """One slice of wrk."""

    rate: float
    p99: float
    statuses: dict[int, int]


class Flood(NamedTuple):
    """Who floods: with which tokens, from how many addresses, by which listener."""

    name: str
    tokens: list[str]
    addresses: int = 1
    is_inside: bool = False


def script(
    folder: Path, name: str, host: str, tokens: list[str], addresses: int, net: str = "198.51"
) -> Path:
    """What wrk asks: one secret, by each of the tokens and addresses in turn."""
    lists = ",".join(json.dumps(f"Bearer {token}") for token in tokens)
    file = folder / f"{name}.lua"
    file.write_text(
        f"""
local tokens = {{{lists}}}
local made, at = {{}}, 0
for i, token in ipairs(tokens) do
  for j = 1, {addresses} do
    local headers = {{Host = {json.dumps(host)}}}
    if token ~= "Bearer " then headers.Authorization = token end
    headers["X-Forwarded-For"] = "{net}." .. math.floor(j / 250) .. "." .. (j % 250 + 1)
    made[#made + 1] = wrk.format("GET", "/secrets/db?api-version=7.4", headers)
  end
end
statuses = ""
local counts = {{}}
function request()
  at = at % #made + 1
  return made[at]
end
function response(status)
  counts[status] = (counts[status] or 0) + 1
  statuses = ""
  for code, count in pairs(counts) do statuses = statuses .. code .. "=" .. count .. "," end
end
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function done(summary, latency)
  io.write(string.format("RESULT %f %f %s\\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(99) / 1000, threads[1]:get("statuses")))
end
"""
    )
    return file


def wrk(file: Path, port: int, connections: int, seconds: float) -> subprocess.Popen[str]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    command += ["-s", os.fspath(file), f"https://127.0.0.1:{port}"]
    return subprocess.Popen([*_elsewhere(), *command], stdout=subprocess.PIPE, text=True)


def _elsewhere() -> list[str]:
    """On another processor than the service, so that its share does not depend on wrk's."""
    return ["taskset", "-c", "1"] if (os.cpu_count() or 1) > 1 and shutil.which("taskset") else []


def told(process: subprocess.Popen[str]) -> Run:
    said, _ = process.communicate()
    found = re.search(r"RESULT (\S+) (\S+) (\S*)", said)
    assert found is not None, said
    counts = (pair.split("=") for pair in found[3].split(",") if pair)
    return Run(float(found[1]), float(found[2]), {int(a): int(b) for a, b in counts})


class Served(NamedTuple):
    """A service with a listener for those inside, and one for those outside."""

    folder: Path
    inside: int
    outside: int
    host: str
    tokens: list[str]


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    home, inside, outside = folder / "store", free_port(), free_port()
    base = f"https://{DOMAIN}:{inside}"
    with Store.create(home, clock=system_clock) as store:
        vault = store.create_vault(ALICE, "bench")
        identities = Identities(store)
        clients = [identities.add(f"c{number}") for number in range(PRINCIPALS + 1)]
        roll = identities.roll
        vault.handle(ALICE, SetSecret(name="db", value="v" * 200))
        for one in clients:
            policy = SetPolicy(object_id=one.application.object_id, secrets=("get",))
            vault.handle(ALICE, policy)
        subnet = Subnet(name="in", listener="inside")
        vault.handle(
            ALICE,
            UpdateBoundary(
                default_action="Deny",
                networks=(VirtualNetwork(id=OFFICE, subnets=(subnet,)),),
                subnet_rules=(SubnetRule(id=f"{OFFICE}/subnets/in"),),
            ),
        )
    now = int(time.time())
    tokens = [
        issue(roll, one.application, authority=base, audience=base, now=now, method="secret").token
        for one in clients
    ]
    environment = {**os.environ, "MUNIMENT_HOME": str(home), "XDG_STATE_HOME": str(folder)}
    program = os.fspath(BIN / "muniment")
    subprocess.run([program, "tls", "init"], env=environment, check=True, capture_output=True)
    listen = (f"inside,address=127.0.0.1:{inside}", f"outside,address=127.0.0.1:{outside}")
    command = [program, "serve", "--port", str(inside), "--trusted-proxy", "127.0.0.1"]
    command += [part for one in listen for part in ("--listen", f"name={one}")]
    pinned = ["taskset", "-c", "0", *command] if _elsewhere() else command
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(pinned, env=environment, stdout=log, stderr=log)
    with stopping(process):
        until(inside, "/healthz")
        yield Served(folder, inside, outside, f"bench.{DOMAIN}:{inside}", tokens)


def slice_of(service: Served, asking: Path, flood: Flood | None) -> tuple[Run, Run | None]:
    """What those inside are answered while *flood* goes on; and what the flood is."""
    flooding = None
    if flood is not None:
        name = re.sub(r"\W", "-", flood.name)
        file = script(service.folder, name, service.host, flood.tokens, flood.addresses)
        port = service.inside if flood.is_inside else service.outside
        flooding = wrk(file, port, FLOOD, SECONDS + 2)
        time.sleep(1)
    run = told(wrk(asking, service.inside, CALLERS, SECONDS))
    return run, None if flooding is None else told(flooding)


def main() -> None:
    heading(__doc__)
    alone()
    if shutil.which("wrk") is None:
        print("the flood was not measured: wrk is not installed")
        return
    with scratch() as folder, served(folder) as service:
        asking = script(folder, "asking", service.host, service.tokens[:1], 1, "203.0")
        floods = [
            Flood("one principal", service.tokens[1:2]),
            Flood(f"one principal from {PRINCIPALS} addresses", service.tokens[1:2], PRINCIPALS),
            Flood(f"{PRINCIPALS} principals", service.tokens[1:]),
            Flood("the callers' own principal, from outside", service.tokens[:1], 20),
            Flood("nobody (no token)", [""]),
            Flood("32 more who are let in", service.tokens[1:2], is_inside=True),
        ]
        for flood in floods:
            against(service, asking, flood)


def against(service: Served, asking: Path, flood: Flood) -> None:
    calm: list[Run] = []
    wild: list[Run] = []
    answered: list[Run] = []
    for number in range(ROUNDS):
        for one in (None, flood) if number % 2 == 0 else (flood, None):
            run, flooding = slice_of(service, asking, one)
            (calm if one is None else wild).append(run)
            answered += [] if flooding is None else [flooding]
    print(f"{flood.name}: answers a second {each_second(answered)}")
    print(f"  those inside  {each_second(calm, SECONDS)}, then {each_second(wild, SECONDS)}")
    slower = [before.rate / then.rate for before, then in zip(calm, wild, strict=True)]
    longer = [then.p99 / before.p99 for before, then in zip(calm, wild, strict=True)]
    limit = "the processor of the one worker, which takes turns with all"
    ratio("  slower by", slower, limit, most=2.0)
    ratio("  p99 longer by", longer, limit, most=2.5)


def each_second(runs: list[Run], seconds: float = SECONDS + 2) -> str:
    """How many answers of each status came in a second."""
    every = sorted({status for run in runs for status in run.statuses})
    counts = {status: sum(run.statuses.get(status, 0) for run in runs) for status in every}
    return ", ".join(
        f"{count / len(runs) / seconds:,.0f} of {status}" for status, count in counts.items()
    )


if __name__ == "__main__":
    sys.exit(main())
