"""Templates of shared access signatures: what is read, what is refused, what is signed."""

from urllib.parse import parse_qs

import pytest

from vault import sas
from vault.refusals import SasTemplateInvalid, SasVersionUnknown

KEY = bytes(range(64))
EXPIRES = 1_790_000_000
ACCOUNT = "sv=2018-03-28&ss=bqtf&srt=sco&sp=rwdlacup&spr=https"
BLOB = "https://acct.blob.core.windows.net/cont/a/b.txt?sv=2020-12-06&sr=b&sp=r"


def minted(sas_type: str, template: str) -> dict[str, list[str]]:
    token = sas.mint(sas.read(sas_type, template), "acct", KEY, EXPIRES)
    assert token.value.startswith("?")
    assert token.expires == EXPIRES
    return parse_qs(token.value[1:], keep_blank_values=True)


def test_signature_and_expiry_of_a_template_mean_nothing():
    plain = minted("account", ACCOUNT)
    assert minted("account", f"?{ACCOUNT}&se=2001-01-01T00:00:00Z&sig=AAAA") == plain
    assert plain["se"] == ["2026-09-21T14:13:20Z"]


def test_a_token_is_signed_by_the_key_and_for_the_account():
    template = sas.read("account", ACCOUNT)
    tokens = {
        sas.mint(template, name, key, EXPIRES).value
        for name in ("acct", "other")
        for key in (KEY, bytes(64))
    }
    assert len(tokens) == 4


def test_every_parameter_is_signed_or_names_the_resource():
    changed = [
        BLOB,
        BLOB.replace("sp=r", "sp=w"),
        BLOB.replace("b.txt", "c.txt"),
        BLOB.replace("sv=2020-12-06", "sv=2021-02-12"),
        BLOB.replace("sr=b&", "sr=bs&"),
        BLOB + "&st=2020-01-01T00:00:00Z",
        BLOB + "&sip=192.0.2.1",
        BLOB + "&spr=https",
        BLOB + "&si=policy",
        BLOB + "&ses=scope",
        BLOB + "&snapshot=2020-01-01T00:00:00.0000000Z",
        *(f"{BLOB}&{name}=x" for name in ("rscc", "rscd", "rsce", "rscl", "rsct")),
    ]
    signatures = {minted("service", template)["sig"][0] for template in changed}
    assert len(signatures) == len(changed)


def test_an_emulators_address_with_the_account_in_its_path_is_read_too():
    template = BLOB.replace("https://acct.blob.core.windows.net", "http://127.0.0.1:10000/acct")
    assert minted("service", template) == minted("service", BLOB)
    assert sas.read("service", template).account == "acct"


def test_a_snapshot_is_signed_and_stands_in_the_address_only():
    token = minted("service", BLOB.replace("sr=b", "sr=bs") + "&snapshot=2020-01-01T00:00:00Z")
    assert "snapshot" not in token


@pytest.mark.parametrize("version", ["2014-02-14", "2027-01-01", "2020-12-07", "", "x"])
def test_a_version_whose_text_to_sign_is_not_known_is_refused(version):
    with pytest.raises((SasVersionUnknown, SasTemplateInvalid)):
        sas.read("account", ACCOUNT.replace("2018-03-28", version))


@pytest.mark.parametrize(
    ("sas_type", "template"),
    [
        ("other", ACCOUNT),
        ("account", ""),
        ("account", "?"),
        ("account", BLOB),
        ("account", ACCOUNT + "&sp=r"),
        ("account", ACCOUNT + "&sr=b"),
        ("account", ACCOUNT + "&comp=list"),
        ("account", ACCOUNT.replace("&sp=rwdlacup", "")),
        ("account", ACCOUNT.replace("ss=bqtf", "ss=B%0A")),
        ("account", ACCOUNT + "&ses=scope"),
        ("account", ACCOUNT.replace("spr=https", "spr=ftp")),
        ("account", ACCOUNT + "&sip=1.1.1.1%0A"),
        ("account", "sv=2018-03-28&nonsense"),
        ("account", ACCOUNT + "&sip=" + "1" * sas.MAX_TEMPLATE),
        ("service", ACCOUNT),
        ("service", BLOB.replace("https:", "file:")),
        ("service", BLOB.replace("acct.blob", "acct.other")),
        ("service", BLOB.replace("acct.blob", "acct.account")),
        ("service", BLOB.replace("acct.", "a.")),
        ("service", BLOB.replace("https://", "https://user@")),
        ("service", BLOB + "#part"),
        ("service", BLOB.replace("/cont/a/b.txt", "")),
        ("service", BLOB.replace("/cont/a/b.txt", "/cont")),
        ("service", BLOB.replace("/a/", "/../")),
        ("service", BLOB.replace("/a/", "/%0A/")),
        ("service", BLOB.replace("sr=b", "sr=f")),
        ("service", BLOB.replace("&sp=r", "")),
        ("service", BLOB + "&skoid=8fc84c0a-3bd7-4a3e-9f8c-1d2e3f405162"),
        ("service", BLOB.replace("b.txt", "\u00fc.txt")),
        ("service", "https://[::1?sv=2020-12-06"),
    ],
)
def test_a_template_of_which_no_token_could_be_made_is_refused(sas_type, template):
    with pytest.raises(SasTemplateInvalid):
        sas.read(sas_type, template)


def test_a_container_is_signed_as_such_whatever_stands_behind_it():
    of = "https://acct.blob.core.windows.net/cont{}?sv=2020-12-06&sr=c&sp=r"
    assert minted("service", of.format("")) == minted("service", of.format("/a/b"))


def test_neither_a_template_nor_a_token_is_shown_by_python():
    template = sas.read("account", ACCOUNT)
    token = sas.mint(template, "acct", KEY, EXPIRES)
    assert "sig" not in repr(token)
    assert ACCOUNT not in repr(template)
    assert "sp=" not in repr(template)
