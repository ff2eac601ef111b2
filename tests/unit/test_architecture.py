"""The rules of the house that import-linter cannot see for itself.

Directions are contracts in pyproject.toml, run by `make lint`.  A contract names its modules, so a
new module would be free of all rules until somebody remembered it: these tests remember.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINTER = PROJECT["tool"]["importlinter"]
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
PURE = {
    module
    for contract in LINTER["contracts"]
    if contract["name"].startswith("Pure")
    for module in contract["source_modules"]
}

# The design's list, of which a module may be still to come.
MUST_BE_PURE = {
    *(f"eventstore.{m}" for m in ("errors", "events", "seal", "merkle", "checkpoint", "record")),
    *(f"projections.{m}" for m in ("secrets", "policies", "storage_accounts", "settings", "keys")),
    *(f"projections.{m}" for m in ("state", "diff", "trail", "past", "rows")),
    *(f"vault.{m}" for m in ("names", "commands", "secrets", "policies", "storage_accounts")),
    *(f"vault.{m}" for m in ("access", "firewall", "backup")),
}


def modules() -> list[str]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in files
        if file.name != "__init__.py"
    )


def law(module: str) -> str:
    """Return the module's docstring, which opens with its law."""
    source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


@pytest.mark.parametrize("module", modules())
def test_a_module_that_must_be_pure_is_held_to_it(module: str) -> None:
    if module in MUST_BE_PURE or re.search(r"\bPure[.:]", law(module)):
        assert module in PURE, f"add {module} to the Pure contract in pyproject.toml"


@pytest.mark.parametrize("module", modules())
def test_a_module_opens_with_its_law(module: str) -> None:
    assert law(module), f"{module} has no docstring"


def test_every_installed_package_is_linted() -> None:
    assert LINTER["root_packages"] == PACKAGES
    layers = next(c["layers"] for c in LINTER["contracts"] if c["type"] == "layers")
    assert set(layers) == set(PACKAGES)
