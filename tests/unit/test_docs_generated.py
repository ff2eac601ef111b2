"""What docs/ says about errors, events and the format's example is what the code says."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["errors.md", "format.md"])
def test_a_generated_part_is_not_stale(generate: ModuleType, name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generate.generated()[DOCS / name], "run `python docs/generate.py`"


def test_every_error_of_every_layer_stands_in_the_table(generate: ModuleType) -> None:
    table = (DOCS / "errors.md").read_text(encoding="utf-8")
    for code in ("seal.broken", "view.corrupt", "secret.not-found", "usage.value-as-argument"):
        assert f"| `{code}` |" in table


def test_no_two_errors_share_a_code(generate: ModuleType) -> None:
    codes = [line.split("`")[1] for line in generate.errors().splitlines() if "| `" in line]
    assert sorted(set(codes)) == codes
