"""A clinician's request: whose it is, how it stands with each organization, what is held back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from node.console.clinic import requests as store
from node.console.clinic.request import ClinicRequest, Ended, Held, LegState, Progress, SamePerson
from node.console.clinic.requests import Requests
from node.exchange.network_ports import KnownAt
from node.model import ExchangeId, Outcome, PersonName, Transaction
from node.records.likeness import likeness
from tests.sim.clock import START
from tests.sim.network import ALICE, document, entry, hcid, patient, principal

OTHER = replace(ALICE, names=(PersonName(family="Somebody", given=("Else",)),), sex="M")


def begun(requests: Requests, *numbers: int, login: str = "ada") -> str:
    entries = [entry(number) for number in numbers or (1, 2)]
    return requests.begin(
        login, principal(), ALICE, entries, exchange_id=ExchangeId("e"), now=START
    )


def ended(outcome: Outcome = Outcome.OK, transaction: Transaction = Transaction.ITI_55) -> Ended:
    return Ended(step=transaction, leg_id=None, outcome=outcome, reason=None, sentence=None,
                 duration_ms=7)  # fmt: skip


def knows(requests: Requests, token: str, number: int, said=ALICE, documents: int = 2) -> None:
    """The organization knows somebody and names documents."""
    known = KnownAt(home_community_id=hcid(number), patient_id=patient(number), demographics=said)
    named = [(document(number, f"{number}.{n}"), None) for n in range(documents)]

    def change(record) -> None:
        record.knows(entry(number), known)
        record.ended(entry(number), ended())
        record.named(entry(number), patient(number), named)
        record.ended(entry(number), ended(transaction=Transaction.ITI_38))

    requests.change(token, change)


def of(requests: Requests, token: str, login: str = "ada") -> ClinicRequest:
    found = requests.of(login, token, START)
    assert found is not None
    return found


def test_a_request_opens_for_who_asked_and_for_nobody_else_and_not_forever() -> None:
    requests = Requests(likeness)
    token = begun(requests)
    assert of(requests, token).token == token
    assert requests.of("bob", token, START) is None
    assert requests.of("ada", "x" * 22, START) is None
    assert requests.of("ada", token, START + store.LIFETIME) is None
    assert requests.say("bob", token, 1, SamePerson.YES, START) is None


def test_organizations_have_fixed_places_by_name_and_those_named_later_come_after_them() -> None:
    requests = Requests(likeness)
    token = begun(requests, 3, 1, 2)
    assert [leg.name for leg in of(requests, token).legs] == ["Peer 1", "Peer 2", "Peer 3"]
    knows(requests, token, 9)
    knows(requests, token, 2)
    legs = of(requests, token).legs
    assert [leg.name for leg in legs] == ["Peer 1", "Peer 2", "Peer 3", "Peer 9"]
    assert [leg.number for leg in legs] == [1, 2, 3, 4]
    assert legs[1].state is LegState.FOUND


def test_a_weak_match_holds_its_documents_back_until_a_person_says_yes() -> None:
    requests = Requests(likeness)
    token = begun(requests)
    knows(requests, token, 1, OTHER)
    knows(requests, token, 2)
    found = of(requests, token)
    assert [leg.state for leg in found.legs] == [LegState.CHECK, LegState.FOUND]
    assert [leg.held_back for leg in found.legs] == [2, 0]
    assert {d.held for d in found.documents if d.leg == 1} == {Held.HELD_BACK}

    requests.say("ada", token, 1, SamePerson.YES, START)
    found = of(requests, token)
    assert [leg.state for leg in found.legs] == [LegState.FOUND, LegState.FOUND]
    assert {d.held for d in found.documents} == {Held.OPEN}
    assert (found.identities[0].by, found.identities[0].at) == ("ada", START)

    requests.say("ada", token, 1, SamePerson.NO, START)
    found = of(requests, token)
    assert found.legs[0].state is LegState.OTHER
    assert (found.legs[0].documents, found.legs[0].hidden) == (0, 2)


def test_two_certain_ones_that_contradict_each_other_are_both_held_back() -> None:
    requests = Requests(likeness)
    token = begun(requests)
    knows(requests, token, 1)
    assert of(requests, token).legs[0].state is LegState.FOUND
    second = KnownAt(
        home_community_id=hcid(1), patient_id=patient(2), demographics=ALICE
    )  # two of one community: neither is sure
    requests.change(token, lambda record: record.knows(entry(1), second))
    requests.change(token, lambda record: record.ended(entry(1), ended()))
    found = of(requests, token)
    assert found.legs[0].state is LegState.CHECK
    assert {d.held for d in found.documents} == {Held.HELD_BACK}


def test_the_three_silences_are_three_words() -> None:
    requests = Requests(likeness)
    token = begun(requests, 1, 2, 3, 4, 5)
    outcomes = (Outcome.OK_EMPTY, Outcome.DECLINED, Outcome.TIMED_OUT, Outcome.PARTIAL)
    for number, outcome in enumerate(outcomes, 1):
        requests.change(token, lambda record, n=number, o=outcome: record.ended(entry(n), ended(o)))
    states = [leg.state for leg in of(requests, token).legs]
    assert states == [LegState.NONE, LegState.DECLINED, LegState.UNREACHED, LegState.UNSURE,
                      LegState.ASKING]  # fmt: skip
    assert of(requests, token).answered == 2
    requests.change(token, lambda record: record.close(Progress.STOPPED, START))
    assert of(requests, token).legs[4].state is LegState.STOPPED


def test_the_oldest_that_does_not_run_goes_for_a_new_one() -> None:
    requests = Requests(likeness)
    running = begun(requests)
    done = [begun(requests) for _ in range(store.MOST_OF_ONE)]
    for token in done:
        requests.change(token, lambda record: record.close(Progress.ENDED, START))
    begun(requests)
    kept = [each.token for each in requests.all_of("ada", START)]
    assert running in kept
    assert done[0] not in kept
    assert done[-1] in kept
    assert requests.all_of("bob", START) == ()


def test_who_follows_a_request_is_told_of_changes_and_there_are_not_many_such() -> None:
    requests = Requests(likeness)
    token, told = begun(requests), []
    with requests.listening("ada", token, lambda: told.append(1), START) as may:
        assert may
        knows(requests, token, 1)
        assert told == [1]
        with requests.listening("bob", token, lambda: told.append(2), START) as his:
            assert not his
    knows(requests, token, 2)
    assert told == [1]


def test_what_is_kept_of_one_request_has_an_end(monkeypatch) -> None:
    monkeypatch.setattr("node.console.clinic.record.MOST_DOCUMENTS", 3)
    requests = Requests(likeness)
    token = begun(requests)
    knows(requests, token, 1, documents=5)
    found = of(requests, token)
    assert len(found.documents) == 3
    assert found.cut


def test_a_document_that_two_identities_name_is_kept_once() -> None:
    requests = Requests(likeness)
    token = begun(requests)
    knows(requests, token, 1)
    knows(requests, token, 1)
    assert len(of(requests, token).documents) == 2
    assert requests.of("ada", token, START + timedelta(hours=1)) is not None
