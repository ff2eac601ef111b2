"""What the query of a request to the control plane may say."""

import pytest

from server import arm_query
from server.refusals import QueryMalformed


def test_the_conditions_of_a_filter_hold_all_together():
    text = " resourceType EQ 'Microsoft.KeyVault/vaults' and NAME eq 'Mine' ".replace("EQ", "eq")
    found = {"resourcetype": "Microsoft.KeyVault/vaults", "name": "Mine"}
    assert arm_query.conditions(text) == found
    assert arm_query.conditions("") == {}


@pytest.mark.parametrize(
    "text", ["name ne 'x'", "name eq x", "tag eq 'x'", "name eq 'x' or name eq 'y'", "and"]
)
def test_a_filter_of_another_kind_is_refused(text):
    with pytest.raises(QueryMalformed, match="eq and and"):
        arm_query.conditions(text)


def test_a_filter_is_bounded_before_a_pattern_looks_at_it():
    with pytest.raises(QueryMalformed, match="at most"):
        arm_query.conditions("name eq 'x'" + " " * arm_query.MAX_FILTER)


@pytest.mark.parametrize("text", ["0", "", "-1", "1e3", "\u0661", "100000"])
def test_a_page_has_a_whole_number_of_entries(text):
    with pytest.raises(QueryMalformed):
        arm_query.page_size({"$top": text})


def test_a_page_has_at_most_25_entries():
    assert arm_query.page_size({"$top": "99"}) == arm_query.page_size({}) == 25
    assert arm_query.page_size({"$top": "3"}) == 3
