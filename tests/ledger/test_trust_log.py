"""A change of trust and its entries do not come apart silently, and share the log's sequence."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from node.errors import OurFault, SettingsError
from node.ledger import leaf
from node.ledger.find import PAGE_LIMIT, LedgerFilter, find, tail
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.row_check import GroupState
from node.ledger.show import show
from node.ledger.trust_change import TrustChange, sentence
from node.ledger.trust_log import NODE, TrustLog, operator
from tests.ledger.records import record
from tests.warm_start import WarmProcess

ROOT = Path(__file__).resolve().parents[2]
KEY = bytes(range(32))
USER = pwd.getpwuid(os.getuid()).pw_name
CHANGE = TrustChange(
    act="peer-suspend",
    organization_id="2.999.72",
    home_community_id="urn:oid:2.999.72",
    private={"reason": "A canary reason."},
)


@pytest.fixture
def log(store: Engine) -> TrustLog:
    return trust_log(store)


def trust_log(store: Engine) -> TrustLog:
    return TrustLog(
        store,
        lambda: LedgerKey(KEY),
        own="urn:oid:2.999.1",
        author=operator(),
        now=lambda: datetime.now(UTC),
    )


def steps(store: Engine) -> list[tuple[object, object]]:
    return [(entry.fields["step"], entry.fields.get("begun")) for entry in tail(store)]


def test_a_change_has_an_entry_before_it_and_one_after_it(store: Engine, log: TrustLog) -> None:
    with log.change(CHANGE) as made:
        assert steps(store) == [("begun", None)]
        made.add(TrustChange(act="peer-suspend", counts={"changed": 1}))
    assert steps(store) == [("begun", None), ("done", 0)]
    shown = show(store, 1, LedgerKey(KEY))
    assert shown is not None
    assert shown.findings == ()
    assert shown.entry.fields["changed"] == 1
    assert shown.groups["wire"].value == {"reason": "A canary reason."}
    who = shown.groups["who"].value
    assert isinstance(who, dict)
    assert who["user_id"] == USER
    assert {n for n, s in shown.states.items() if s is GroupState.OPEN} == {"who", "wire"}


def test_who_changed_trust_is_found_like_any_user(store: Engine, log: TrustLog) -> None:
    log.fact(TrustChange(act="identity-take", role="server", version=2))
    key = LedgerKey(KEY)
    for user, count in ((USER, 1), ("nobody-else", 0)):
        assert len(find(store, LedgerFilter(user=user), key=key).entries) == count


def test_the_node_itself_is_an_author_too(store: Engine) -> None:
    own = TrustLog(
        store, lambda: LedgerKey(KEY), own="urn:oid:2.999.1", author=NODE,
        now=lambda: datetime.now(UTC),
    )  # fmt: skip
    own.fact(TrustChange(act="list-refuse", reason="network-list-unreachable"))
    (entry,) = tail(store)
    assert entry.fields["by"] == "node"
    assert sentence(entry.fields) == (
        "No network list could be taken; the one in use stays (network-list-unreachable)."
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SettingsError("home-exists", "It is there."), "home-exists"),
        (PermissionError(13, "no"), "file-unusable"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_change_that_fails_ends_with_its_reason(
    store: Engine, log: TrustLog, error: BaseException, reason: str
) -> None:
    with pytest.raises(type(error)), log.change(CHANGE):
        raise error
    assert steps(store) == [("begun", None), ("failed", 0)]
    assert tail(store)[1].fields["reason"] == reason


def test_a_change_that_was_refused_without_an_error_ends_with_its_reason(
    store: Engine, log: TrustLog
) -> None:
    with log.change(CHANGE) as made:
        made.refuse("certificate-expired")
    assert steps(store) == [("begun", None), ("failed", 0)]
    assert tail(store)[1].fields["reason"] == "certificate-expired"


# --- the log cannot be written ------------------------------------------------------------------


@contextmanager
def locked(store: Engine) -> Iterator[None]:
    """Another process holds the log's lock longer than a writer waits."""
    impatient: Callable[..., None] = _short_busy if store.dialect.name == "sqlite" else _short_lock
    event.listen(store, "connect", impatient)
    store.dispose()
    with store.connect() as connection, connection.begin():
        connection.execute(text("UPDATE ledger_counter SET next = next"))
        yield
        connection.rollback()


def _short_busy(connection: object, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout=20")  # type: ignore[attr-defined]


def _short_lock(connection: object, _record: object) -> None:
    connection.execute("SET lock_timeout TO '20ms'")  # type: ignore[attr-defined]
    connection.commit()  # type: ignore[attr-defined]


@contextmanager
def full(store: Engine, *, after: int) -> Iterator[None]:
    """The database takes no more entries than so many."""
    if store.dialect.name == "sqlite":
        statements = [
            (
                "CREATE TRIGGER full BEFORE INSERT ON ledger_entry WHEN "
                f"(SELECT count(*) FROM ledger_entry) >= {after} "
                "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        ]
    else:
        statements = [
            (
                "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF (SELECT count(*) FROM ledger_entry) >= {after} THEN "
                "RAISE EXCEPTION SQLSTATE '53100'; END IF; RETURN NEW; END $$"
            ),
            (
                "CREATE TRIGGER full_disk BEFORE INSERT ON ledger_entry "
                "FOR EACH ROW EXECUTE FUNCTION no_room()"
            ),
        ]
    with store.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    yield


def test_with_a_locked_log_nothing_is_changed(store: Engine, log: TrustLog) -> None:
    touched = []
    with locked(store), pytest.raises(OurFault) as caught, log.change(CHANGE):
        touched.append("the change")
    assert not touched
    assert caught.value.code == "trust-change-unrecorded"
    assert "nothing was changed" in caught.value.sentence
    assert steps(store) == []


def test_with_a_full_log_nothing_is_changed(store: Engine, log: TrustLog) -> None:
    touched = []
    with full(store, after=0), pytest.raises(OurFault) as caught, log.change(CHANGE):
        touched.append("the change")
    assert not touched
    assert "nothing was changed" in caught.value.sentence
    assert steps(store) == []


def test_a_log_that_fills_up_during_a_change_is_told_and_the_begun_entry_stays(
    store: Engine, log: TrustLog
) -> None:
    with full(store, after=1), pytest.raises(OurFault) as caught, log.change(CHANGE):
        pass
    assert caught.value.code == "trust-change-unrecorded"
    assert "entry 0 of the log begins was made" in caught.value.sentence
    assert "canary" not in str(caught.value) + str(caught.value.detail)
    assert steps(store) == [("begun", None)]


def test_an_error_is_not_hidden_by_a_log_that_fills_up(store: Engine, log: TrustLog) -> None:
    with full(store, after=1), pytest.raises(SettingsError) as caught, log.change(CHANGE):
        raise SettingsError("home-exists", "It is there.")
    assert caught.value.__notes__ == ["The log could not take the end of entry 0."]
    assert steps(store) == [("begun", None)]


@pytest.mark.e2e
def test_a_process_killed_during_a_change_leaves_its_begun_entry(store: Engine) -> None:
    assert run(store, count=0).wait() == -9
    assert steps(store) == [("begun", None)]
    assert sentence(tail(store)[0].fields) == "Begun: suspending 2.999.72."


# --- one sequence -------------------------------------------------------------------------------


def run(store: Engine, *, count: int) -> WarmProcess:
    url = store.url.render_as_string(hide_password=False)
    words = (url, KEY.hex(), str(count))
    module = "tests.ledger.trust_changer"
    return WarmProcess(words, folder=ROOT, stdout=1, stderr=2, module=module)


@pytest.mark.e2e
async def test_commands_and_the_serving_process_share_one_sequence_without_gaps(
    store: Engine,
) -> None:
    """Two processes change trust while this one writes exchanges and what it met."""
    changes = 15
    ledger = ExchangeLedger(store, LedgerKey(KEY))
    commands = [run(store, count=changes) for _ in range(2)]
    legs, own = 0, trust_log(store)
    while legs < 20 or any(process.poll() is None for process in commands):
        await asyncio.gather(*(ledger.append(record()) for _ in range(10)))
        await asyncio.to_thread(own.fact, TrustChange(act="list-follow"))
        legs += 10
    ledger.close()
    assert [process.wait() for process in commands] == [0, 0]

    stored: list[leaf.Leaf] = []
    while page := tail(store, after=len(stored) - 1, limit=PAGE_LIMIT):
        stored.extend(entry.fields for entry in page)
    assert [fields["seq"] for fields in stored] == list(range(len(stored)))
    kinds = [str(fields["kind"]) for fields in stored]
    assert kinds.count("exchange") == legs
    assert kinds.count("directory") == 2 * 2 * changes + legs // 10
    begun = {fields["seq"] for fields in stored if fields.get("step") == "begun"}
    ended = [fields["begun"] for fields in stored if "begun" in fields]
    assert sorted(ended) == sorted(begun)
