"""The harness itself: a transcript that is wrong must not pass."""

import os
import time
from pathlib import Path

import pytest

from transcripts.transcript import (
    Step,
    TranscriptIsMalformed,
    first_difference,
    matches,
    parse,
    run,
)

DOCUMENT = """\
Text, and a block that is not run:

```sh
$ rm -rf /
```

1. In a list:

   ```console
   $ cat <<END
   > one
   >
   > two
   > END
   one

   two
   $ false
   [exit 1]
   ```
"""


def test_a_document_is_read_as_steps() -> None:
    assert parse(DOCUMENT) == [
        Step(10, "cat <<END\none\n\ntwo\nEND", ["one", "", "two"], 0),
        Step(18, "false", [], 1),
    ]


@pytest.mark.parametrize("text", ["```console\nno command\n```\n", "```console\n$ true\n"])
def test_a_malformed_block_is_refused(text: str) -> None:
    with pytest.raises(TranscriptIsMalformed):
        parse(text)


@pytest.mark.parametrize(
    ("expected", "output", "same"),
    [
        (["a"], ["a"], True),
        (["a"], ["a ", ""], True),
        (["a"], ["a", "b"], False),
        ([], ["a"], False),
        (["..."], [], True),
        (["a", "...", "d"], ["a", "b", "c", "d"], True),
        (["a", "...", "d"], ["a", "b"], False),
        (["at …Z, #…"], ["at 2026-11-03T00:00:00Z, #7"], True),
        (["at …Z"], ["at", "Z"], False),
        (["a.c"], ["abc"], False),
    ],
)
def test_output_matches_what_is_shown(expected: list[str], output: list[str], same: bool) -> None:
    assert matches(expected, output) is same


def told(text: str, directory: Path, timeout: float = 20) -> str:
    steps = parse(text)
    outcomes = run(steps, directory, os.environ["PATH"], timeout)
    return first_difference(steps, outcomes, "page.md") or ""


def test_a_session_keeps_its_directory_and_variables(tmp_path: Path) -> None:
    blocks = (
        "```console\n$ mkdir d && cd d\n$ export X=1\n```\n"
        "```console\n$ echo $X $(basename $PWD) >&2\n1 d\n$ cat\n```\n"
    )
    assert told(blocks, tmp_path) == ""


def test_a_session_has_a_home_and_a_store_of_its_own(tmp_path: Path) -> None:
    assert told(f"```console\n$ echo $HOME $MUNIMENT_HOME\n{tmp_path}/home …\n```", tmp_path) == ""


def test_a_background_job_ends_with_the_session(tmp_path: Path) -> None:
    assert told("```console\n$ sleep 1000 & echo $! >pid\n```\n", tmp_path) == ""
    pid = int((tmp_path / "work/pid").read_text())
    # A killed process dies in its own time: that it never does is what pytest's limit is for.
    while is_running(pid):
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("$ echo b\na", "+b"),
        ("$ true\n$ false", "page.md:3: $ false\nexit status 1, and not 0"),
        ("$ true\n[exit 3]", "exit status 0, and not 3"),
        ("$ exit 0", "it hung, or it ended the session"),
    ],
)
def test_a_wrong_transcript_fails(block: str, said: str, tmp_path: Path) -> None:
    assert said in told(f"```console\n{block}\n```\n", tmp_path)


def test_a_command_that_hangs_fails(tmp_path: Path) -> None:
    assert "it hung" in told("```console\n$ sleep 1000\n```\n", tmp_path, timeout=0.5)
