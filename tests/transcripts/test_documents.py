"""Every console block of the README and of docs/ runs as written."""

import os
import sys
from pathlib import Path

import pytest

from transcripts.transcript import first_difference, parse, run

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    document
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "```console" in document.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_shows_what_happens(document: Path, tmp_path: Path) -> None:
    steps = parse(document.read_text(encoding="utf-8"))
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))

    # Ends before pytest's own limit does, so that what was printed until then is told.
    outcomes = run(steps, tmp_path, path, timeout=100)

    difference = first_difference(steps, outcomes, str(document.relative_to(ROOT)))
    assert difference is None, difference


def test_the_readme_has_a_transcript() -> None:
    assert ROOT / "README.md" in DOCUMENTS
