from __future__ import annotations

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from node.exchange.private import of_demographics, of_principal
from node.model import (
    Address,
    Code,
    Demographics,
    HomeCommunityId,
    PatientId,
    PersonName,
    Principal,
    Telecom,
)

TEXT = st.none() | st.text(max_size=4)
TEXTS = st.lists(st.text(max_size=4), max_size=2).map(tuple)
NAMES = st.builds(PersonName, family=TEXT, given=TEXTS, prefix=TEXT, suffix=TEXT, use=TEXT)
PLACES = st.builds(Address, lines=TEXTS, city=TEXT, state=TEXT, postal_code=TEXT)
PEOPLE = st.builds(
    Demographics,
    names=st.lists(NAMES, max_size=2).map(tuple),
    birth_date=TEXT,
    sex=TEXT,
    addresses=st.lists(PLACES, max_size=2).map(tuple),
    telecoms=st.lists(st.builds(Telecom, value=st.text(max_size=4)), max_size=2).map(tuple),
    identifiers=st.lists(
        st.builds(PatientId, assigning_authority=st.text(), id=st.text()), max_size=2
    ).map(tuple),
    mothers_maiden_name=st.none() | NAMES,
    birth_place=st.none() | PLACES,
)


def present(value: object) -> object:
    """Leave out what is absent, at every depth."""
    if isinstance(value, dict):
        kept = {name: present(v) for name, v in value.items()}
        return {name: v for name, v in kept.items() if v not in (None, [], {})}
    return [present(v) for v in value] if isinstance(value, tuple) else value


@given(PEOPLE)
def test_what_was_asked_is_kept_whole_and_what_is_absent_left_out(asked: Demographics) -> None:
    assert of_demographics(asked) == {"demographics": present(asdict(asked))}


def test_the_principal_is_kept_with_its_codes() -> None:
    principal = Principal(
        subject_id="Dr. Test",
        user_id="test",
        organization="Test General",
        organization_id="org-1",
        home_community_id=HomeCommunityId("urn:oid:2.999.1"),
        role=Code(code="106289002", scheme="2.16.840.1.113883.6.96", display="Dentist"),
        purpose=Code(code="T-TREAT", scheme="2.16.840.1.113883.3.7204.1.5.2.1"),
    )
    assert of_principal(principal) == present(asdict(principal))
    assert of_principal(principal)["purpose"] == {
        "code": "T-TREAT",
        "scheme": "2.16.840.1.113883.3.7204.1.5.2.1",
    }
