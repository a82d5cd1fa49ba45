"""The table "Effective subject set": what a stream's list and `default_subjects` come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.rules.subject_membership import NOT_LISTED, DefaultSubjects, Membership, is_wanted

ALL, NONE = DefaultSubjects.ALL, DefaultSubjects.NONE

numbers = st.none() | st.integers(min_value=0, max_value=2**62)


@pytest.mark.parametrize(
    ("default", "membership", "expected"),
    [
        pytest.param(NONE, NOT_LISTED, False, id="NONE: nothing was said"),
        pytest.param(NONE, Membership(added=5), True, id="NONE: an added subject matches"),
        pytest.param(NONE, Membership(removed=5), False, id="NONE: a removed subject covers"),
        pytest.param(
            NONE, Membership(added=4, removed=5), True, id="NONE: another added one matches still"
        ),
        pytest.param(ALL, NOT_LISTED, True, id="ALL: nothing was said"),
        pytest.param(ALL, Membership(added=5), True, id="ALL: an added subject matches"),
        pytest.param(ALL, Membership(removed=5), False, id="ALL: a removed subject covers"),
        pytest.param(ALL, Membership(added=6, removed=5), True, id="ALL: one added later matches"),
        pytest.param(ALL, Membership(added=4, removed=5), False, id="ALL: one added earlier matches"),
        pytest.param(ALL, Membership(added=0), True, id="ALL: the stream itself"),
        pytest.param(NONE, Membership(added=0), True, id="NONE: the stream itself"),
    ],
)  # fmt: skip
def test_an_event_is_sent_as_the_table_says(default, membership, expected):
    assert is_wanted(default, membership) is expected


@given(numbers, numbers)
def test_a_list_without_removals_never_takes_an_event_from_a_stream_of_all(added, removed):
    assert is_wanted(ALL, Membership(added=added)) is True
    assert is_wanted(NONE, Membership(removed=removed)) is False


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_what_was_said_last_decides_on_a_stream_of_all(added, removed):
    said = Membership(added=added, removed=removed)
    assert is_wanted(ALL, said) is (added > removed)
    assert is_wanted(NONE, said) is True
