"""MTOM: multipart/related both ways (ihe-wire 1, 4, 15; RFC 2046, 2387; XOP 1.0)."""

from __future__ import annotations

import base64
import itertools
import re
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from node.errors import LimitError, WireError
from node.wire.content_type import (
    MULTIPART_RELATED,
    build_content_type,
    parse_content_type,
    soap_content_type,
)
from node.wire.mtom import (
    Attached,
    End,
    Event,
    Inline,
    MtomLimits,
    PartBegin,
    PartData,
    PartEnd,
    RootPart,
    binary_content,
    content_id_of,
    find_part,
)
from node.wire.mtom_parser import MtomParser
from node.wire.mtom_writer import MtomWriter, include
from node.wire.names import SOAP, XOP, Deviation
from node.wire.soap import parse_envelope
from node.wire.xml import XmlLimits

LIMITS = MtomLimits()
WRITER = MtomWriter(boundary="b1", root_cid="root@n")
TYPE = 'multipart/related; type="application/xop+xml"; start="<root@n>"; boundary="b1"'


def message(root: bytes, parts: Iterable[tuple[str, str, bytes]], writer=WRITER) -> bytes:
    body = [writer.head(root)]
    for content_id, mime_type, data in parts:
        body += [writer.part_head(content_id, mime_type), data, writer.part_end()]
    return b"".join((*body, writer.tail()))


def read(data: Iterable[bytes], content_type: str = TYPE, limits=LIMITS, **keywords) -> list[Event]:
    parser = MtomParser(content_type, limits, **keywords)
    events: list[Event] = []
    for chunk in data:
        events += parser.feed(chunk)
    return events + parser.close()


def folded(events: list[Event]) -> tuple[bytes, list[tuple[str | None, bytes]], tuple[str, ...]]:
    """Root, attachments with their content joined, deviations; checks the order of events."""
    root = b""
    parts: list[tuple[str | None, bytes]] = []
    open_part: list[bytes] | None = None
    for event in events[:-1]:
        match event:
            case RootPart(data=data):
                assert open_part is None
                root = data
            case PartBegin():
                assert open_part is None
                open_part = []
            case PartData(data=data):
                assert open_part is not None
                assert data
                open_part.append(data)
            case PartEnd(content_id=content_id, size=size):
                assert open_part is not None
                content = b"".join(open_part)
                assert size == len(content)
                parts.append((content_id, content))
                open_part = None
            case End():
                pytest.fail("End is the last event")
    end = events[-1]
    assert isinstance(end, End)
    return root, parts, end.deviations


def refusal(data: bytes, content_type: str = TYPE, limits=LIMITS) -> str:
    with pytest.raises(WireError) as caught:
        read([data], content_type, limits)
    return caught.value.code


TRICKY = [
    ("d1@n", "text/xml", b"\r\n--b\r\n--b1x\r\n--b1 -\r\n\r--b1\n--b"),
    ("d2@n", "text/xml", b""),
    ("d3@n", "text/xml", b"\r\n"),
    ("d4@n", "text/xml", b"\n\r\r\n\r"),
    ("d5@n", "application/pdf", bytes(range(256))),
]


def test_what_we_write_is_read_at_every_split():
    data = message(b"<root/>", TRICKY)
    expected = (b"<root/>", [(cid, content) for cid, _, content in TRICKY], ())
    assert folded(read([data])) == expected
    assert folded(read([data[i : i + 1] for i in range(len(data))])) == expected
    for cut in range(len(data)):
        assert folded(read([data[:cut], data[cut:]])) == expected


@given(
    root=st.binary(max_size=200),
    parts=st.lists(
        st.tuples(
            st.from_regex(r"[0-9A-Za-z._:-]{1,20}(@[0-9A-Za-z.:]{1,20})?", fullmatch=True),
            st.sampled_from(["text/xml", "application/pdf"]),
            st.lists(
                st.sampled_from([b"\r", b"\n", b"--", b"-", b"b", b"c", b" ", b"xyz"]), max_size=30
            ).map(b"".join),
        ),
        max_size=4,
    ),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
)
def test_round_trip(root, parts, cuts):
    writer = MtomWriter(boundary="bbb.c", root_cid="root@n")
    framed = [part for part in parts if b"--bbb.c" not in part[2]]
    data = message(root, framed, writer) if b"--bbb.c" not in root else message(b"", framed, writer)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    got_root, got_parts, deviations = folded(read(pieces, writer.content_type))
    assert got_root == (root if b"--bbb.c" not in root else b"")
    assert got_parts == [(cid, content) for cid, _, content in framed]
    assert deviations == ()


def test_content_length_is_exact():
    parts = [(cid, mime, len(content)) for cid, mime, content in TRICKY]
    assert WRITER.content_length(7, parts) == len(message(b"<root/>", TRICKY))


def test_the_content_type_we_write_is_the_standards():
    written = parse_content_type(
        MtomWriter(boundary="b", root_cid="r@n", action="urn:a").content_type
    )
    assert written.media_type == MULTIPART_RELATED
    assert dict(written.parameters) == {
        "type": "application/xop+xml",
        "start": "<r@n>",
        "start-info": "application/soap+xml",
        "boundary": "b",
        "action": "urn:a",
    }


@pytest.mark.parametrize("name", ["boundary", "root_cid"])
@pytest.mark.parametrize("value", ["", "a\r\nb", "a b", "a<b", 'a"b'])
def test_framing_that_could_break_the_message_is_not_written(name, value):
    values = {"boundary": "b", "root_cid": "r@n", name: value}
    with pytest.raises(WireError):
        MtomWriter(**values)


def test_part_headers_cannot_be_injected():
    with pytest.raises(WireError):
        WRITER.part_head("d1@n", "text/xml\r\nX: 1")
    with pytest.raises(WireError):
        WRITER.part_head("d1>\r\n", "text/xml")


def framed(*parts: bytes, boundary: bytes = b"b1", eol: bytes = b"\r\n") -> bytes:
    body = b"".join(b"--" + boundary + eol + part + eol for part in parts)
    return body + b"--" + boundary + b"--"


ROOT = b"Content-Type: application/xop+xml\r\nContent-ID: <root@n>\r\n\r\n<root/>"
PART = b"Content-ID: <d1@n>\r\n\r\nabc"


def test_preamble_epilogue_and_padding_are_allowed():
    data = (
        b"Not MIME?\r\n\r\n" + framed(ROOT, PART).replace(b"--b1\r\n", b"--b1 \t\r\n") + b"\r\nbye"
    )
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        assert folded(read(pieces)) == (b"<root/>", [("d1@n", b"abc")], ())


def test_header_names_in_any_letter_case_and_folded_lines():
    part = b"CONTENT-id:\r\n  <d1@n>\r\ncontent-TYPE: text/xml;\r\n\tcharset=utf-8\r\n\r\nabc"
    events = read([framed(ROOT, part)])
    begin = next(event for event in events if isinstance(event, PartBegin))
    assert begin.content_id == "d1@n"
    assert begin.headers["content-type"] == "text/xml; charset=utf-8"


def test_a_part_without_headers_or_without_body():
    events = read([framed(ROOT, b"\r\nabc", b"Content-ID: <e@n>\r\n")])
    assert folded(events)[1] == [(None, b"abc"), ("e@n", b"")]


def test_bare_line_feeds_are_counted():
    data = framed(ROOT, PART).replace(b"\r\n", b"\n")
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        assert folded(read(pieces)) == (
            b"<root/>",
            [("d1@n", b"abc")],
            (Deviation.MTOM_BARE_LF,),
        )


def test_another_boundary_in_the_body_than_in_the_header_is_counted():
    data = framed(ROOT, PART, boundary=b"uuid:other")
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        assert folded(read(pieces)) == (
            b"<root/>",
            [("d1@n", b"abc")],
            (Deviation.MTOM_BOUNDARY,),
        )


def test_a_start_that_names_no_part_is_counted():
    wrong = TYPE.replace("root@n", "other@n")
    assert folded(read([framed(ROOT, PART)], wrong))[2] == (Deviation.MTOM_START,)


def test_without_start_the_first_part_is_the_root():
    root, parts, deviations = folded(
        read([framed(b"\r\n<r/>", PART)], "multipart/related;boundary=b1")
    )
    assert (root, parts, deviations) == (b"<r/>", [("d1@n", b"abc")], ())


def test_attachments_before_the_root_part_come_first():
    events = read([framed(PART, ROOT)])
    assert [type(event) for event in events] == [PartBegin, PartData, PartEnd, RootPart, End]


def test_a_body_without_root_part_is_refused():
    assert refusal(framed(PART)) == "mtom-malformed"
    assert refusal(b"--b1--") == "mtom-malformed"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_body_that_is_cut_off_is_refused(cut):
    data = framed(ROOT, PART)
    assert refusal(data[:-cut]) == "mtom-malformed"


def test_an_empty_body_is_refused():
    assert refusal(b"") == "mtom-malformed"


def test_base64_parts_are_decoded_and_counted():
    content = bytes(range(256)) * 3
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    part = b"Content-ID: <d1@n>\r\nContent-Transfer-Encoding: BASE64\r\n\r\n" + encoded
    data = framed(ROOT, part)
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        assert folded(read(pieces)) == (
            b"<root/>",
            [("d1@n", content)],
            (Deviation.MTOM_BASE64,),
        )


@pytest.mark.parametrize("text", [b"ab!d", b"abc", b"YQ==YQ==", b"YQ==\r\nYQ=="])
@pytest.mark.parametrize("step", [1, 1000])
def test_broken_base64_is_refused(text, step):
    part = b"Content-Transfer-Encoding: base64\r\n\r\n" + text
    data = framed(ROOT, part)
    with pytest.raises(WireError):
        read([data[i : i + step] for i in range(0, len(data), step)])


def test_an_unknown_transfer_encoding_is_refused():
    part = b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=20b"
    assert refusal(framed(ROOT, part)) == "mtom-malformed"


def test_a_plain_answer_is_one_root_part():
    root, parts, deviations = folded(read([b"<ro", b"ot/>"], "application/soap+xml"))
    assert (root, parts, deviations) == (b"<root/>", [], (Deviation.MTOM_NOT_USED,))
    assert folded(read([b"<a/>"], "application/soap+xml", expected=False))[2] == ()
    assert folded(read([b"<a/>"], "text/xml", expected=False))[2] == (Deviation.CONTENT_TYPE,)
    assert folded(read([framed(ROOT)], expected=False))[2] == (Deviation.MTOM_NOT_EXPECTED,)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/html",
        "multipart/related",
        "multipart/related; boundary=",
        "multipart/form-data; boundary=b1",
    ],
)
def test_other_content_types_are_refused(content_type):
    with pytest.raises(WireError) as caught:
        MtomParser(content_type, LIMITS)
    assert caught.value.code == "content-type-invalid"


@pytest.mark.parametrize(
    "limits",
    [
        MtomLimits(root_bytes=6),
        MtomLimits(part_bytes=2),
        MtomLimits(total_bytes=50),
        MtomLimits(parts=1),
        MtomLimits(headers=1),
        MtomLimits(header_bytes=30),
        MtomLimits(surroundings_bytes=3),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_every_limit_holds(limits, step):
    data = framed(ROOT, PART) + b"long epilogue"
    with pytest.raises(LimitError) as caught:
        read([data[i : i + step] for i in range(0, len(data), step)], limits=limits)
    assert caught.value.code == "mtom-limit"


@pytest.mark.parametrize("byte", [b"a", b"\n", b" ", b"-", b"\r", b"--b1", b"a: b\r\n"])
def test_endless_input_ends_at_a_limit(byte):
    limits = MtomLimits(total_bytes=200_000, surroundings_bytes=4096)
    with pytest.raises(WireError):
        read([byte * 4096] * 100, limits=limits)
    with pytest.raises(WireError):
        read([b"--b1\r\n", *[byte * 4096] * 20], limits=MtomLimits(header_bytes=4096))


def test_a_broken_part_header_is_refused():
    assert refusal(framed(ROOT, b"no colon here\r\n\r\nabc")) == "mtom-malformed"


def test_attachments_pass_through_in_constant_memory():
    chunk = b"\r\n--almost a delimiter " * 3000
    parser = MtomParser(TYPE, LIMITS)
    parser.feed(WRITER.head(b"<root/>") + WRITER.part_head("d1@n", "text/xml"))
    parser.feed(chunk)
    tracemalloc.start()
    size = 0
    for _ in range(500):
        size += sum(len(event.data) for event in parser.feed(chunk) if isinstance(event, PartData))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size >= 499 * len(chunk)
    assert peak < 10 * len(chunk)


@given(
    data=st.lists(
        st.sampled_from(
            [
                b"--b1",
                b"--",
                b"\r\n",
                b"\n",
                b"\r",
                b": ",
                b"Content-ID: <root@n>",
                b"<a/>",
                b" ",
                b"x",
            ]
        ),
        max_size=40,
    ).map(b"".join),
    step=st.integers(1, 50),
)
def test_any_bytes_give_the_same_in_every_split_or_are_refused(data, step):
    def result(pieces):
        try:
            return folded(read(pieces))
        except WireError as error:
            return error.code

    assert result([data[i : i + step] for i in range(0, len(data), step)]) == result([data])


# --- content ids and binary content -----------------------------------------------------------


def element(inner: str) -> etree._Element:
    return etree.fromstring(f'<d xmlns="urn:x" xmlns:xop="{XOP}">{inner}</d>')


def test_an_include_names_its_part_percent_decoded():
    href = "cid:1-2@urn%3Aihe%3Aiti%3Axds-b%3A2007"
    found = binary_content(element(f'<xop:Include href="{href}"/>'))
    assert found == Attached(content_id="1-2@urn:ihe:iti:xds-b:2007")


def test_the_include_we_write_is_read_back():
    content_id = "d1.{a}@urn:ihe:iti:xds-b:2007"
    holder = etree.Element("d")
    holder.append(include(content_id))
    assert binary_content(holder) == Attached(content_id=content_id)
    assert "%3A" in holder[0].get("href")


def test_parts_are_found_by_exact_or_decoded_id():
    known = {"a@b": 1, "c%40d": 2}
    assert find_part("a@b", known) == "a@b"
    assert find_part("c@d", known) == "c%40d"
    with pytest.raises(WireError) as caught:
        find_part("not-there", known)
    assert caught.value.code == "mtom-part-missing"


@pytest.mark.parametrize("href", ["", "cid:", "http://127.0.0.1/x", "file:///etc/passwd", "a@b"])
def test_an_include_never_leads_outside_the_message(href):
    with pytest.raises(WireError):
        content_id_of(href)


def test_inline_base64_is_decoded():
    data = bytes(range(256))
    encoded = base64.encodebytes(data).decode()
    assert binary_content(element(encoded)) == Inline(data=data)
    assert binary_content(element(" YWI ")) == Inline(data=b"ab")
    assert binary_content(element("")) == Inline(data=b"")


@pytest.mark.parametrize(
    ("inner", "data"),
    [
        ("plain text, \u00fc", "plain text, \u00fc".encode()),
        ("&lt;ClinicalDocument/&gt;", b"<ClinicalDocument/>"),
        ('<a xmlns="urn:y">1</a>', b'<a xmlns="urn:y">1</a>'),
    ],
)
def test_unencoded_content_is_taken_and_counted(inner, data):
    found = binary_content(element(inner))
    assert found == Inline(
        data=data, deviations=(Deviation.DOCUMENT_INLINE, Deviation.DOCUMENT_UNENCODED)
    )


def test_an_include_with_company_is_refused():
    with pytest.raises(WireError):
        binary_content(element('<xop:Include href="cid:a"/>YWI='))
    with pytest.raises(WireError):
        binary_content(element('<xop:Include href="cid:a"/><xop:Include href="cid:b"/>'))


# --- content types ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("multipart/related; boundary=uuid:1-2", "boundary", "uuid:1-2"),
        ("Multipart/Related;BOUNDARY=a;start=<r@n>", "start", "<r@n>"),
        ('multipart/related; boundary="a;b=c"; x=1', "boundary", "a;b=c"),
        (r'multipart/related; boundary="a\"b"', "boundary", 'a"b'),
        ("application/soap+xml;", "charset", None),
        ('application/soap+xml; charset=UTF-8 ; action="urn:a"', "action", "urn:a"),
        ("application/soap+xml; action=urn:a:b", "action", "urn:a:b"),
    ],
)
def test_content_type_parameters_are_read_quoted_and_unquoted(value, name, expected):
    assert parse_content_type(value).get(name) == expected


def test_the_action_may_stand_in_start_info():
    value = 'multipart/related; boundary=b; start-info="application/soap+xml; action=\\"urn:a\\""'
    assert parse_content_type(value).action == "urn:a"
    assert parse_content_type(soap_content_type("urn:b")).action == "urn:b"


@pytest.mark.parametrize(
    "value", ["", "soap", 'a/b; x="open', "a/b; =1", "a/b x", "a/b; x=1; X=2", "a/b;" + "x" * 3000]
)
def test_unreadable_content_types_are_refused(value):
    with pytest.raises(WireError) as caught:
        parse_content_type(value)
    assert caught.value.code == "content-type-invalid"


@given(
    st.dictionaries(
        st.sampled_from(["a", "charset", "boundary"]),
        st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True),
    )
)
def test_content_type_round_trip(parameters):
    parameters = {k: v for k, v in parameters.items() if k != "charset" or v.isalnum()}
    assert dict(parse_content_type(build_content_type("a/b", parameters)).parameters) == parameters


def test_a_line_break_is_not_written_into_a_content_type():
    with pytest.raises(WireError):
        build_content_type("a/b", {"x": "1\r\nSet-Cookie: 2"})


# --- other products ---------------------------------------------------------------------------


def dump(path: Path) -> tuple[str, bytes]:
    """The Content-Type and the body of a raw HTTP dump with bare line feeds."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    lines = head.decode("ascii").splitlines()
    found = next(line for line in lines if line.lower().startswith("content-type:"))
    return found.partition(":")[2].strip(), body


@pytest.mark.shared
def test_the_swiss_submission_is_read_although_boundary_and_start_differ(shared_data: Path):
    path = shared_data / "ihe-soap" / "gateways" / "epr__ITI-41_request_raw.xml"
    content_type, body = dump(path)
    root, parts, deviations = folded(read([body], content_type))
    assert set(deviations) == {
        Deviation.MTOM_BOUNDARY,
        Deviation.MTOM_START,
        Deviation.MTOM_BARE_LF,
    }
    # its owner cut the declaration of the wsse prefix away, so only the framing can be read
    href = re.search(rb'href="(cid:[^"]*)"', root)
    assert href is not None
    found = find_part(content_id_of(href[1].decode()), dict(parts))
    assert [found] == [content_id for content_id, _ in parts]
    assert len(parts[0][1]) > 1000


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["gateways/epr__ITI-41_response_raw.xml", "nist__http-mtom-pnr.txt"]
)
def test_other_raw_messages_are_read(shared_data: Path, name: str):
    content_type, body = dump(shared_data / "ihe-soap" / name)
    pieces = [body[i : i + 100] for i in range(0, len(body), 100)]
    root, _, deviations = folded(read(pieces, content_type))
    assert deviations == (Deviation.MTOM_BARE_LF,)
    assert parse_envelope(root, limits=XmlLimits()).root.tag == f"{{{SOAP}}}Envelope"


@pytest.mark.shared
def test_a_missing_part_is_named(shared_data: Path):
    body = (shared_data / "xml-attacks" / "mtom_missing_part.txt").read_bytes()
    root, parts, _ = folded(read([body], 'multipart/related; boundary=b; start="<root>"'))
    content = binary_content(parse_envelope(root, limits=XmlLimits()).body)
    assert isinstance(content, Attached)
    with pytest.raises(WireError) as caught:
        find_part(content.content_id, dict(parts))
    assert caught.value.code == "mtom-part-missing"
