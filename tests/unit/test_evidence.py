"""`audit package`, and `verify.py` as an auditor runs it: alone, with a key on paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from eventstore import anchors
from eventstore.checkpoint import parse_checkpoint
from support.evidence import Witness
from support.terminal import Ran, Terminal

VALUE, TYPE, TAG = "correct-horse-battery", "application/x-secret-kind", "owner-of-this"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A vault in which all kinds of things happened."""
    terminal = Terminal(tmp_path_factory.mktemp("audited"))
    terminal.must("init", "shop")
    secret = ("--content-type", TYPE, "--tags", f"{TAG}=x")
    terminal.must("secret", "set", "db-password", *secret, stdin=VALUE)
    terminal.must("secret", "set", "old-token", stdin=VALUE + "-2")
    terminal.must("secret", "show", "db-password", "-o", "none")
    terminal.must("policy", "set", "--object-id", "eve@x.example", "--secret-permissions", "get")
    terminal.must("secret", "show", "db-password", "-o", "none", "--as", "eve@x.example")
    assert terminal.run("secret", "show", "db-password", "--as", "mallory").status == 4
    assert terminal.run("secret", "show", "<script>alert(1)</script>").status == 2
    terminal.must("secret", "delete", "old-token")
    terminal.must("secret", "purge", "old-token", "--yes")
    keys = terminal.json("vault", "show")["verifiers"]
    (terminal.directory / "paper").write_text("\n".join(keys.values()))
    terminal.must("key", "rotate")
    return terminal


@pytest.fixture(scope="module")
def bundle(terminal: Terminal) -> Path:
    terminal.must("audit", "package", "--out", "bundle.zip")
    return terminal.directory / "bundle.zip"


@pytest.fixture(scope="module")
def program(bundle: Path) -> Path:
    """`verify.py` from a bundle, in a folder where nothing else is."""
    place = bundle.parent / "auditor"
    with zipfile.ZipFile(bundle) as opened:
        return Path(opened.extract("verify.py", place))


def audited(terminal: Terminal, program: Path, *arguments: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-I", program, *arguments], cwd=terminal.directory, capture_output=True
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_an_auditor_checks_it_with_one_command_and_a_key_from_paper(
    terminal: Terminal, bundle: Path, program: Path
) -> None:
    ran = audited(terminal, program, "bundle.zip", "--key", "paper")
    assert ran.status == 21, ran
    assert "integrity     verified" in ran.text
    assert "completeness  verified" in ran.text
    assert "time          NOT SHOWN" in ran.text
    assert re.search(r"values given to +1 +eve@x.example", ran.text)


def test_the_program_takes_nothing_but_cryptography_from_elsewhere(program: Path) -> None:
    imported = re.findall(r"^\s*(?:from|import) (\w+)", program.read_text(), re.MULTILINE)
    assert set(imported) - set(sys.stdlib_module_names) == {"cryptography"}


def test_no_value_no_content_type_and_no_tag_is_in_it(bundle: Path) -> None:
    raw = bundle.read_bytes()
    for text in (VALUE, TYPE, TAG):
        assert text.encode() not in raw
    assert b"db-password" in raw


def test_any_zip_tool_opens_it(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as opened:
        assert opened.testzip() is None
        assert {"manifest.json", "report.html", "verify.py"} <= set(opened.namelist())


def test_two_records_say_that_it_was_made_and_the_last_names_the_manifest(
    terminal: Terminal, bundle: Path
) -> None:
    records = terminal.json("log", "--log", "access")
    [made] = [one for one in records if one["operation"] == "evidence.packaged"]
    with zipfile.ZipFile(bundle) as opened:
        digest = sha256(opened.read("manifest.json")).hexdigest()
    assert made["details"]["digest"] == digest
    before = next(one for one in records if one["position"] == made["position"] - 1)
    assert before["operation"] == "history.read"
    assert before["details"]["what"] == "package"


def test_each_record_can_be_printed(terminal: Terminal, bundle: Path, program: Path) -> None:
    ran = audited(terminal, program, "bundle.zip", "--key", "paper", "--events")
    records = [json.loads(line) for line in ran.text.splitlines()]
    logged = {(one["log"], one["position"]): one for one in terminal.json("log")}
    assert len(records) >= 15
    for one in records:
        known = logged[one["log"], one["position"]]
        assert one["context"]["principal"] == known["principal"]
        assert known["operation"] in (one["event"]["type"], one["event"].get("operation"))


def test_a_key_of_another_vault_is_none(
    terminal: Terminal, bundle: Path, program: Path, tmp_path: Path
) -> None:
    other = Terminal(tmp_path)
    other.must("init")
    keys = other.json("vault", "show")["verifiers"]
    (terminal.directory / "wrong").write_text("\n".join(keys.values()))
    ran = audited(terminal, program, "bundle.zip", "--key", "wrong")
    assert ran.status == 20
    assert "none of the keys you trust" in ran.text
    one_log = (terminal.directory / "paper").read_text().split("\n")[0]
    (terminal.directory / "half").write_text(one_log)
    assert audited(terminal, program, "bundle.zip", "--key", "half").status == 20


def test_a_paper_with_the_keys_of_two_vaults_is_no_verdict(
    terminal: Terminal, bundle: Path, program: Path, tmp_path: Path
) -> None:
    """Else `changes` of one vault and `access` of another would pass for one vault's."""
    other = Terminal(tmp_path)
    other.must("init")
    keys = "\n".join(other.json("vault", "show")["verifiers"].values())
    both = f"{(terminal.directory / 'paper').read_text()}\n{keys}\n"
    (terminal.directory / "both").write_text(both)
    ran = audited(terminal, program, "bundle.zip", "--key", "both")
    assert (ran.status, b"give those of one vault" in ran.err) == (2, True), ran


def test_what_lies_beside_the_program_is_not_run(
    terminal: Terminal, bundle: Path, program: Path, tmp_path: Path
) -> None:
    """Unpacked, a forged bundle could bring a module by the name of one that the program takes."""
    beside = tmp_path / "verify.py"
    beside.write_bytes(program.read_bytes())
    for name in ("hashlib", "cryptography", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(0)")
    asked = [sys.executable, str(beside), str(bundle), "--key"]
    ran = subprocess.run([*asked, str(terminal.directory / "paper")], capture_output=True)
    assert (ran.returncode, b"integrity     verified" in ran.stdout) == (21, True), ran


def test_a_mistyped_key_is_no_verdict(terminal: Terminal, bundle: Path, program: Path) -> None:
    text = (terminal.directory / "paper").read_text()
    (terminal.directory / "mistyped").write_text(text.replace("A", "B", 1).replace("C", "D", 2))
    ran = audited(terminal, program, "bundle.zip", "--key", "mistyped")
    assert (ran.status, ran.out) == (2, b"")


def test_a_bundle_of_a_shorter_period_than_was_asked_is_refused(
    terminal: Terminal, bundle: Path, program: Path
) -> None:
    asked = ("bundle.zip", "--key", "paper", "--from", "2020-01-01")
    assert audited(terminal, program, *asked, "--to", "2021-01-01").status == 21
    ran = audited(terminal, program, *asked, "--to", "2090-01-01")
    assert ran.status == 20
    assert "shorter period" in ran.text


def test_a_period_without_a_record_is_whole_too(terminal: Terminal, program: Path) -> None:
    terminal.must(
        *("audit", "package", "--out", "empty.zip"),
        *("--from", "2020-01-01", "--to", "2020-02-01"),
    )
    ran = audited(terminal, program, "empty.zip", "--key", "paper")
    assert ran.status == 21
    assert "changes has none, access has none" in ran.text


def test_rules_from_before_the_period_are_proved(terminal: Terminal, program: Path) -> None:
    start = terminal.json("log", "--operation", "secret.deleted")[0]["time"]
    terminal.must(*("audit", "package", "--out", "late.zip", "--from", start))
    ran = audited(terminal, program, "late.zip", "--key", "paper", "--from", start)
    assert ran.status == 21, ran
    assert "vault         shop" in ran.text
    assert re.search(r'rule before .* policy.set .*"object_id": "eve@x.example"', ran.text)


def test_a_period_begins_and_ends_at_events_and_kept_checkpoints_too(
    terminal: Terminal, program: Path
) -> None:
    changes = terminal.json("log", "--log", "changes")
    (terminal.directory / "kept").write_bytes(terminal.must("checkpoint", "show").out)
    made = ("audit", "package", "--from", "#2")
    first = terminal.must(*made, "--to", "#5", "--out", "few.zip", "-o", "json")
    assert first.json["changes"] == 3
    assert (first.json["from"], first.json["to"]) == (changes[2]["time"], changes[5]["time"])
    assert first.told.splitlines() == [
        f"--from #2, {changes[2]['time']}",
        f"--to #5, {changes[5]['time']}",
    ]
    ran = audited(terminal, program, "few.zip", "--key", "paper")
    assert (ran.status, "changes #2 to #4" in ran.text) == (21, True), ran
    kept = terminal.must(*made, "--to", "@kept", "--out", "kept.zip", "-o", "json")
    assert kept.json["to"] == changes[-1]["time"]


# --- others' word ---------------------------------------------------------------------------------


def test_the_word_of_a_witness_gives_the_third_verdict(terminal: Terminal, program: Path) -> None:
    witness = Witness()
    [vault] = (terminal.home / "vaults").iterdir()
    for log in ("changes", "access"):
        note = (vault / log / "checkpoint").read_text()
        anchors.keep(vault / log, witness.cosigned(note, _now() + 10_000_000))
    stop = terminal.json("log", "--log", "changes")[-1]["time"]
    terminal.must(*("audit", "package", "--out", "seen.zip", "--to", stop))
    (terminal.directory / "policy").write_text(witness.policy)
    ran = audited(terminal, program, "seen.zip", "--key", "paper", "--policy", "policy")
    assert ran.status == 0, ran
    assert "time          verified: others had seen changes before" in ran.text
    stranger = Witness("witness.example/w2", b"2" * 32)
    (terminal.directory / "policy").write_text(stranger.policy)
    ran = audited(terminal, program, "seen.zip", "--key", "paper", "--policy", "policy")
    assert (ran.status, "nobody whom you believe" in ran.text) == (21, True)


def _now() -> int:
    return time.time_ns() // 1000


def test_a_time_stamp_gives_it_too_and_a_false_one_is_refused(
    terminal: Terminal, program: Path, tmp_path: Path
) -> None:
    """The authority is made with openssl, and speaks RFC 3161."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    _authority(tmp_path)
    [vault] = (terminal.home / "vaults").iterdir()
    for log in ("changes", "access"):
        note = (vault / log / "checkpoint").read_text()
        anchors.keep(vault / log, note)
        answer = _stamped(tmp_path, parse_checkpoint(note).text)
        anchors.keep_timestamp(vault / log, parse_checkpoint(note).size, answer)
    stop = terminal.json("log", "--log", "changes")[-1]["time"]
    made = ("audit", "package", "--to", stop)
    terminal.must(*made, "--out", "stamped.zip")
    trusted = ("--key", "paper", "--tsa-root", str(tmp_path / "root.pem"))
    ran = audited(terminal, program, "stamped.zip", *trusted)
    assert "time          verified: others had seen changes before" in ran.text
    # An authority stamps two histories of one log as gladly as one.
    assert (ran.status, ran.text.count("weaker        no witness")) == (21, 2), ran

    other = tmp_path / "other"
    other.mkdir()
    _authority(other)
    unknown = ("--key", "paper", "--tsa-root", str(other / "root.pem"))
    assert audited(terminal, program, "stamped.zip", *unknown).status == 21

    size = parse_checkpoint((vault / "changes" / "checkpoint").read_text()).size
    place = vault / "changes" / "anchors" / f"{size:020}-1.tsr"
    whole = place.read_bytes()
    year = re.search(rb"\x18\x0f(\d{14})Z", whole)
    assert year
    for at in (year.start(1) + 9, whole.index(b"\x04\x20") + 5, len(whole) - 9):
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        terminal.must(*made, "--out", "stamped.zip", "--yes")
        ran = audited(terminal, program, "stamped.zip", *trusted)
        assert (ran.status, "time          NOT VERIFIED" in ran.text) == (20, True), at
    place.write_bytes(_stamped(tmp_path, "another text"))
    terminal.must(*made, "--out", "stamped.zip", "--yes")
    ran = audited(terminal, program, "stamped.zip", *trusted)
    assert (ran.status, "of another checkpoint" in ran.text) == (20, True)
    place.write_bytes(whole)


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _authority(folder: Path) -> None:
    """A root, and a key that may stamp times."""
    (folder / "tsa.cnf").write_text(TSA)
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout")
    root = ("-out", "root.pem", "-subj", "/CN=Root", "-days", "30", "-config", "tsa.cnf")
    _openssl(folder, "req", "-x509", *key, "root.key", *root, "-extensions", "ca")
    _openssl(
        folder, "req", *key, "tsa.key", "-out", "tsa.csr", "-subj", "/CN=TSA", "-config", "tsa.cnf"
    )
    signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30")
    extensions = ("-extfile", "tsa.cnf", "-extensions", "stamp")
    _openssl(folder, "x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", *signed, *extensions)
    (folder / "serial").write_text("01\n")


def _stamped(folder: Path, text: str) -> bytes:
    (folder / "text").write_text(text)
    _openssl(folder, "ts", "-query", "-data", "text", "-sha256", "-cert", "-out", "query.tsq")
    reply = ("-queryfile", "query.tsq", "-out", "answer.tsr", "-config", "tsa.cnf")
    _openssl(folder, "ts", "-reply", *reply)
    return (folder / "answer.tsr").read_bytes()


TSA = """
[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:true
[stamp]
basicConstraints=CA:false
extendedKeyUsage=critical,timeStamping
[tsa]
default_tsa=one
[one]
serial=serial
signer_cert=tsa.pem
signer_key=tsa.key
certs=root.pem
default_policy=1.2.3.4
digests=sha256
signer_digest=sha256
ess_cert_id_alg=sha256
"""


def test_a_kept_checkpoint_is_compared_if_it_was_named(terminal: Terminal, program: Path) -> None:
    terminal.must("secret", "set", "more", stdin="v")
    note = terminal.must("checkpoint", "show").out
    (terminal.directory / "kept").write_bytes(note)
    made = ("audit", "package", "--to", "2020-01-01")
    terminal.must(*made, "--out", "with.zip", "--against", "kept")
    terminal.must("secret", "set", "more", stdin="v")
    terminal.must(*made, "--out", "later.zip", "--against", "kept")
    terminal.must(*made, "--out", "without.zip")
    for name, weaker in (("with.zip", False), ("later.zip", False), ("without.zip", True)):
        ran = audited(terminal, program, name, "--key", "paper", "--against", "kept")
        assert ran.status == 21
        assert ("cannot be compared" in ran.text) is weaker, name


# --- the report -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a reader who sees no picture gets of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(bundle: Path) -> Page:
    page = Page()
    with zipfile.ZipFile(bundle) as opened:
        page.feed(opened.read("report.html").decode())
    return page


def test_the_report_loads_nothing_and_runs_nothing(page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "onload", "onclick"} & names


def test_the_report_is_readable_without_seeing_it(page: Page) -> None:
    assert ("lang", "en") in page.attributes
    assert page.tags.count("svg") == len([one for one in page.attributes if one[0] == "role"])
    assert page.tags.count("caption") == page.tags.count("table") > 4
    assert ("scope", "col") in page.attributes


def test_the_counts_of_the_report_add_up_to_the_records_proved(
    terminal: Terminal, bundle: Path, program: Path
) -> None:
    with zipfile.ZipFile(bundle) as opened:
        text = opened.read("report.html").decode()
        said = json.loads(opened.read("manifest.json"))["logs"]
    total = sum(one["stop"] - one["first"] for one in said.values())
    kinds = [int(one) for one in re.findall(r"<li class=\"\w+\"><b>([\d,]+)</b>", text)]
    assert sum(kinds) == total
    assert f"<b>{total}</b>records in all" in text
    printed = audited(terminal, program, "bundle.zip", "--key", "paper").text
    assert f"{total} records:" in printed
    assert f"{kinds[0]} values given out" in printed


def test_what_a_caller_wrote_is_never_markup(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as opened:
        assert "<script" not in opened.read("report.html").decode()


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("--to", "2090-01-01"), 2, "evidence.period-not-over"),
        (("--from", "2020-02-01", "--to", "2020-01-01"), 2, "points.reversed"),
        (("--from", "#9999"), 3, "log.no-such-position"),
        (("--from", "nonsense"), 2, "point.invalid"),
        (("--as", "eve@x.example"), 4, "access.not-administrator"),
    ],
)
def test_what_cannot_be_packaged_is_said_and_leaves_no_file(
    terminal: Terminal, bundle: Path, arguments: tuple[str, ...], status: int, code: str
) -> None:
    before = set(terminal.directory.iterdir())
    refused = terminal.run(*("audit", "package", "--out", "no.zip", "-o", "json", *arguments))
    assert (refused.status, refused.error["code"]) == (status, code)
    assert set(terminal.directory.iterdir()) == before


def test_a_refusal_to_package_is_on_record(terminal: Terminal, bundle: Path) -> None:
    terminal.run("audit", "package", "--out", "no.zip", "--as", "mallory")
    last = terminal.json("log", "--log", "access", "--last", "1")[0]
    assert (last["operation"], last["principal"]) == ("evidence.packaged", "mallory")
    assert last["outcome"] == "access.not-administrator"


def test_a_file_that_stands_there_stays(terminal: Terminal, bundle: Path) -> None:
    whole = bundle.read_bytes()
    refused = terminal.run(*("audit", "package", "--out", "bundle.zip", "-o", "json"))
    assert (refused.status, refused.error["code"]) == (5, "file.exists")
    assert bundle.read_bytes() == whole


def test_an_anchor_of_another_history_stops_it(terminal: Terminal, tmp_path: Path) -> None:
    """What others signed and the log does not extend is not left out quietly."""
    away = Terminal(tmp_path)
    away.must("init")
    [vault] = (away.home / "vaults").iterdir()
    note = (vault / "changes" / "checkpoint").read_text()
    lines = note.split("\n")
    lines[2] = "A" * 43 + "="
    anchors.keep(vault / "changes", "\n".join(lines))
    refused = away.run("audit", "package", "--out", "b.zip", "-o", "json")
    assert (refused.status, refused.error["code"]) == (20, "verify.forked")
    assert not (tmp_path / "b.zip").exists()
