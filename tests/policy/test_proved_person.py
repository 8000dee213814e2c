"""Whether a proved person is the one who is asked about (facts: tefca 8.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.model import Address, Demographics, PersonName, Telecom
from node.policy.individual import disagreements, of_person
from tests.ias_world import HCID, NOW, PERSON, id_token, rules
from trust.udap.id_token import read_id_token

PROVED = read_id_token(id_token(), rules(), audience=HCID, now=NOW).person


def test_the_person_of_the_question_is_the_one_of_the_token():
    assert disagreements(PROVED, PERSON) == ()


@pytest.mark.parametrize(
    ("asked", "differs"),
    [
        (replace(PERSON, names=(PersonName(family="Bright-Water", given=("ORSOLYA",)),)), ()),
        (replace(PERSON, names=(PersonName(family="Brightwater", given=("Órsolya", "Ann")),)), ()),
        (replace(PERSON, names=(PersonName(family="Brightwater", given=("Anna",)),)), ("name",)),
        (replace(PERSON, names=(PersonName(family="Lee", given=("Orsolya",)),)), ("name",)),
        (replace(PERSON, names=()), ("name",)),
        (replace(PERSON, birth_date="19810710"), ("birth date",)),
        (replace(PERSON, birth_date=None), ("birth date",)),
        (replace(PERSON, birth_date="1981"), ("birth date",)),
        (replace(PERSON, addresses=()), ("address",)),
        (replace(PERSON, addresses=(Address(postal_code="97302"),)), ("address",)),
        (
            replace(PERSON, addresses=(Address(postal_code="97302"), Address(postal_code="97301"))),
            (),
        ),
        (replace(PERSON, addresses=(Address(city="SALEM", state="or"),)), ()),
        (replace(PERSON, telecoms=()), ()),
        (replace(PERSON, telecoms=(Telecom(value="tel:503.555.0100"),)), ()),
        (replace(PERSON, telecoms=(Telecom(value="tel:5035550199"),)), ("telecom",)),
        (Demographics(), ("name", "birth date", "address")),
    ],
)
def test_name_birth_date_and_address_agree_and_a_telecom_where_there_is_one(asked, differs):
    assert disagreements(PROVED, asked) == differs


def test_a_middle_name_in_the_claim_does_not_count():
    two = replace(PROVED, given="Orsolya Maria")
    assert disagreements(two, PERSON) == ()


def test_a_proved_person_can_be_looked_for():
    found = of_person(PROVED)
    assert disagreements(PROVED, found) == ()
    assert found.names[0].family == "Brightwater"
