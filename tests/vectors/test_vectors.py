"""Golden vectors: one file, one outcome, for this release and for a reader written from the page.

What stands in tests/vectors/v1 was written by tests/vectors/make.py and is never rewritten.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventstore import auditor, checkpoint, grant, head, keyheader, keytree, merkle, record, seal
from eventstore.errors import MunimentError, ProofInvalid
from eventstore.log_file import evidence_of
from eventstore.rootkey import FileRootKey, PassphraseRootKey
from eventstore.verify import Evidence, verify
from projections.late import LateViews
from projections.rows import ROWS, RowKey, Table
from projections.sealer import TOGETHER, Sealer
from vault import backup
from vectors import independent, make

FILES = sorted(make.FILES.glob("*.json"))


def of(file: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    vector = json.loads(file.read_bytes())
    return vector["what"], vector["given"], vector["outcome"]


# --- what this release says ---------------------------------------------------------------------


def _hex(given: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(given[name])


def _record(given: dict[str, Any]) -> dict[str, Any]:
    kind, log_id = record.KINDS[given["kind"]], _hex(given, "log_id")
    row = record.split(kind, _hex(given, "row"))
    opened = record.open_meta(kind, log_id, row, _hex(given, "audit_key"))
    entry = record.decode_meta(kind, opened)
    assert record.fields_root(opened.meta, opened.seed) == opened.leaf.fields_root
    content, signed = None, None
    if given["content_key"]:
        found = record.open_content(kind, log_id, row, _hex(given, "content_key"))
        content = msgspec.to_builtins(found)
    if given["verifier"]:
        message = record.signed_message(log_id, row.leaf)
        signed = checkpoint.parse_verifier(given["verifier"]).accepts(row.signature, message)
    return {
        "position": entry.position,
        "time": entry.time,
        "context": msgspec.to_builtins(entry.context),
        "event": msgspec.to_builtins(entry.event),
        "content_key": entry.content_key,
        "content": content,
        "signed": signed,
        "leaf_hash": merkle.leaf_hash(row.leaf).hex(),
    }


def _leaf(given: dict[str, Any]) -> dict[str, Any]:
    leaf = record.read_leaf(_hex(given, "leaf"))
    told = {key: one.hex() for key, one in leaf._asdict().items() if isinstance(one, bytes)}
    return {"position": leaf.position, "time": leaf.time, **told}


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    entries = record.field_entries(_hex(given, "metadata"), _hex(given, "seed"))
    root = record.fields_root(_hex(given, "metadata"), _hex(given, "seed"))
    return {"entries": [entry.hex() for entry in entries], "root": root.hex()}


def _inclusion(given: dict[str, Any]) -> str:
    path = [bytes.fromhex(one) for one in given["path"]]
    hashed = merkle.leaf_hash(_hex(given, "entry"))
    return merkle.root_from_inclusion(given["position"], given["size"], hashed, path).hex()


def _opening(given: dict[str, Any]) -> dict[str, Any]:
    hashes = [bytes.fromhex(one) for one in given["hashes"]]
    hashes[given["field"]] = record.field_hash(_hex(given, "entry"))
    if record.root_of_fields(hashes) != record.read_leaf(_hex(given, "leaf")).fields_root:
        raise ProofInvalid
    path, _, value = _hex(given, "entry")[16:].partition(b"\0")
    return {"field": path.decode(), "value": msgspec.msgpack.decode(value)}


def _head(given: dict[str, Any]) -> dict[str, Any]:
    read = head.decode_head(_hex(given, "row"))
    return {
        "size": read.size,
        "time": read.time,
        "root": read.root().hex(),
    }


def _identity(given: dict[str, Any]) -> dict[str, Any]:
    read = head.decode_identity(_hex(given, "row"))
    return {"kind": read.kind_name, "origin": read.origin}


def _epochs(given: dict[str, Any]) -> dict[str, Any]:
    epochs = head.decode_epochs(_hex(given, "row"))
    head.verifiers(head.decode_identity(_hex(given, "identity")), epochs)
    return {"signing": [[one.start, one.verifier] for one in epochs.signing]}


def _numbers(given: dict[str, Any]) -> dict[str, Any]:
    row = _hex(given, "row")
    numbers = head.decode_numbers(row)
    public = head.PublicRows(*(_hex(given, name) for name in head.PublicRows._fields))
    origin = head.decode_identity(public.identity).origin
    head.check_numbers(row, public, checkpoint.Signer(origin, _hex(given, "signing_key")))
    return {
        "signing": numbers.signing,
        "audit": [[one.start, one.key] for one in numbers.audit],
        "behind": numbers.behind,
    }


def _verifier(given: dict[str, Any]) -> dict[str, Any]:
    read = checkpoint.parse_verifier(given["line"])
    return {"name": read.name, "key_id": read.key_id.hex(), "public": read.public.hex()}


def _checkpoint(given: dict[str, Any]) -> dict[str, Any]:
    read = checkpoint.parse_checkpoint(given["note"])
    return {"origin": read.origin, "size": read.size, "root": read.root.hex()}


def _verify(given: dict[str, Any]) -> str:
    rows = [_hex(given, name) for name in ("identity", "head", "epochs")]
    records = [(bytes.fromhex(key), bytes.fromhex(row)) for key, row in given["records"]]
    evidence = Evidence(rows[0], rows[1], rows[2], records, given["checkpoint"])
    trusted, kept = given["trusted"], given["kept"]
    return verify(evidence, trusted=trusted, kept=kept, every_signature=True).root.hex()


def _header(given: dict[str, Any]) -> dict[str, Any]:
    header = keyheader.decode_header(_hex(given, "row"))
    told = {
        key: one.hex() if isinstance(one, bytes) else one
        for key, one in msgspec.structs.asdict(header).items()
    }
    return {**told, "fits": header.fits(_hex(given, "root"))}


def _node(given: dict[str, Any]) -> dict[str, Any]:
    level, index = given["place"]
    key, row = _hex(given, "key"), _hex(given, "row")
    node = keytree.open_node(_hex(given, "store_id"), (level, index), key, row)
    return {
        "keys": {str(one): node.key(one).hex() for one in range(64) if node.has(one)},
        "destroyed": [one for one in range(64) if node.lost(one)],
    }


def _view_row(given: dict[str, Any]) -> dict[str, Any]:
    layout = LateViews.layout if given["in_runs"] else TOGETHER
    sealer = Sealer(_hex(given, "view_key"), _hex(given, "index_key"), os.urandom, layout)
    table = Table(given["table"])
    place = sealer.place(RowKey(table, _hex(given, "owner"), _hex(given, "order")))
    row = msgspec.msgpack.decode(sealer.open(place, _hex(given, "row")), type=ROWS[table])
    return {"place": place.hex(), "row": msgspec.to_builtins(row)}


def _blob(given: dict[str, Any]) -> dict[str, Any]:
    blob = _hex(given, "blob")
    opened = backup.open_blob(
        blob, backup.read_header(blob, _hex(given, "store_id")), _hex(given, "key")
    )
    told: dict[str, Any] = msgspec.to_builtins(opened._asdict())
    return told


def _grant(given: dict[str, Any]) -> dict[str, Any]:
    header, text = grant.open_with(_hex(given, "private"), _hex(given, "file"))
    parts = {
        kind: [
            header.part(kind).first,
            header.part(kind).stop,
            text.held(kind).keys.hex(),
            text.held(kind).checkpoint,
        ]
        for kind in record.KINDS
    }
    period = [header.start, header.stop]
    told = {"grant": header.grant.hex(), "at": header.at, "period": period}
    return {**told, "vault": text.vault, "label": text.label, **parts}


def _granted_record(given: dict[str, Any]) -> dict[str, Any]:
    kind = record.KINDS[given["kind"]]
    row = record.split(kind, _hex(given, "row"))
    opened = record.open_with_its_key(_hex(given, "log_id"), row, _hex(given, "key"))
    entry = record.decode_meta(kind, opened)
    return {
        "position": entry.position,
        "time": entry.time,
        "context": msgspec.to_builtins(entry.context),
        "event": msgspec.to_builtins(entry.event),
    }


def _auditor_key(given: dict[str, Any]) -> dict[str, Any]:
    public = auditor.from_text(given["text"])
    return {"public": public.hex(), "fingerprint": auditor.fingerprint(public).hex()}


def _auditor_file(given: dict[str, Any]) -> str:
    phrase = given["passphrase"].encode()
    return auditor.from_file(_hex(given, "file"), (lambda: phrase) if phrase else None).hex()


def _seal(given: dict[str, Any]) -> str:
    label, bound = given["label"].encode(), _hex(given, "bound")
    return seal.open_seal(_hex(given, "key"), label, bound, _hex(given, "sealed")).hex()


def _root(given: dict[str, Any]) -> str:
    return merkle.root_of([merkle.leaf_hash(bytes.fromhex(one)) for one in given["leaves"]]).hex()


def _note(given: dict[str, Any]) -> str:
    return checkpoint.open_note(given["note"], checkpoint.parse_verifier(given["verifier"]))


@pytest.fixture
def readers(tmp_path: Path) -> dict[str, Callable[[dict[str, Any]], object]]:
    def slot(given: dict[str, Any]) -> str:
        (tmp_path / "key").mkdir(mode=0o700)
        file = tmp_path / "key" / "slot-0"
        file.touch(mode=0o600)
        file.write_bytes(_hex(given, "slot"))
        phrase = given["passphrase"].encode()
        directory = tmp_path / "key"
        keeper = PassphraseRootKey(directory, phrase) if phrase else FileRootKey(directory)
        key = keeper.read(0)
        assert key is not None
        return key.hex()

    def log_file(given: dict[str, Any]) -> str:
        file = tmp_path / "changes.log"
        file.write_bytes(_hex(given, "file"))
        with evidence_of(file) as evidence:
            return verify(evidence, every_signature=True).root.hex()

    return {
        "grant": _grant,
        "granted-record": _granted_record,
        "auditor-key": _auditor_key,
        "auditor-file": _auditor_file,
        "log-file": log_file,
        "seal": _seal,
        "record": _record,
        "leaf": _leaf,
        "fields": _fields,
        "opening": _opening,
        "root": _root,
        "inclusion": _inclusion,
        "identity": _identity,
        "head": _head,
        "epochs": _epochs,
        "numbers": _numbers,
        "verifier": _verifier,
        "note": _note,
        "checkpoint": _checkpoint,
        "verify": _verify,
        "header": _header,
        "node": _node,
        "slot": slot,
        "view-row": _view_row,
        "backup": _blob,
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_this_release_reads_it_so(
    file: Path, readers: dict[str, Callable[[dict[str, Any]], object]]
) -> None:
    what, given, expected = of(file)
    try:
        told = {"gives": json.loads(json.dumps(readers[what](given)))}
    except MunimentError as refusal:
        told = {"refused": refusal.code}
    assert told == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_reader_written_from_the_page_reads_it_so(file: Path) -> None:
    what, given, expected = of(file)
    assert independent.outcome(what, given) == expected


def test_the_independent_reader_imports_nothing_of_muniment() -> None:
    source = Path(independent.__file__).read_text()
    imported = {
        line.split()[1] for line in source.splitlines() if line.startswith(("import", "from"))
    }
    assert imported.isdisjoint({"eventstore", "projections", "vault", "cli", "msgspec"})
    assert all(
        name.partition(".")[0] in {*sys.stdlib_module_names, "cryptography"} for name in imported
    )


def test_every_event_of_both_logs_has_a_vector() -> None:
    named = {file.stem for file in FILES}
    for kind, events in independent.EVENTS.items():
        assert {f"record-{kind}-{tag}" for tag in events} <= named


def test_the_vectors_come_out_the_same_byte_for_byte() -> None:
    """No release rewrites a vector: what is written now is what was written then."""
    made = make.files()
    assert {file.name: file.read_bytes() for file in FILES} == made


def test_a_vector_that_would_change_is_not_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "FILES", tmp_path)
    (tmp_path / "seal-opens.json").write_text("{}\n")
    with pytest.raises(SystemExit, match="never rewritten"):
        make.main()
    assert (tmp_path / "seal-opens.json").read_text() == "{}\n"
