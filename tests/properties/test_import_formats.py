"""Any text is read, or refused by a coded error that quotes no value."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli.import_formats import FORMATS, Failed, Item, read
from cli.problems import ImportMalformed
from cli.secret_export import _written, variable_name

KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8"))
NAMES = st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True)
LINES = st.lists(
    st.one_of(
        st.text(),
        st.builds("{}={}".format, KEYS, st.text()),
        st.builds('{}="{}"'.format, KEYS, st.text()),
        st.builds("export {} = '{}' # {}".format, KEYS, st.text(), st.text()),
    )
).map("\n".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["data", "value", "name", "id", "attributes", "tags", "expires"])
            | st.text(),
            inner,
        )
    ),
).map(json.dumps)


def read_whole(text: str, form: str | None = None) -> list[Item]:
    """All items of *text*; raise what is wrong with the first that is none."""
    items = []
    for item in read(text, form):
        if isinstance(item, Failed):
            raise item.error
        items.append(item)
    return items


@given(st.one_of(st.text(), LINES, JSON), st.sampled_from([None, *FORMATS]))
@example("[" * 100_000, None)
@example("1" * 10_000, "json")
@example('{"a": "\\ud800"}', None)
@example('{"a": "x", "a": "y"}', None)
@example('{"a": "x"} trailing', None)
@example('KEY="' + "\\" * 9_999, None)
@example("\ufeffA=b", None)
@example("A=b\r\nC=d\r\n", None)
@example("", None)
def test_any_text_is_read_or_refused(text: str, form: str | None) -> None:
    try:
        items = read(text, form)
    except ImportMalformed:
        return
    for item in items:
        if isinstance(item, Failed):
            assert isinstance(item.error, ImportMalformed)
        else:
            (item.name + item.value).encode()


MARK = "hunter2-Zq"


@pytest.mark.parametrize(
    "text",
    [
        f"{MARK}",
        f"A=b\nMII{MARK}/abc\n",
        f'A="{MARK}',
        f"A='{MARK}",
        f'A="{MARK}" {MARK}',
        f'A="{MARK}\\q"',
        f"A=#{MARK}",
        f'{{"a": "{MARK}"',
        f'{{"a": ["{MARK}"]}}',
        f'[{{"name": "a", "value": ["{MARK}"]}}]',
        f'{{"attributes": {{"expires": "{MARK}"}}, "name": "a", "value": "{MARK}"}}',
        f'{{"a": "{MARK}\\ud800"}}',
        f'["{MARK}"]',
    ],
)
def test_a_refusal_quotes_no_value(text: str) -> None:
    with pytest.raises(ImportMalformed) as refused:
        read_whole(text)
    assert MARK not in refused.value.message
    assert refused.value.__cause__ is None


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(["json", "dotenv"]))
def test_what_export_writes_import_reads(values: dict[str, str], form: str) -> None:
    if len({variable_name(name) for name in values}) < len(values) or not values:
        return
    values = {name: value.replace("\r\n", "\n") for name, value in values.items()}

    items = read_whole(_written(values, form), form)

    named = variable_name if form == "dotenv" else str
    assert {item.name: item.value for item in items} == {
        named(name): value for name, value in values.items()
    }


@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_json_and_vault_keep_every_value(values: dict[str, str]) -> None:
    values.pop("data", None)
    values.pop("attributes", None)
    plain = read_whole(json.dumps(values)) if values else []
    wrapped = read_whole(json.dumps({"data": {"data": values}}))
    assert {item.name: item.value for item in plain} == values
    assert {item.name: item.value for item in wrapped} == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b", {"A": "b"}),
        ("A = b  # why", {"A": "b"}),
        ("A=pa#ss", {"A": "pa#ss"}),
        ("A=", {"A": ""}),
        ("A=b=c==", {"A": "b=c=="}),
        ("export A=b", {"A": "b"}),
        ("  A=b", {"A": "b"}),
        ("# A=b\n\n \nB=c", {"B": "c"}),
        ("A=$HOME", {"A": "$HOME"}),
        ("A='$X # \\n'", {"A": "$X # \\n"}),
        ('A="x\\ny\\t\\"z\\" \\\\ \\$"', {"A": 'x\ny\t"z" \\ $'}),
        ('A="one\ntwo"\nB=c', {"A": "one\ntwo", "B": "c"}),
        ("A='one\ntwo' # why\nB=c", {"A": "one\ntwo", "B": "c"}),
        ("A=b\r\nB='c'\r\n", {"A": "b", "B": "c"}),
    ],
)
def test_dotenv(text: str, expected: dict[str, str]) -> None:
    assert {item.name: item.value for item in read_whole(text)} == expected


def test_a_line_is_named_after_values_of_several_lines() -> None:
    with pytest.raises(ImportMalformed, match="line 5:"):
        read('A="1\n2\n3"\n# why\nnot a line\n')


def test_az_keeps_what_stands_beside_the_value() -> None:
    bundle = {
        "attributes": {
            "enabled": False,
            "expires": "2030-01-01T00:00:00+00:00",
            "notBefore": None,
        },
        "contentType": "text/plain",
        "id": "https://v.vault.azure.net/secrets/db-password/0123",
        "tags": {"env": "prod"},
        "value": "x",
    }

    item, again = read_whole(json.dumps(bundle) + "\n" + json.dumps(bundle | {"name": "b"}))

    assert item == Item(
        "item 1 ('db-password')",
        "db-password",
        "x",
        content_type="text/plain",
        tags={"env": "prod"},
        enabled=False,
        exp=1893456000,
    )
    assert again.name == "b"


def test_a_list_of_az_without_values_is_explained() -> None:
    with pytest.raises(ImportMalformed, match="has no value"):
        read_whole('[{"name": "a", "attributes": {}}]')
