"""The demo's investigation: a credential read by the wrong principal, from the question to the proof.

The last word is a program's that is not ours: `metamorphic-log`, a verifier of transparency logs
written in Rust, run by a script that imports nothing of Muniment.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.demo import Stage

WRONG = "postgresql://shop:oops@elsewhere.example.net:5432/shop"

CHECKER = '''\
"""Check a C2SP tlog-proof with metamorphic-log: nothing here comes from Muniment."""
import base64, hashlib, sys
import metamorphic_log

proof, key = open(sys.argv[1], encoding="utf-8").read(), open(sys.argv[2]).read().strip()
front, note = proof.split("\\n\\n", 1)
_, extra, index, *path = front.split("\\n")
leaf = base64.b64decode(extra.removeprefix("extra "))
metamorphic_log.checkpoint_verify_inclusion(
    note, [key], int(index.removeprefix("index ")),
    hashlib.sha256(b"\\0" + leaf).digest(), [base64.b64decode(step) for step in path],
)
print(f"metamorphic-log: record {index.removeprefix('index ')} is in the log that the key signed")
'''


def leak(stage: Stage) -> None:
    """A reader who should not have been, a value that was overwritten, and both put right."""
    stage.title("9. A leak: who read it, what else, what changed, put it back, prove it")
    stage.say("Somebody let an intern read everything, and a script wrote to the wrong place.")
    intern = "intern@shop.example"
    stage.run(f"policy set --object-id {intern} --secret-permissions get -o none")
    stage.run(f"secret show STRIPE-API-KEY -o none --as {intern}")
    stage.run(f"policy delete --object-id {intern} -o none")
    stage.run("secret set DATABASE-URL -o none", stdin=WRONG)
    stage.run("who-read STRIPE-API-KEY")
    stage.run(f"exposure {intern}")
    stage.say("So that version is what to change.  And what else happened since the checkpoint?")
    stage.run("diff @kept.checkpoint..now")
    stage.run("blame DATABASE-URL")
    stage.run("restore --to @kept.checkpoint DATABASE-URL --plan")
    stage.run("restore --to @kept.checkpoint DATABASE-URL --yes -o none")
    text = stage.run("secret show DATABASE-URL --query value -o tsv", quiet=True)
    stage.expect(WRONG not in text, "the connection string is the old one, as a new version")
    _prove(stage)


def _prove(stage: Stage) -> None:
    read = json.loads(stage.run("who-read STRIPE-API-KEY -o json", quiet=True))[-1]
    proof = stage.run(f"prove {read['position']} --log access")
    (stage.folder / "reading.proof").write_text(proof)
    key = stage.run("vault show --query verifiers.access -o tsv")
    (stage.folder / "access.key").write_text(key)
    stage.run("prove --check reading.proof --verifier access.key -o none")
    if find_spec("metamorphic_log") is None:
        stage.say("`pip install metamorphic-log`, and a program that is not ours says so too.")
        return
    (stage.folder / "check.py").write_text(CHECKER)
    stage.python("check.py reading.proof access.key")
    (stage.folder / "forged.proof").write_text(_forged(proof))
    stage.python("check.py forged.proof access.key", status=1)
    stage.say("With one letter of the proof changed, it refuses.")


def _forged(proof: str) -> str:
    lines = proof.split("\n")
    first = lines[1][6]
    lines[1] = lines[1][:6] + ("B" if first != "B" else "C") + lines[1][7:]
    return "\n".join(lines)
