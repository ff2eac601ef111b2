"""What each process of the service loads: it stays in memory as long as the service runs."""

import subprocess
import sys

import pytest


def loaded(module: str) -> set[str]:
    """The modules that stand in memory once *module* was imported."""
    script = f"import sys, {module}; print(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return set(child.stdout.decode().split())


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("server.supervisor", {"asyncio", "ssl", "lmdb", "cryptography", "server.worker"}),
        ("server.start", {"prometheus_client", "granian"}),
    ],
)
def test_a_process_loads_nothing_that_it_does_not_need(module: str, needless: set[str]) -> None:
    found = loaded(module)
    assert module in found
    assert not found & needless
