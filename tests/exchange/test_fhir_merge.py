"""Merging searchsets: bytes preserved, nothing lost, one order, the same result recognised."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LimitError, WireError
from node.exchange.fhir_merge import HOME, RECOGNISED, PeerAnswer, merge
from node.exchange.fhir_merged_writer import Page, write_merged
from node.model import HomeCommunityId, Outcome
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.provenance import Party
from node.wire.fhir.searchset_reader import Asked, Searchset, read_searchset

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
OWN = Party(home_community_id="urn:oid:2.999.9", name="Lake Health")


def base(number: int) -> str:
    return f"https://peer{number}.example/fhir"


def asked(number: int = 1, type_: str = "Observation", patient: str | None = "p1") -> Asked:
    return Asked(base_url=base(number), type=resource_types()[type_], patient=patient)


def entry(resource: bytes | dict[str, Any], mode: str = "match", url: str | None = None) -> bytes:
    raw = resource if isinstance(resource, bytes) else orjson.dumps(resource)
    head = b"" if url is None else b'"fullUrl":%b,' % orjson.dumps(url)
    return b'{%b"resource":%b,"search":{"mode":"%b"}}' % (head, raw, mode.encode())


def bundle(*entries: bytes, following: str | None = None) -> bytes:
    link = [{"relation": "next", "url": following}] if following else []
    return b'{"resourceType":"Bundle","type":"searchset","link":%b,"entry":[%b]}' % (
        orjson.dumps(link),
        b",".join(entries),
    )


def lab(id_: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-03-01T09:00:00Z",
        "valueQuantity": {"value": 13.2, "code": "g/dL"},
        **more,
    }


def read(*entries: bytes, peer: int = 1) -> Searchset:
    return read_searchset(bundle(*entries), asked(peer))


def answer(peer: int, *entries: bytes, outcome: Outcome = Outcome.OK, **more: Any) -> PeerAnswer:
    page = read(*entries, peer=peer)
    return PeerAnswer(
        home_community_id=HomeCommunityId(f"urn:oid:2.999.{peer}"),
        name=f"Peer {peer}",
        outcome=outcome,
        entries=page.entries,
        quarantined=page.quarantined,
        remarks=page.remarks,
        messages=(f"urn:uuid:0190aaaa-0000-7000-8000-00000000000{peer}",),
        **more,
    )


def written(*answers: PeerAnswer, page: Page | None = None) -> dict[str, Any]:
    numbers = count()
    made = write_merged(
        merge(answers), own=OWN, now=NOW, new_id=lambda: f"id-{next(numbers)}", page=page or Page()
    )
    found = orjson.loads(made)
    assert isinstance(found, dict)
    return found


def by_mode(merged: dict[str, Any], mode: str) -> list[dict[str, Any]]:
    return [each for each in merged.get("entry", []) if each["search"]["mode"] == mode]


def issues(merged: dict[str, Any]) -> list[dict[str, Any]]:
    outcomes = by_mode(merged, "outcome")
    assert len(outcomes) <= 1
    return outcomes[0]["resource"]["issue"] if outcomes else []


# --- bytes ------------------------------------------------------------------------------------

_texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.integers(1, 3), _json, st.sampled_from([b"", b" ", b"\n\t"]))))
def test_every_resource_comes_out_with_the_bytes_it_came_with(made):
    """Also numbers, escapes and white space that no writer of ours would write so."""
    sent: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    for number, (peer, extra, space) in enumerate(made):
        raw = b'{%b"resourceType":"Observation","id":"o%d","x":%b,"n":1.10e0,%b"e":"\\u00e9"}' % (
            space,
            number,
            orjson.dumps(extra),
            b'"subject":{"reference":"Patient/p1"},',
        )
        sent[peer].append(raw)
    answers = [answer(peer, *map(entry, raws)) for peer, raws in sent.items()]
    merged = merge(answers[::-1])
    given_back = [(e.full_url, e.data) for e in merged.entries]
    assert len(given_back) == len(made)
    whole = write_merged(merged, own=OWN, now=NOW, new_id=lambda: "id")
    orjson.loads(whole)
    for raw in (raw for raws in sent.values() for raw in raws):
        assert whole.count(raw) >= 1
    # whoever answered first
    assert given_back == [(e.full_url, e.data) for e in merge(answers).entries]


def test_the_order_is_of_the_communities_and_of_each_in_its_own_order():
    second = answer(2, entry(lab("b")), entry(lab("a")))
    first = answer(1, entry(lab("z")))
    urls = [e["fullUrl"] for e in by_mode(written(second, first), "match")]
    assert urls == [
        f"{base(1)}/Observation/z",
        f"{base(2)}/Observation/b",
        f"{base(2)}/Observation/a",
    ]


# --- entries ----------------------------------------------------------------------------------


def test_an_entry_names_its_community_and_keeps_its_search_element():
    raw = b'{"resource":%b,"search":{"mode":"match","score":0.50}}' % orjson.dumps(lab("a"))
    merged = merge([answer(1, raw)])
    assert b'"search":{"mode":"match","score":0.50}' in merged.entries[0].data
    (found,) = by_mode(written(answer(1, raw)), "match")
    assert found["extension"] == [{"url": HOME, "valueOid": "urn:oid:2.999.1"}]
    assert found["fullUrl"] == f"{base(1)}/Observation/a"


def test_a_full_url_of_another_server_is_not_believed():
    page = read(entry(lab("a"), url="https://peer2.example/fhir/Observation/a"))
    assert page.entries[0].full_url == f"{base(1)}/Observation/a"
    assert page.deviations == ("full-url-other",)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"17", "no JSON object"),
        (b"{}", "no resource"),
        (entry(b'{"id":"x"}'), "no resourceType"),
        (entry(b'{"resourceType":7}'), "no resourceType"),
        (entry(b'{"resourceType":"Observation","id":"x","t":"\xff"}'), "UTF-8"),
        (entry(lab("a b")), "an id that FHIR allows"),
        (entry(lab("x", subject={"reference": "Patient/p2"})), "another patient"),
        (entry(lab("x", subject={"reference": "https://e.org/Patient/p2"})), "another patient"),
        (entry({"resourceType": "Patient", "id": "p2"}, "include"), "another patient"),
        (entry({"resourceType": "Condition", "id": "c"}), "not asked for"),
        (entry({"resourceType": "Observation", "id": "x"}), "does not say which patient"),
        (entry(lab("x", subject={"reference": "Group/p1"})), "another patient"),
        (entry(lab("x", subject={"reference": "#p1"})), "another patient"),
        (
            entry(b'{"resourceType":"Observation","id":"x","e":%b}' % (b"[" * 70 + b"]" * 70)),
            "deeper",
        ),
    ],
)  # fmt: skip
def test_a_malformed_entry_is_put_aside_and_the_good_ones_flow(bad, why):
    page = read(entry(lab("good")), bad, entry(lab("other")))
    assert [e.full_url.rpartition("/")[2] for e in page.entries] == ["good", "other"]
    ((place, sentence),) = [(q.place, q.sentence) for q in page.quarantined]
    assert place == 2
    assert why in sentence
    (issue,) = issues(written(answer(1, entry(lab("good")), bad)))
    assert (issue["severity"], issue["code"]) == ("warning", "structure")
    assert "entry 2" in issue["diagnostics"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"resourceType":"Bundle","entry":[{]}'])
def test_a_page_that_is_no_json_of_a_bundle_is_refused(data):
    with pytest.raises(WireError):
        read_searchset(data, asked())


def test_an_outcome_alone_is_no_bundle_and_too_many_entries_are_a_limit(monkeypatch):
    with pytest.raises(WireError) as caught:
        read_searchset(b'{"resourceType":"OperationOutcome"}', asked())
    assert caught.value.code == "fhir-not-a-bundle"
    monkeypatch.setattr("node.wire.fhir.searchset_reader.MAX_ENTRIES", 1)
    with pytest.raises(LimitError):
        read(entry(lab("a")), entry(lab("b")))


def test_what_a_peer_gives_twice_stands_once_and_is_said():
    merged = written(answer(1, entry(lab("a")), entry(lab("a")), entry(lab("a", status="amended"))))
    assert len(by_mode(merged, "match")) == 1
    assert [i["code"] for i in issues(merged)] == ["duplicate", "structure"]


# --- the same result --------------------------------------------------------------------------

LAB_ID = [{"system": "urn:oid:2.999.77", "value": "acc-1"}]


def links(merged: dict[str, Any]) -> dict[str, list[str]]:
    return {
        e["fullUrl"]: [link["url"] for link in e.get("link", [])] for e in by_mode(merged, "match")
    }


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ({}, {"effectiveDateTime": "2026-03-01T04:00:00-05:00"}, "content"),
        ({}, {"effectiveDateTime": "2026-03-01T09:00:00Z"}, "content"),
        (
            {"identifier": LAB_ID},
            {"identifier": LAB_ID, "valueQuantity": {"value": 1, "code": "x"}},
            "identifier",
        ),
    ],
)
def test_the_same_lab_of_two_peers_is_linked_both_ways_and_both_are_kept(one, other, how):
    merged = written(answer(1, entry(lab("a", **one))), answer(2, entry(lab("b", **other))))
    first, second = f"{base(1)}/Observation/a", f"{base(2)}/Observation/b"
    assert links(merged) == {first: [second], second: [first]}
    link = by_mode(merged, "match")[0]["link"][0]
    assert link["relation"] == "alternate"
    assert link["extension"] == [{"url": RECOGNISED, "valueCode": how}]
    (issue,) = issues(merged)
    assert (issue["severity"], issue["code"]) == ("information", "duplicate")


@pytest.mark.parametrize(
    "other",
    [
        {"valueQuantity": {"value": 13.3, "code": "g/dL"}},
        {"valueQuantity": {"value": 13.2, "code": "mmol/L"}},
        {"valueQuantity": {"value": 13.2, "code": "g/dL", "comparator": "<"}},
        {"effectiveDateTime": "2026-03-01"},
        {"effectiveDateTime": "2026-03-01T09:01:00Z"},
        {"code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}},
        {"status": "entered-in-error"},
        {"identifier": "no identifier at all", "valueQuantity": 17},
    ],
)
def test_what_differs_is_not_linked(other):
    merged = written(answer(1, entry(lab("a"))), answer(2, entry(lab("b", **other))))
    assert not any(links(merged).values())


def test_one_number_for_all_results_of_an_order_links_each_with_its_own():
    sodium = {"code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]}}
    merged = written(
        *(
            answer(
                peer,
                entry(lab("hb", identifier=LAB_ID)),
                entry(lab("na", identifier=LAB_ID, **sodium)),
            )
            for peer in (1, 2)
        )
    )
    assert links(merged)[f"{base(1)}/Observation/na"] == [f"{base(2)}/Observation/na"]


def test_one_peers_own_repetitions_are_its_own_affair():
    assert not any(links(written(answer(1, entry(lab("a")), entry(lab("b"))))).values())


# --- what became of the peers -----------------------------------------------------------------


def test_every_peer_that_gave_less_than_all_is_said_in_one_outcome():
    merged = written(
        answer(1, entry(lab("a"))),
        answer(2, outcome=Outcome.OK_EMPTY),
        answer(3, outcome=Outcome.TIMED_OUT, reason="timeout", sentence="No answer within 5 s."),
        answer(4, outcome=Outcome.DECLINED, reason="oauth.invalid_scope"),
        answer(5, outcome=Outcome.FAILED, reason="fhir-peer-throttled"),
        answer(
            6, entry(lab("b", status="cancelled")), outcome=Outcome.PARTIAL, cut="too many pages."
        ),
    )
    said = [(i["severity"], i["code"], i["details"]["coding"][0]["code"]) for i in issues(merged)]
    assert said == [
        ("warning", "timeout", "timed-out"),
        ("warning", "forbidden", "declined"),
        ("warning", "throttled", "failed"),
        ("warning", "incomplete", "partial"),
        ("information", "informational", "ok-empty"),
        ("warning", "incomplete", "cut"),
    ]
    assert issues(merged)[0]["diagnostics"].startswith("Peer 3 (urn:oid:2.999.3): It did not")
    assert "total" not in merged


def test_the_total_is_given_only_when_it_is_exact():
    assert written(answer(1, entry(lab("a"))), answer(2, outcome=Outcome.OK_EMPTY))["total"] == 1
    assert "total" not in written(answer(1, entry(lab("a")), entry(b"{}")))


def test_many_communities_that_hold_nothing_are_one_issue():
    merged = written(*(answer(n, outcome=Outcome.OK_EMPTY) for n in range(1, 61)))
    (issue,) = issues(merged)
    assert issue["diagnostics"].startswith("60 of 60")


def test_what_a_peer_says_itself_is_passed_on_as_a_warning():
    said = {"severity": "error", "code": "suppressed", "diagnostics": "Some were left out."}
    merged = written(
        answer(1, entry({"resourceType": "OperationOutcome", "issue": [said]}, "outcome"))
    )
    (issue,) = issues(merged)
    assert (issue["severity"], issue["code"]) == ("warning", "processing")
    assert issue["diagnostics"].endswith("Some were left out.")


def test_each_peer_has_one_provenance_with_us_as_transmitter():
    merged = written(answer(1, entry(lab("a"))), answer(2), answer(3, entry(lab("c"))))
    found = [
        e["resource"]
        for e in by_mode(merged, "include")
        if e["resource"]["resourceType"] == "Provenance"
    ]
    assert [p["target"] for p in found] == [
        [{"reference": f"{base(1)}/Observation/a"}],
        [{"reference": f"{base(3)}/Observation/c"}],
    ]
    who = [(a["type"]["coding"][0]["code"], a["who"]["display"]) for a in found[0]["agent"]]
    assert who == [("author", "Peer 1"), ("transmitter", "Lake Health")]
    assert found[0]["entity"][0]["what"]["identifier"]["value"].startswith("urn:uuid:0190aaaa")


def test_pages_have_every_match_once_and_what_was_included_with_its_peers_first():
    practitioner = {"resourceType": "Practitioner", "id": "d"}
    answers = [
        answer(1, *(entry(lab(f"o{n}")) for n in range(5))),
        answer(2, entry(lab("x")), entry(practitioner, "include")),
    ]
    pages = [written(*answers, page=Page(start=start, count=2)) for start in (0, 2, 4)]
    assert [len(by_mode(page, "match")) for page in pages] == [2, 2, 2]
    included = [[e["resource"]["resourceType"] for e in by_mode(page, "include")] for page in pages]
    assert included == [
        ["Provenance"],
        ["Provenance"],
        ["Practitioner", "Provenance", "Provenance"],
    ]
