"""The mapping document says what is so: every value is looked for at the places it names."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree

from node.ledger import leaf
from node.ledger.audit import audit_event
from node.ledger.audit_mapping import Row, audit_mapping, document
from node.model import Direction, Outcome, Transaction
from node.wire.atna import write_audit_messages
from node.wire.audit_codes import audit_codes
from node.wire.balp import build_audit_events
from tests.ledger.audit_world import ORSOLYA, SITE, exchange_parts, facts
from tests.ledger.records import OWN, new_id

ROOT = Path(__file__).resolve().parents[2]
SHA = leaf.from_bytes(bytes(range(32)))


def test_the_document_is_that_of_the_table() -> None:
    """To bring it up to date: tefca-node audit mapping > docs/audit-mapping.md."""
    assert (ROOT / "docs" / "audit-mapping.md").read_text("utf-8") == document()


def test_every_field_of_the_leaf_has_a_row_and_every_row_a_known_content() -> None:
    found = audit_mapping()
    missing = {row.name for row in found.leaf} ^ set(leaf.FIELDS)
    assert not missing, f"{missing}: a row [leaf.NAME] in node/ledger/data/audit_mapping.toml each"
    for row in (*found.leaf, *found.private):
        assert row.e2147 is None or row.e2147 in found.contents


def test_every_value_that_the_product_writes_into_private_groups_has_a_row() -> None:
    known = {row.name for row in audit_mapping().private}
    for _, groups in entries():
        for name, group in groups.items():
            rows = group if isinstance(group, list) else [group]
            for path in (path for row in rows for path in paths(row, name)):
                assert any(path == k or path.startswith(f"{k}.") for k in known), path


def test_asked_of_each_content_of_e2147_something_is_kept() -> None:
    found = audit_mapping()
    used = {row.e2147 for row in (*found.leaf, *found.private) if row.dicom and row.fhir}
    assert used - {None} == set(found.contents)


def paths(value: object, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths(each, f"{name}.{key}")
    else:
        yield name


# --- entries with every value ------------------------------------------------------------


def entries() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Leaf fields and private groups, as the product writes them, with every value somewhere."""
    made = []
    for transaction, direction in product(Transaction, Direction):
        held = facts(transaction, came=("1.2.3.1",))
        for row in held.docs:
            row.update({"sha256": "ab" * 32, "size": 987_654, "type": "34133-9", "hash": "cd" * 20})
        made.append(
            exchange_parts(
                transaction, direction, Outcome.PARTIAL, held=held, reason="made-up-reason",
                sentence="A made-up sentence.", duration_ms=987_654_321,
            )
        )  # fmt: skip
    refused = exchange_parts(Transaction.ITI_55, Direction.RESPONDING, Outcome.DECLINED)
    refused[1]["who"] = {"detail": "the made-up detail"}
    for name in ("assertion_id", "issuer"):  # nobody's assertion was believed
        del refused[1]["wire"][name]
    refused[0].update({"trust": SHA, "promise": SHA, "test": "synthetic", "try": 7919})
    base = {"v": 1, "id": new_id(), "t": "2026-11-01T12:00:00.000Z", "seq": 5, "own": OWN}
    change = {"act": "key-pin", "step": "failed", "by": "operator", "org": "hill-clinic"}
    change |= {"reason": "made-up-reason", "role": "server", "ver": 987_654, "uses": "saml"}
    change |= {
        "begun": 987_653,
        "thing": SHA,
        "root": SHA,
        "source": "madeup",
        "setting": "made_up",
        "log": "log.example/x/2026",
    }
    change |= {name: 987_000 + n for n, name in enumerate(leaf.COUNTS)}
    erased = {"kind": "erasure", "target": 987_652, "part": "who", "authority": "patient"}
    return [
        *made,
        refused,
        (base | {"kind": "directory"} | change, {"who": {"user_id": "root"}}),
        (base | {"kind": "heartbeat"}, {}),
        (base | {"kind": "recon", "window": "2024-02-29", "peer": "urn:oid:2.999.2"}, {}),
        (base | erased | {"reason": "person-request"}, {}),
    ]


Rendered = tuple[dict[str, Any], dict[str, Any], list[etree._Element], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def rendered() -> list[Rendered]:
    found = []
    for fields, groups in entries():
        data = leaf.encode(fields)
        event = audit_event(data, fields, groups, SITE)
        messages = [etree.fromstring(message) for message in write_audit_messages(event)]
        found.append((fields, groups, messages, list(build_audit_events(event))))
    return found


# --- looking --------------------------------------------------------------------------------


def in_dicom(messages: list[etree._Element], place: str) -> list[str]:
    if place.startswith("entry:"):
        name = place.removeprefix("entry:")
        place = (
            "ParticipantObjectIdentification[ParticipantObjectIDTypeCode/@csd-code='ledger-entry']"
            f"/ParticipantObjectDetail[@type='{name}']/@value"
        )
    found = [str(value) for message in messages for value in message.xpath(place)]
    if "ParticipantObjectDetail" in place or "ParticipantObjectQuery" in place:
        return [base64.b64decode(value).decode() for value in found]
    return found


def in_fhir(resources: list[dict[str, Any]], place: str) -> list[str]:
    if place.startswith("entry:"):
        place = f"entity[type ledger-entry].detail[{place.removeprefix('entry:')}].valueString"
    at: list[Any] = list(resources)
    for step in re.findall(r"[^.\[]+(?:\[[^\]]*\])?", place):
        name, _, wanted = step.rstrip("]").partition("[")
        below: list[Any] = []
        for each in at:
            value = each.get(name, []) if isinstance(each, dict) else []
            below.extend(value if isinstance(value, list) else [value])
        at = [each for each in below if not wanted or fits(each, wanted)]
    found = [json.dumps(value) if isinstance(value, bool) else str(value) for value in at]
    if place.endswith(".query"):
        return [base64.b64decode(value).decode() for value in found]
    return found


def fits(value: dict[str, Any], wanted: str) -> bool:
    kind, _, code = wanted.rpartition(" ")
    if kind:
        return bool(value.get(kind, {}).get("code") == code)
    if isinstance(value["type"], str):
        return value["type"] == code
    return any(coding["code"] == code for coding in value["type"]["coding"])


def value_of(row: Row, fields: dict[str, Any], groups: dict[str, Any], *, private: bool) -> Any:
    if not private:
        return fields.get(row.name)
    name, *rest = row.name.split(".")
    value: Any = groups.get(name)
    for step in rest:
        if isinstance(value, list):
            value = [each[step] for each in value if step in each] or None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def stands(row: Row, value: Any, fields: dict[str, Any], found: list[str]) -> bool:
    return FORMS[row.form](row, value, fields, found)


def _same(_row: Row, value: Any, _fields: dict[str, Any], found: list[str]) -> bool:
    if isinstance(value, dict):
        return value["digest"] in found
    return set(map(str, value if isinstance(value, list) else [value])) <= set(found)


def _bare(_row: Row, value: Any, _fields: dict[str, Any], found: list[str]) -> bool:
    return str(value).removeprefix("urn:oid:") in found or value in found


def _code(row: Row, value: Any, fields: dict[str, Any], found: list[str]) -> bool:
    codes = audit_codes()
    if row.name != "kind":
        return codes.outcome[str(value)] in found
    occasion = codes.occasion.get(f"{fields.get('txn')}/{fields.get('dir')}")
    event = (occasion or codes.occasion[str(value)]).event
    return event in found or ("rest" in found and occasion is not None)


def _part(row: Row, value: Any, _fields: dict[str, Any], found: list[str]) -> bool:
    text = " ".join(found)
    if isinstance(value, list):
        return all(error["code"] in text and error["context"] in text for error in value)
    plain = str(value).replace("-", "") if row.name == "exch" else str(value)
    return plain in text or quote(plain, safe="") in text


def _xml(_row: Row, value: Any, _fields: dict[str, Any], found: list[str]) -> bool:
    words = re.findall(r'"([A-Z][a-z]+|[0-9]{8}|[^"]*\^\^\^[^"]*)"', json.dumps(value))
    return bool(words) and all(word.replace("&", "&amp;") in " ".join(found) for word in words)


def _cx(_row: Row, value: Any, _fields: dict[str, Any], found: list[str]) -> bool:
    return set(value) <= set(found) or ORSOLYA.id in found


def _time(_row: Row, value: Any, fields: dict[str, Any], found: list[str]) -> bool:
    ended = datetime.fromisoformat(found[0]) - datetime.fromisoformat(fields["t"])
    return ended.total_seconds() * 1000 == value


def _uri(_row: Row, value: Any, _fields: dict[str, Any], found: list[str]) -> bool:
    texts = value if isinstance(value, list) else [value]
    return all(text in found or f"urn:oid:{text}" in found for text in texts)


def _side(_row: Row, _value: Any, _fields: dict[str, Any], found: list[str]) -> bool:
    return bool(found)  # test_audit_dicom and test_audit_fhir look at the sides


FORMS = {
    None: _same, "bare": _bare, "code": _code, "part": _part, "xml": _xml, "cx": _cx,
    "time": _time, "uri": _uri, "side": _side,
}  # fmt: skip
ROWS = [(row, False) for row in audit_mapping().leaf] + [
    (row, True) for row in audit_mapping().private
]


@pytest.mark.parametrize(("row", "private"), ROWS, ids=lambda v: getattr(v, "name", str(v)))
def test_every_value_stands_where_the_document_says(
    row: Row, private: bool, rendered: list[Rendered]
) -> None:
    seen = 0
    for fields, groups, messages, resources in rendered:
        value = value_of(row, fields, groups, private=private)
        if value is None or value == []:
            continue
        seen += 1
        if row.name == "outcome" and fields["txn"] == "ITI-39":
            continue  # its parts have outcomes of their own
        if row.dicom is not None and not _silent(row, fields):
            found = in_dicom(messages, row.dicom)
            assert stands(row, value, fields, found), (row.dicom, value, found)
        if row.fhir is not None:
            found = in_fhir(resources, row.fhir)
            if row.name == "by" or (row.fhir.startswith("agent[IRCP]") and "act" in fields):
                continue
            assert stands(row, value, fields, found), (row.fhir, value, found)
        if row.dicom is None and row.fhir is None:
            _nowhere_else(value, messages, resources)
    assert seen or row.name in ("unfit", "wire.unfit"), "no entry has the value"


def test_a_value_that_has_the_form_of_no_field_stands_where_that_field_would() -> None:
    fields, groups = exchange_parts()
    del fields["msg"]
    fields["unfit"] = "msg"
    groups["wire"]["unfit"] = {"msg": "an odd id"}
    event = audit_event(leaf.encode(fields), fields, groups, SITE)
    messages = [etree.fromstring(message) for message in write_audit_messages(event)]
    assert in_dicom(messages, "entry:message-id") == ["an odd id"]
    place = "entity[type XrequestId].what.identifier.value"
    assert in_fhir(list(build_audit_events(event)), place) == ["an odd id"]


def _silent(row: Row, fields: dict[str, Any]) -> bool:
    """Where the remark says that DICOM names nobody."""
    found = row.name == "patient.ids" and fields["dir"] == "initiating"
    return found and fields["txn"] == "ITI-55"


def _nowhere_else(value: Any, messages: list[Any], resources: list[Any]) -> None:
    """A value without a place stands in the leaf alone; short ones are found by accident."""
    for text in (str(v) for v in (value if isinstance(value, list) else [value])):
        if len(text) < 6:
            continue
        for message in messages:
            for each in message.iter():
                if each.get("type") == "leaf":
                    continue
                for name, held in each.attrib.items():
                    shown = base64.b64decode(held).decode() if name == "value" else held
                    assert text not in shown
        assert f'"{text}"' not in json.dumps(resources)
