"""The full access report in the patient's language: sentences, golden files (5.6, 6.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from node.errors import SettingsError
from node.governance.access_report import lacks_of, make_access, said, to_csv, to_pdf
from node.governance.accounting import applied
from node.governance.language import language, languages
from node.model import Direction
from node.policy.purposes import purpose_register
from tests.governance.golden import golden, text_of
from tests.governance.test_disclosure_files import report
from tests.governance.test_disclosures import accounted, fact

TOKEN = b"\x01" * 16
EN, ES = language("en"), language("es")


@pytest.mark.parametrize("code", ["en", "es"])
def test_both_files_are_as_they_were_in_each_language(code: str) -> None:
    golden(f"access-{code}.csv", to_csv(report(full=True), language(code)))
    golden(f"access-{code}.txt", text_of(to_pdf(report(full=True), language(code))).encode())


def keys_of(table: Mapping[str, Any]) -> set[str]:
    found = set()
    for name, value in table.items():
        below = keys_of(value) if isinstance(value, Mapping) else {""}
        found |= {f"{name}.{each}" for each in below}
    return found


def places_of(table: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{each}": places for each, places in places_of(value).items()}
        elif isinstance(value, str):
            found[name] = set(re.findall(r"\{[a-z]+\}", value))
    return found


@pytest.mark.parametrize("code", sorted(languages()))
def test_each_language_has_the_same_sentences_with_the_same_places(code: str) -> None:
    words = language(code)
    assert words["language"]["code"] == code
    assert keys_of(words) == keys_of(EN)
    assert places_of(words) == places_of(EN)
    assert len(words["language"]["months"]) == 12


@pytest.mark.parametrize("code", sorted(languages()))
def test_each_language_has_every_transaction_and_every_purpose(code: str) -> None:
    words, rules = language(code), applied(())
    for direction in Direction:
        assert set(rules.given[direction.value]) <= set(words["given"][direction.value])
    assert set(purpose_register().purposes) <= set(words["purposes"])


@pytest.mark.parametrize("code", ["", "xx", "EN", "../en", "en.toml", "'; DROP", "<b>", "e" * 400])
def test_a_language_without_a_file_is_a_clear_error(code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_access(report(), "pdf", code, token=TOKEN)
    assert caught.value.code == "language-missing"
    assert "These have some: en, es." in caught.value.sentence


def sentence(words: Mapping[str, Any] = EN, **fields: object) -> str:
    found = accounted(fact(**fields))
    (each,) = found.disclosures + found.excluded
    return said(each, words)


def test_what_happened_is_one_plain_sentence() -> None:
    name = "org-2 of urn:oid:2.999.2"
    assert sentence(purpose="T-TRTMNT") == f"{name} received documents about you, to treat you."
    assert sentence(ES, purpose="T-TRTMNT") == (
        f"{name} recibió documentos sobre usted, para su tratamiento."
    )
    asked = sentence(dir="initiating", txn="ITI-55", purpose="T-TRTMNT")
    assert asked == (
        f"We gave {name} identifying details about you, to ask for your records, to treat you."
    )


def test_what_no_file_has_words_for_is_still_said() -> None:
    assert "for the purpose T-NEW" in sentence(purpose="T-NEW")
    assert "no reason was given" in sentence(purpose=None)
    assert "received information about you" in sentence(txn="ITI-99")


def test_a_name_with_braces_is_a_name() -> None:
    found = accounted(fact())
    (each,) = found.disclosures
    odd = replace(each, to=replace(each.to, name="{purpose} {0} {to}"))
    assert said(odd, EN).startswith("{purpose} {0} {to} received documents")


def test_what_is_missing_is_said_in_the_language() -> None:
    found = lacks_of(replace(report(), cut=True), ES)
    assert len(found) == 4
    assert found[2].startswith("Las entradas anteriores al 1 de enero de 2022")


def test_an_empty_list_says_so_and_the_act_names_the_token_alone() -> None:
    empty = report(facts=())
    assert EN["cover"]["none"] in text_of(to_pdf(empty, EN)).replace("\n", " ")
    made = make_access(report(), "csv", "es", token=TOKEN)
    assert made.change.private["language"] == "es"
    assert made.change.counts == {"entries": 3}
    assert "MRN-1" not in str(made.change)
    assert b"\"'=HYPERLINK" in made.data
