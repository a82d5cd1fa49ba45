"""Looking up by projections finds whom reading the whole list would find, and nobody else."""

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssf.protocol.subjects import Subject, covers, parse_subject, subjects_match
from ssf.rules.subject_projections import (
    MAX_LISTED_MEMBERS,
    SIMPLE,
    all_projections,
    lookups,
    shape_of,
    whole_projection,
)


def opaque(id_: str) -> dict[str, str]:
    return {"format": "opaque", "id": id_}


def complex_of(**members: str) -> Subject:
    return parse_subject(
        {"format": "complex", **{name: opaque(id_) for name, id_ in members.items()}}
    )


_VALUES = st.sampled_from(
    [
        opaque("1"),
        opaque("2"),
        {"format": "email", "email": "a@example.com"},
        {"format": "email", "email": "a@EXAMPLE.com"},
        {"format": "aliases", "identifiers": [opaque("1"), opaque("2")]},
        {"format": "aliases", "identifiers": [opaque("2"), opaque("1")]},
    ]
)
# Names that a careless key would confuse: with separators, quotes, and one that begins another.
_NAMES = st.sampled_from(["user", "device", "tenant", "use", 'user","device', "ü", "a,b", "[]"])

complex_identifiers = st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=4).map(
    lambda members: {"format": "complex", **members}
)
subjects = st.one_of(complex_identifiers, complex_identifiers, _VALUES).map(parse_subject)


def looked_up(listed: list[Subject], event: Subject) -> tuple[set[str], set[str]]:
    """Who matches and who covers, by the keys alone; each subject is named by its canonical."""
    by_key: dict[bytes, set[str]] = defaultdict(set)
    removed_by_key: dict[bytes, set[str]] = defaultdict(set)
    shapes = {shape_of(one) for one in listed} - {SIMPLE}
    for one in listed:
        for key in all_projections(one) or [one.key]:
            by_key[key].add(one.canonical)
        for key in whole_projection(one) or [one.key]:
            removed_by_key[key].add(one.canonical)
    if not event.members:
        return by_key[event.key], removed_by_key[event.key]
    found = lookups(event, shapes).values()
    matching = set().union(*(by_key[one.key] for one in found))
    covering = set().union(*(removed_by_key[one.key] for one in found if one.is_whole))
    return matching, covering


@given(st.lists(subjects, max_size=12), subjects)
@example([complex_of(device="D")], complex_of(user="U"))
@example([complex_of(user="1", device="1")], complex_of(user="1", tenant="2"))
def test_looking_up_finds_exactly_those_that_match_and_those_that_cover(listed, event):
    matching, covering = looked_up(listed, event)

    assert matching == {one.canonical for one in listed if subjects_match(one, event)}
    assert covering == {one.canonical for one in listed if covers(one, event)}


@given(subjects)
def test_a_subject_of_n_members_has_two_to_the_n_keys_and_none_of_them_twice(subject):
    keys = all_projections(subject)
    assert len(keys) == len(set(keys)) == (2 ** len(subject.members) if subject.members else 0)
    assert set(whole_projection(subject)) <= set(keys)
    assert all(len(key) == 32 for key in keys)


@given(subjects, subjects)
def test_subjects_of_different_shapes_share_no_key(one, other):
    shared = set(all_projections(one)) & set(all_projections(other))
    if shape_of(one) != shape_of(other):
        assert not shared


@given(complex_identifiers)
def test_the_order_of_members_does_not_count(identifier):
    turned: dict[str, Any] = dict(reversed(identifier.items()))
    one, other = parse_subject(identifier), parse_subject(turned)
    assert shape_of(one) == shape_of(other)
    assert all_projections(one) == all_projections(other)
    assert lookups(one, [shape_of(other)]) == lookups(other, [shape_of(one)])


def test_a_shape_is_the_names_of_the_members_as_sorted_json():
    assert shape_of(complex_of(user="1", device="2")) == '["device","user"]'
    assert json.loads(shape_of(complex_of(**{'a","b': "1"}))) == ['a","b']


@pytest.mark.parametrize(
    "identifier",
    [opaque("1"), {"format": "aliases", "identifiers": [opaque("1")]}, {"format": "x", "user": {}}],
    ids=["simple", "aliases", "proprietary"],
)
def test_a_subject_that_is_not_complex_has_the_simple_shape_and_no_projections(identifier):
    subject = parse_subject(identifier)
    assert shape_of(subject) == SIMPLE
    assert all_projections(subject) == whole_projection(subject) == []


def test_the_most_members_that_a_list_takes_have_256_projections():
    most = complex_of(**{f"m{number}": "1" for number in range(MAX_LISTED_MEMBERS)})
    assert len(all_projections(most)) == 256


def test_a_lookup_is_whole_when_the_event_has_every_member_of_the_shape():
    event = complex_of(user="1", tenant="2")
    shapes = ['["user"]', '["tenant","user"]', '["device","user"]', '["device"]']
    found = lookups(event, shapes)
    assert [found[shape].is_whole for shape in shapes] == [True, True, False, False]
