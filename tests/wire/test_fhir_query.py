"""Search parameters as a codec: whatever comes is understood or refused, and escapes come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from fhir_world import PEER
from hypothesis import given
from hypothesis import strategies as st

from node.exchange.fhir_paging import LIFETIME, PageKey, Pages
from node.exchange.fhir_ports import Cursor, Grant
from node.model import Code
from node.wire.fhir.catalogue import resource_types
from node.wire.fhir.conditions import escaped, split_escaped, unescaped
from node.wire.fhir.dates import parse_span
from node.wire.fhir.extract import folded, values_of
from node.wire.fhir.problem import FhirProblem, issues
from node.wire.fhir.query import SearchLimits, parse_search

NOW = datetime(2026, 11, 27, tzinfo=UTC)
NAMES = sorted({n for t in resource_types().values() for n in t.parameters})
CONTROLS = ["_count", "_sort", "_include", "_revinclude", "_summary", "_total", "_lastUpdated"]
name = st.one_of(
    st.sampled_from(NAMES + CONTROLS),
    st.builds(
        "{}{}".format, st.sampled_from(NAMES), st.sampled_from([":not", ":missing", ".name"])
    ),
    st.text(max_size=20),
)
value = st.one_of(
    st.text(max_size=30),
    st.builds("{}{}".format, st.sampled_from(["", "ge", "ap", "xx"]), st.dates().map(str)),
    st.sampled_from(["a|b", "|b", "a|", "|", "Patient/1", "http://x/Patient/1", "\\", "\\,", ",,"]),
)


@given(st.sampled_from(sorted(resource_types())), st.lists(st.tuples(name, value), max_size=6))
def test_whatever_is_asked_is_understood_or_refused_with_a_code(type_, pairs):
    for strict in (True, False):
        try:
            query = parse_search(
                resource_types()[type_], pairs, strict=strict, base_url="https://us.example",
                now=NOW, limits=SearchLimits(),
            )  # fmt: skip
        except FhirProblem as problem:
            assert problem.code in issues()  # noqa: PT017 - most questions are no error
        else:
            assert len(query.used) + len(query.ignored) <= len(pairs)
            # what the self link says is the same search
            again = parse_search(
                resource_types()[type_], query.used, strict=True, base_url="https://us.example",
                now=NOW, limits=SearchLimits(),
            )  # fmt: skip
            assert replace(again, ignored=query.ignored) == query


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_escaped_values_come_back_from_a_list(values):
    joined = ",".join(map(escaped, values))
    assert [unescaped(part) for part in split_escaped(joined, ",")] == values


@given(st.text(max_size=45))
def test_what_is_no_date_is_nothing_and_what_is_one_has_a_length(text):
    span = parse_span(text)
    assert span is None or span.low < span.high


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))  # noqa: DTZ001
def test_a_shorter_date_covers_a_longer_one(moment):
    whole = moment.isoformat(timespec="milliseconds") + "Z"
    inner = parse_span(whole)
    assert inner is not None
    for length in (4, 7, 10):
        outer = parse_span(whole[:length])
        assert outer is not None
        assert outer.low <= inner.low < inner.high <= outer.high


@pytest.mark.parametrize(
    "text", ["2020-02-30", "2020-1-1", "20200101", "2020-01-01T25:00Z", "2020-01-01T10Z", "0000",
             "2020-01-01T10:00:00+15:00", "2020-01-01T10:00:61Z", "٢٠٢٠"],
)  # fmt: skip
def test_what_is_no_date_of_fhir_is_none(text):
    assert parse_span(text) is None


@given(st.text(max_size=300))
def test_folding_a_folded_text_changes_nothing(text):
    assert folded(folded(text)) == folded(text)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["coding", "code", "system", "value", "start", "end", "reference", "event",
                         "family", "given", "repeat", "boundsPeriod", "url"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json)
def test_an_element_of_any_shape_is_indexed_or_not_but_never_breaks(element):
    for type_ in resource_types().values():
        for parameter in type_.parameters.values():
            first = parameter.paths[0].split(".")[0].split("(")[0]
            values_of({first: element}, parameter)


GRANT = Grant(
    client_id="c",
    entry=PEER,
    purpose=Code(code="T-TREAT", scheme="s"),
    scopes=(),
    token=sha256(b"t").digest(),
)
KEY = PageKey(type="Patient", pairs=[("name", "Secret")], cursor=Cursor(value=None, key=7), total=3)


def test_a_link_opens_for_its_holder_for_an_hour_and_shows_nothing():
    pages = Pages(b"k" * 32)
    token = pages.sealed(KEY, GRANT, NOW)
    assert pages.opened(token, GRANT, NOW + LIFETIME) == KEY
    assert pages.opened(token, GRANT, NOW + LIFETIME + timedelta(seconds=1)) is None
    assert pages.opened(token, replace(GRANT, patient="p"), NOW) is None
    assert pages.opened(token, replace(GRANT, client_id="d"), NOW) is None
    assert Pages(b"x" * 32).opened(token, GRANT, NOW) is None
    # a newer token of the same client will do
    assert pages.opened(token, replace(GRANT, token=sha256(b"u").digest()), NOW) == KEY


@given(st.integers(0, 150), st.sampled_from("AZaz09-_"))
def test_a_link_that_was_changed_opens_nothing(place, sign):
    pages = Pages(b"k" * 32)
    token = pages.sealed(KEY, GRANT, NOW)
    changed = token[:place] + sign + token[place + 1 :]
    assert changed == token or pages.opened(changed, GRANT, NOW) is None
