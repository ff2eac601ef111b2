"""A hook program for the provider `manual`; its first argument is the file of its keys.

A second argument says how it misbehaves.
"""

import fcntl
import json
import os
import sys
import time
from base64 import b64encode
from pathlib import Path

state, how = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""


def key():
    return b64encode(os.urandom(64)).decode()


def answer(question):
    with open(f"{state}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        accounts = json.loads(state.read_text())
        keys = accounts.get(question["resourceId"].rpartition("/")[2].lower())
        if keys is None:
            return {"error": "no-such-account"}
        if question["op"] == "regenerate":
            if question["keyName"] not in keys:
                return {"error": "no-such-key"}
            keys[question["keyName"]] = key()
            state.write_text(json.dumps(accounts))
        return {"keys": keys}


question = json.loads(sys.stdin.readline())
if how == "fails to regenerate" and question["op"] == "regenerate":
    sys.exit(1)
if how == "is slow":
    time.sleep(3)
told = answer(question)
if how == "hangs":
    time.sleep(600)
if how == "has a child that hangs":
    if os.fork() == 0:
        state.with_name("child").write_text(str(os.getpid()))
        time.sleep(600)
    while not state.with_name("child").exists():
        time.sleep(0.01)
if how == "floods":
    while True:
        sys.stdout.write("x" * 65536)
if how == "says the key in its error":
    told = {"error": told["keys"]["key1"]}
if how == "says the key and fails":
    sys.stderr.write(json.dumps(told))
    print(json.dumps(told), flush=True)
    sys.exit(3)
if how == "says its environment":
    told = {"keys": dict(os.environ)}
if how == "has keys that are no base64":
    told = {"keys": {name: "~" + value[1:] for name, value in told["keys"].items()}}
if how == "has short keys":
    told = {"keys": {name: value[:84] for name, value in told["keys"].items()}}
GARBAGE = {
    "says nothing": "",
    "is no JSON": "keys",
    "is nested": "[" * 60_000,
    "is no object": "[]",
    "says both": json.dumps({**told, "error": "both"}),
    "says more": json.dumps({**told, "more": 1}),
    "says numbers": json.dumps({"keys": {"key1": 1}}),
    "is not UTF-8": "\udcff",
}
sys.stdout.buffer.write(
    (GARBAGE[how] if how in GARBAGE else json.dumps(told)).encode(errors="surrogateescape") + b"\n"
)
