"""Schemathesis reads the served description, and finds the service to do what it says.

What comes out of it is random, so that the seed is told when it fails.
"""

import os
import subprocess
import sys
from pathlib import Path

from support.served import Served

SECONDS = 20
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_no_request_makes_it_answer_other_than_described(served: Served) -> None:
    token = served.terminal.must("token", "issue", "all", "--resource", served.base).text.strip()
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run"),
            f"{served.vault()}/openapi.json",
            *("--url", served.vault()),
            *("--header", f"Authorization: Bearer {token}"),
            *("--tls-verify", served.tls / "ca.pem"),
            *("--checks", ",".join(CHECKS)),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "15", "--max-time", str(SECONDS)),
            *("--rate-limit", "auto", "--no-color", "--generation-database", "none"),
        ],
        cwd=served.terminal.directory,
        env={**served.terminal.environ, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    operations = {record["operation"] for record in served.everything()}
    assert operations >= {"secret.set", "secret.read", "secret.deleted", "secrets.listed"}, (
        operations
    )
