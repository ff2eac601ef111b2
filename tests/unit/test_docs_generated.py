"""What docs/ says about errors, events and the format's example is so, and what it names is there."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)[^)\s]*\)", text)
    tests = re.findall(r"`(tests/[\w/]+\.py)`", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [test for test in tests if not (ROOT / test).exists()]
    assert not missing


def test_every_guarantee_names_a_test_that_shows_it() -> None:
    text = (DOCS / "threat-model.md").read_text(encoding="utf-8")
    guarantees = text.partition("## Guarantees")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert [one.split(".")[0] for one in guarantees] == [
        f"G{number}" for number in range(1, len(guarantees) + 1)
    ]
    for one in guarantees:
        for part in ("*Against*", "*How*", "*Shown by* `tests/", "*Left*"):
            assert part in one, one.splitlines()[0]
