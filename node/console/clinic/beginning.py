"""Beginning a search: let in, not too many, entered in the log, and only then asked."""

from __future__ import annotations

from anyio import from_thread

from node.console.clinic.asking import Whom
from node.console.clinic.clinic import Clinic
from node.console.clinic.glass import access_of
from node.console.clinic.request import ClinicRequest, Progress
from node.console.clinic.searching import Network, Searches
from node.console.clinic.usual import usual
from node.console.parts import Visit
from node.ledger.trust_change import TrustChange
from node.model import ExchangeId, Principal


def begin(
    visit: Visit, network: Network, searches: Searches, *, principal: Principal, whom: Whom
) -> str | None:
    """The token of a new request, ``None`` when too many run; the same one sent twice is one.

    Whoever is not let in to the patient has a request all the same, and nobody is asked for it.
    """
    clinic, login = visit.console.clinic, visit.user.login
    twin = clinic.requests.twin(login, principal.purpose, whom.demographics, visit.now)
    if twin is not None:
        return twin
    allowed = access_of(visit, whom.demographics, whom.patient).allowed
    if allowed and not from_thread.run_sync(searches.may_begin, login):
        return None
    entries = network.asked()
    homes = (entry.home_community_id for entry in entries)
    token = clinic.requests.begin(
        login,
        principal,
        whom.demographics,
        entries,
        exchange_id=ExchangeId(network.clock.new_id()),
        now=visit.now,
        patient=whom.patient,
        usual=usual(visit.console.engine, homes, visit.now),
        barred=not allowed,
    )
    kept = clinic.requests.of(login, token, visit.now)
    if kept is not None and not allowed:
        _enter(visit, kept, "records-bar", reason="no-relationship")
        return token
    if kept is None or not _ask(visit, clinic, searches, kept):
        clinic.requests.forget(token)
        return None
    return token


def go_on(visit: Visit, asked: ClinicRequest) -> bool:
    """Ask for a request that was barred, now that the person is let in; whether it was begun."""
    clinic = visit.console.clinic
    if clinic.searches is None or asked.progress is not Progress.BARRED:
        return False
    if not access_of(visit, asked.demographics, asked.patient).allowed:
        return False
    return _ask(visit, clinic, clinic.searches, asked)


def _ask(visit: Visit, clinic: Clinic, searches: Searches, asked: ClinicRequest) -> bool:
    if not from_thread.run_sync(searches.may_begin, asked.login):
        return False
    _enter(visit, asked, "records-search")  # before anybody is asked
    clinic.requests.change(asked.token, lambda record: record.open())
    return from_thread.run_sync(searches.begin, asked)


def _enter(visit: Visit, asked: ClinicRequest, act: str, *, reason: str | None = None) -> None:
    private: dict[str, object] = {"request": asked.token, "exchange": asked.exchange_id}
    if asked.patient is not None:
        private["patient"] = f"~{visit.console.key.patient_token(asked.patient).hex()}"
    counts = {"added": len(asked.legs)}
    visit.console.recorder(visit.user).fact(
        TrustChange(act=act, reason=reason, counts=counts, private=private)
    )
