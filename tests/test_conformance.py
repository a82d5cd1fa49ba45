"""The page of conformance is whole: every demand has its row, and every test in it is there."""

import re
from pathlib import Path

import pytest

from ssf.protocol.event_types import EVENT_TYPES
from ssf.protocol.subject_formats import FORMAT_NAMES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/conformance.md").read_text()

MINIMUM_ROWS = {
    "§7 Discovery": 12,
    "§8 Management API": 9,
    "§8.1.1 Stream configuration": 14,
    "§6.1 Delivery objects": 3,
    "§8.1.2 Stream status": 6,
    "§8.1.3 Subjects": 7,
    "§8.1.4 Verification": 2,
    "§8.1.1 Inactivity": 2,
    "§2, §3 Subjects in events": 4,
    "§4 The SET": 10,
    "§9, §10 Security and privacy": 4,
    "The receiver": 13,
    "RFC 8935 and RFC 8936: the usual mistakes": 25,
    "Formats": 17,
    "Matching: what was added, and what the event is about (SSF 1.0 §8.1.3.1)": 12,
    "Effective subject set": 8,
    "SSF 1.0: events about a stream": 2,
    "CAEP 1.0": 11,
    "RISC 1.0": 16,
    "RFC 9967": 16,
    "OAuth event types (draft of 2018, off unless turned on)": 8,
    "Endpoints": 9,
    "Where it differs from SSF 1.0": 26,
    "Replacing the configuration": 13,
    "Other operations": 7,
}
"""Section to the rows of its contract; there may be more."""

NO_TEST = re.compile(r"^(?:No test|Not tested): .{15,}")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)(\[(?:[^`]*)\])?`")


def _sections() -> dict[str, list[list[str]]]:
    """Heading to its rows, each row its three cells. A `|` within a cell is written `\\|`."""
    sections: dict[str, list[list[str]]] = {}
    heading = ""
    for line in PAGE.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| ") and not line.endswith("| Asks for | Shown by |"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            sections.setdefault(heading, []).append(cells)
    return sections


SECTIONS = _sections()
ROWS = [(heading, *cells) for heading, rows in SECTIONS.items() for cells in rows]
IN_FILE = {
    path: set(re.findall(r"^(?:async )?def (test_\w+)\(", (ROOT / path).read_text(), re.MULTILINE))
    for path in {path for path, _, _ in NAMED.findall(PAGE)}
    if (ROOT / path).is_file()
}


def _keys(heading: str) -> set[str]:
    return {cells[0] for cells in SECTIONS[heading]}


@pytest.mark.parametrize("heading", MINIMUM_ROWS)
def test_every_section_has_its_rows(heading: str) -> None:
    assert len(SECTIONS.get(heading, [])) >= MINIMUM_ROWS[heading]


def test_no_section_is_unknown_here() -> None:
    assert set(SECTIONS) == set(MINIMUM_ROWS)


@pytest.mark.parametrize(
    "number", [f"T-{n}" for n in range(1, 41)] + [f"R-{n}" for n in range(1, 14)]
)
def test_every_demand_of_ssf_1_0_has_one_row(number: str) -> None:
    assert [key for _, key, *_ in ROWS].count(number) == 1


@pytest.mark.parametrize("number", range(1, 16))
def test_every_mistake_has_a_row_for_the_transmitter(number: int) -> None:
    assert f"{number}, transmitter" in _keys("RFC 8935 and RFC 8936: the usual mistakes")


@pytest.mark.parametrize("number", [1, 2, 3, 4, 9, 10, 11, 13, 14, 15])
def test_every_mistake_that_a_receiver_makes_has_a_row_for_the_receiver(number: int) -> None:
    assert f"{number}, receiver" in _keys("RFC 8935 and RFC 8936: the usual mistakes")


@pytest.mark.parametrize("name", sorted(FORMAT_NAMES))
def test_every_format_has_a_row(name: str) -> None:
    assert f"`{name}`" in _keys("Formats")


FAMILIES = {
    "https://schemas.openid.net/secevent/ssf/": "SSF 1.0: events about a stream",
    "https://schemas.openid.net/secevent/caep/": "CAEP 1.0",
    "https://schemas.openid.net/secevent/risc/": "RISC 1.0",
    "urn:ietf:params:scim:event:": "RFC 9967",
    "https://schemas.openid.net/secevent/oauth/": (
        "OAuth event types (draft of 2018, off unless turned on)"
    ),
}


@pytest.mark.parametrize("uri", EVENT_TYPES)
def test_every_event_type_has_a_row_in_its_family(uri: str) -> None:
    (heading,) = (heading for prefix, heading in FAMILIES.items() if uri.startswith(prefix))
    assert f"`{EVENT_TYPES[uri].name}`" in _keys(heading)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_every_row_names_a_test_or_says_why_there_is_none(row: tuple[str, ...]) -> None:
    _, key, asked, shown = row
    assert key
    assert asked
    assert NAMED.search(shown) or NO_TEST.match(shown), shown


@pytest.mark.parametrize("path", sorted({path for path, _, _ in NAMED.findall(PAGE)}))
def test_every_test_that_is_named_is_there(path: str) -> None:
    named = {name for at, name, _ in NAMED.findall(PAGE) if at == path}
    assert named - IN_FILE.get(path, set()) == set()


def test_whatever_looks_like_a_test_is_read_as_one() -> None:
    """Otherwise a misspelt path would be looked for nowhere."""
    assert len(NAMED.findall(PAGE)) == PAGE.count(".py::")
