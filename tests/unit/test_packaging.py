"""What is tested is what is installed, and what is installed is what was pinned."""

import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_installed_wheel_is_what_is_tested(package: str) -> None:
    assert "site-packages" in Path(importlib.import_module(package).__file__ or "").parts


def test_a_child_process_imports_the_installed_wheel(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import eventstore; print(eventstore.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "site-packages" in Path(child.stdout).parts


def test_no_path_leads_to_the_tree() -> None:
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    assert str(ROOT) not in {str(Path(path).resolve()) for path in (*sys.path, *inherited) if path}


def test_the_wheel_installs_nothing_but_its_packages() -> None:
    files = importlib.metadata.files("muniment") or []
    tops = {file.parts[0] for file in files if not file.parts[0].startswith(("..", "muniment-"))}
    assert tops == set(PACKAGES)


def test_the_installed_version_is_the_projects() -> None:
    assert importlib.metadata.version("muniment") == PROJECT["project"]["version"]


@pytest.mark.parametrize("tree", ["node", "azurite"])
def test_the_lock_of_node_pins_versions_and_hashes_and_no_address(tree: str) -> None:
    text = (ROOT / f"tests/conformance/clients/{tree}/package-lock.json").read_text()
    lock = json.loads(text)
    packages = [one for name, one in lock["packages"].items() if name]
    assert all(one["version"] and one["integrity"].startswith("sha512-") for one in packages)
    assert "resolved" not in text
    assert "://" not in text


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_names_versions_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    pins = [line for line in lines if not line.lstrip().startswith("#")]

    assert all(re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin) for pin in pins)
    assert not re.search(r"://|--(extra-)?index-url|--find-links|(^|\s)/", text)


def test_every_dependency_is_pinned() -> None:
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements/run.txt").read_text(), re.M))
    asked = {re.split(r"[<>=!~\[ ;]", name)[0] for name in PROJECT["project"]["dependencies"]}
    assert asked <= pinned
