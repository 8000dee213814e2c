"""ADT messages: what they say about encounters, real ones of several systems, and hostile ones."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.encounter import Does, EncounterClass, Part, PractitionerId
from node.model import PatientId
from node.wire.hl7v2.ack import OURS, acknowledgement
from node.wire.hl7v2.adt import AdtReading, Header, read_adt
from node.wire.hl7v2.message import MOST_PARTS, split_messages
from node.wire.hl7v2.refusals import adt_tables, refusal
from node.wire.hl7v2.values import Reading, moment

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
READING = Reading(authorities={"LAKE": "2.999.71.1"})
CANARY = "Canaryson"

MSH = r"MSH|^~\&|EHR|LAKE|NODE|LAKE|20261127100000||ADT^A01|C-1|P|2.5"
EVN = "EVN|A01|20261127100000+0000"
PID = rf"PID|1||MRN-1^^^LAKE^MR~123-45-6789^^^USA^SS||{CANARY}^Jane^Q||19610302|F"
PV1 = (
    "PV1|1|I|ICU^12^A^LAKE||||1234567893^Ito^Mia^^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
    "|R9^Ref^Rob^^^^^^EHR|C1^Con^Sul~C2^Con^Two|SUR|||||||A1^Ad^Mit||V-1^^^LAKE|"
    + "|" * 24
    + "20261125083000|"
)


def message(*segments: str, event: str = "A01") -> bytes:
    lines = [each.replace("^A01", f"^{event}") for each in (segments or (MSH, EVN, PID, PV1))]
    return "\r".join(lines).encode()


def read(data: bytes, reading: Reading = READING) -> AdtReading:
    return read_adt(data, reading, now=NOW)


def code(data: bytes) -> str:
    found = read(data).refusal
    assert found is not None, data[:80]
    return found.code


def test_an_admission_says_whose_where_when_and_who_takes_part() -> None:
    (event,) = read(message()).events
    assert event.does is Does.BEGIN
    assert event.at == datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
    # a social security number is no patient's number at an organisation
    assert event.patients == (PatientId(assigning_authority="2.999.71.1", id="MRN-1"),)
    assert event.visit == PatientId(assigning_authority="LAKE", id="V-1")
    assert event.kind is EncounterClass.INPATIENT
    assert event.began == datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
    assert event.departments == ("ICU", "SUR")
    assert set(event.people) == {
        (Part.ATTENDING, PractitionerId(authority="NPI", id="1234567893")),
        (Part.REFERRING, PractitionerId(authority="EHR", id="R9")),
        (Part.CONSULTING, PractitionerId(authority="", id="C1")),
        (Part.CONSULTING, PractitionerId(authority="", id="C2")),
        (Part.ADMITTING, PractitionerId(authority="", id="A1")),
    }
    assert event.person is not None
    assert (event.person.birth_date, event.person.sex) == ("19610302", "F")
    assert event.person.names[0].family == CANARY


@pytest.mark.parametrize("event", sorted(adt_tables().events))
def test_each_event_is_read_as_the_table_says_or_refused_with_its_reason(event: str) -> None:
    merge = "MRG|MRN-0^^^LAKE^MR||||V-0^^^LAKE"
    found = read(message(MSH, EVN, PID, merge, PV1, event=event))
    expected = adt_tables().events[event]
    if isinstance(expected, Does):
        assert [each.does for each in found.events] == [expected]
    else:
        assert found.refusal == refusal(expected)


def test_merged_patients_are_named_with_who_takes_over() -> None:
    merge = "MRG|MRN-0^^^LAKE^MR"
    (event,) = read(message(MSH, EVN, PID, merge, event="A40")).events
    assert [each.id for each in event.prior_patients] == ["MRN-0"]
    assert [each.id for each in event.patients] == ["MRN-1"]


def test_two_merges_in_one_message_are_two_events() -> None:
    other = PID.replace("MRN-1", "MRN-9")
    data = message(MSH, EVN, PID, "MRG|MRN-0^^^LAKE", other, "MRG|MRN-8^^^LAKE", event="A40")
    assert [each.prior_patients[0].id for each in read(data).events] == ["MRN-0", "MRN-8"]


def test_swapped_patients_are_two_events() -> None:
    other = PID.replace("MRN-1", "MRN-9")
    data = message(MSH, EVN, PID, PV1, other, PV1.replace("V-1", "V-9"), event="A17")
    found = [(each.patients[0].id, each.visit and each.visit.id) for each in read(data).events]
    assert found == [("MRN-1", "V-1"), ("MRN-9", "V-9")]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((MSH, EVN, PV1), "adt-no-patient"),
        ((MSH, EVN, PID.replace("^^^LAKE^MR", "^^^^SS"), PV1), "adt-no-patient"),
        ((MSH, EVN, PID), "adt-no-visit"),
        ((MSH.replace("ADT^A01", "ORU^R01"), PID), "hl7-not-adt"),
        ((MSH.replace("ADT^A01", "ADT^A99"), EVN, PID, PV1), "adt-event-unknown"),
        ((MSH.replace("ADT^A01", "ADT^A40"), EVN, PID), "adt-no-merge"),
        ((MSH.replace("ADT^A01", "ADT^A42"), EVN, PID, PV1), "adt-no-merge"),
        ((MSH.replace("|20261127100000|", "|yesterday|"), "EVN|A01|x", PID, PV1), "adt-time"),
        ((MSH + "||||||KLINGON", EVN, PID, PV1), "hl7-charset"),
        ((MSH.replace(r"^~\&", "^^^^"), EVN, PID, PV1), "hl7-unreadable"),
        (("PID|1",), "hl7-unreadable"),
        ((MSH, EVN, PID, PV1 + "^" * (MOST_PARTS + 1)), "hl7-too-large"),
        ((MSH, EVN, PID, *[PV1] * 500), "hl7-too-large"),
    ],
)
def test_what_a_message_lacks_is_said_by_a_code(segments: tuple[str, ...], expected: str) -> None:
    assert code(message(*segments)) == expected


def test_identifiers_without_an_authority_count_where_the_settings_name_one() -> None:
    data = message(MSH, EVN, PID.replace("^^^LAKE^MR", ""), PV1)
    assert code(data) == "adt-no-patient"
    (event,) = read(data, Reading(default_authority="2.999.5")).events
    assert event.patients[0].assigning_authority == "2.999.5"


def test_other_separators_are_those_that_the_message_declares() -> None:
    plain = message().decode()
    other = plain.translate(str.maketrans({"|": "#", "^": "*", "~": "!", "\\": "?", "&": "%"}))
    assert read(other.encode()).events == read(message()).events


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n", b"\r\r\n"])
def test_lines_may_end_as_they_do_in_files(ending: bytes) -> None:
    assert read(message().replace(b"\r", ending)).events == read(message()).events


def test_escapes_are_undone_and_strange_ones_dropped() -> None:
    name = r"O\T\Brien\X41\ \.sp99999999999\\H\bold\N\\Zoo\ \E\ \unended"
    data = message(MSH, EVN, PID.replace(CANARY, name), PV1)
    (event,) = read(data).events
    assert event.person is not None
    assert event.person.names[0].family == "O&BrienA bold \\ \\unended"


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("", "utf-8"), ("", "iso-8859-1"), ("8859/1", "iso-8859-1"), ("UNICODE UTF-8", "utf-8"),
     ("8859/15", "iso-8859-15"), ("UNICODE UTF-8~ISO IR87", "utf-8")],
)  # fmt: skip
def test_names_are_read_in_the_character_set_of_the_message(charset: str, codec: str) -> None:
    header = MSH + "||||||" + charset
    text = message(header, EVN, PID.replace(CANARY, "Müllér"), PV1).decode()
    (event,) = read(text.encode(codec)).events
    assert event.person is not None
    assert event.person.names[0].family == "Müllér"


def test_bytes_that_are_not_of_the_declared_set_are_refused() -> None:
    data = message(MSH + "||||||UNICODE UTF-8", EVN, PID.replace(CANARY, "Müller"), PV1)
    assert code(data.decode().encode("iso-8859-1")) == "hl7-charset"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20261127", datetime(2026, 11, 27, 5, tzinfo=UTC)),
        ("202611271030", datetime(2026, 11, 27, 15, 30, tzinfo=UTC)),
        ("20261127103015.5+0100", datetime(2026, 11, 27, 9, 30, 15, tzinfo=UTC)),
        ("20261127103015-0500", datetime(2026, 11, 27, 15, 30, 15, tzinfo=UTC)),
        ("2026", datetime(2026, 1, 1, 5, tzinfo=UTC)),
        ("20261340", None),
        ("99991231235959-2359", None),
        ("20261127+9999", None),
        ("", None),
        ("now", None),
    ],
)
def test_times_are_read_in_their_zone_or_not_at_all(text: str, expected: datetime | None) -> None:
    assert moment(text, ZoneInfo("America/New_York")) == expected


def test_an_event_of_the_future_happened_when_it_came() -> None:
    """Else one wrong clock would make every later message of the visit a late one."""
    (event,) = read(message(MSH, EVN.replace("2026", "2099"), PID, PV1)).events
    assert event.at == NOW


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for body in (data, MSH.encode() + b"\r" + data, message() + b"\rPV1" + data):
        found = read(body)
        assert found.events or found.refusal


@given(st.lists(st.text(alphabet='|^~\\&\r\n\x0b\x1c"AZ09 \x00é', max_size=60), max_size=6))
def test_any_text_in_the_segments_is_read_or_refused(parts: list[str]) -> None:
    body = "\r".join((MSH, EVN, PID, *(f"PV1|{each}" for each in parts))).encode()
    found = read(body)
    assert found.events or found.refusal


def test_a_megabyte_of_separators_is_refused_before_it_is_split() -> None:
    assert code(MSH.encode() + b"\rPID" + b"|" * 1_000_000) == "hl7-too-large"
    assert code(MSH.encode() + b"\rPID|" + b"x" * 1_100_000) == "hl7-too-large"


# --- the answer ----------------------------------------------------------------------------------


def test_an_answer_repeats_the_control_id_and_turns_sender_and_receiver_round() -> None:
    header = read(message()).header
    answer = acknowledgement(header, None, control_id="N-1", now=NOW).decode().split("\r")
    assert answer[0].startswith(r"MSH|^~\&|NODE|LAKE|EHR|LAKE|20261127120000+0000||ACK^A01^ACK|N-1")
    assert answer[1:] == ["MSA|AA|C-1", ""]


@pytest.mark.parametrize(("why", "ack", "error"), [
    (refusal("adt-no-patient"), "AE", "101"),
    (refusal("hl7-not-adt"), "AR", "200"),
    (OURS, "AR", "207"),
])  # fmt: skip
def test_an_answer_says_what_was_wrong(why: object, ack: str, error: str) -> None:
    answer = acknowledgement(Header(control_id="C-1"), why, control_id="N", now=NOW).decode()  # type: ignore[arg-type]
    assert f"MSA|{ack}|C-1\r" in answer
    assert f"ERR|||{error}|E|" in answer


def test_nothing_that_a_sender_writes_makes_an_answer_another_message() -> None:
    header = Header(control_id="C\r\nMSA|AA|x\x1c\x0b", sender=("a|b", "c^d"))
    answer = acknowledgement(header, None, control_id="N", now=NOW).decode()
    assert answer.count("\r") == 2
    assert "\x1c" not in answer
    assert r"MSA|AA|CMSA\F\AA\F\x" in answer


# --- the messages of other systems ---------------------------------------------------------------


@pytest.mark.shared
def test_every_adt_message_of_the_data_is_read_or_refused_with_a_reason(shared_data: Path) -> None:
    counts: Counter[str] = Counter()
    reading = Reading(default_authority="2.999.1")
    for path in sorted((shared_data / "hl7v2").glob("*.hl7")):
        for each in split_messages(path.read_bytes()):
            found = read(each, reading)
            if found.refusal is not None and found.refusal.code == "hl7-not-adt":
                continue
            if b"|ADT" not in each[:400]:
                continue
            assert bool(found.events) != bool(found.refusal)
            counts[found.refusal.code if found.refusal else "read"] += 1
    print(f"\nADT messages: {dict(counts)}")  # noqa: T201 - the share that is read
    # two messages write the escape sign twice in MSH-2, so their separators are none
    assert counts == {"read": 49, "adt-no-encounter": 10, "hl7-unreadable": 2}
