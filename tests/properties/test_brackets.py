"""A bracket is what a look at every word gives, however many there are."""

from hypothesis import given
from hypothesis import strategies as st

from eventstore.bracket import Brackets, Seen

words = st.builds(
    Seen, st.integers(0, 12), st.integers(0, 50), st.sampled_from("abc"), st.booleans()
)


@given(st.lists(words, max_size=12), st.integers(0, 13))
def test_both_sides_are_the_nearest_words_that_count(seen: list[Seen], position: int) -> None:
    after, before = Brackets(seen).of(position)
    later = [one.time for one in seen if one.size > position]
    shorter = [one for one in seen if one.size <= position and one.witnessed]
    earlier = [one.time if one.since is None else one.since for one in shorter]
    assert (before and before.time) == min(later, default=None)
    assert (after and after.time) == max(earlier, default=None)
    assert before is None or before.size > position
    assert after is None or (after.size <= position and after.witnessed)
