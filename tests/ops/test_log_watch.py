"""A serving node compares its log by itself; what is found is told everywhere."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import update

from node.ledger.bodies import Body, Captured, has_bodies, keep_bodies, load_capture_key
from node.ledger.entry_source import write_heartbeat
from node.ledger.find import tail
from node.ledger.leaf import milliseconds
from node.ledger.private import load_key
from node.ledger.trust_log import NODE
from node.log_health import log_finding
from node.log_watch import LogWatch
from node.opened import OpenedHome, opened_home, trust_log
from node.ops.health import Status
from node.ops.metrics import Metrics
from node.running_checks import served_anyway
from node.settings import NodeHome, load_settings
from node.setup import NewNode, make_home
from node.storage.engine import IMMEDIATE
from node.storage.tables import ENTRY
from node.yearly_sealer import YearlySealer

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


class _Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = NodeHome(tmp_path_factory.mktemp("watch") / "home")
    node = NewNode(name="N", home_community_id="urn:oid:2.999.7", organization_id="2.999.7")
    make_home(home, node, now=NOW)
    return home.path


@pytest.fixture
def opened(pristine: Path, tmp_path: Path):
    home = NodeHome(Path(shutil.copytree(pristine, tmp_path / "home")))
    with opened_home(home, load_settings(home)) as found:
        yield replace(found, clock=_Clock())


def seal(opened: OpenedHome, beats: int = 3) -> None:
    for _ in range(beats):
        key, own = load_key(opened.home.path), opened.home_community_id
        write_heartbeat(opened.engine, key, own=own, now=opened.clock.now())
    sealer = YearlySealer(opened)
    sealer.run()
    sealer.close()


def finding(opened: OpenedHome):
    return log_finding(opened.home, opened.settings, opened.engine, opened.clock.now())


def spoil(opened: OpenedHome) -> None:
    with opened.engine.begin() as connection:
        connection.execute(update(ENTRY).where(ENTRY.c.seq == 1).values(leaf_hash=b"x"))


def test_everything_is_compared_at_first_and_then_once_a_week(opened: OpenedHome) -> None:
    seal(opened)
    metrics = Metrics()
    watch = LogWatch(opened, metrics, trust_log(opened, NODE))
    watch.run()
    assert "3 in order" in finding(opened).sentence
    assert finding(opened).status is Status.OK
    spoil(opened)
    opened.clock.at += timedelta(days=6)
    with structlog.testing.capture_logs() as logs:
        watch.run()  # the sample is due; the one bundle of this log is what it takes
    (told,) = logs
    assert (told["event"], told["action"], told["seq"]) == ("log.differs", "sample", 1)
    opened.clock.at += timedelta(days=1)
    with structlog.testing.capture_logs() as logs:
        watch.run()
    assert [each["action"] for each in logs] == ["sample", "whole"]
    text = metrics.text().decode()
    assert 'tefca_log_differences{how="whole"} 1.0' in text
    assert 'tefca_log_differences{how="sample"} 1.0' in text
    found = finding(opened)
    assert found.status is Status.FAIL
    assert "found differences: 1. The first: The leaf is not the one" in found.sentence
    assert served_anyway(found).status is Status.WARN


def test_entries_that_stay_unsealed_are_an_alarm_after_a_quarter_of_an_hour(
    opened: OpenedHome,
) -> None:
    seal(opened)
    key, own = load_key(opened.home.path), opened.home_community_id
    write_heartbeat(opened.engine, key, own=own, now=opened.clock.now())
    opened.clock.at += timedelta(minutes=14)
    assert finding(opened).status is Status.OK
    opened.clock.at += timedelta(minutes=2)
    found = finding(opened)
    assert (found.status, "since 2026-11-27 12:00" in found.sentence) == (Status.FAIL, True)
    seal(opened, 0)
    assert finding(opened).status is Status.OK


def test_a_log_that_is_not_compared_any_more_is_a_warning(opened: OpenedHome) -> None:
    seal(opened)
    LogWatch(opened, Metrics(), trust_log(opened, NODE)).run()
    opened.clock.at += timedelta(days=15)
    found = finding(opened)
    assert (found.status, "compared last on 2026-11-27" in found.sentence) == (Status.WARN, True)


def test_a_comparison_ends_at_its_next_step_when_the_node_ends(opened: OpenedHome) -> None:
    seal(opened)
    watch = LogWatch(opened, Metrics(), trust_log(opened, NODE))
    watch.stop()
    watch.run()
    assert "nothing was compared yet" in finding(opened).sentence


def test_messages_whose_days_are_over_are_purged_and_it_is_told(opened: OpenedHome) -> None:
    seal(opened)
    captured = Captured(
        seq=1, entry_id="x", t=milliseconds(NOW), request=Body(length=1, data=b"x"), response=None
    )
    with opened.engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        keep_bodies(connection, load_capture_key(opened.home.path), [captured])
    metrics = Metrics()
    watch = LogWatch(opened, metrics, trust_log(opened, NODE))
    opened.clock.at += timedelta(days=6, hours=23)
    watch.run()
    assert has_bodies(opened.engine, 1)
    opened.clock.at += timedelta(hours=2)
    watch.run()
    assert not has_bodies(opened.engine, 1)
    told = tail(opened.engine, after=2)
    assert [(each.fields["act"], each.fields["entries"]) for each in told] == [("body-purge", 1)]
    assert 'tefca_captured_messages_total{outcome="purged"} 1.0' in metrics.text().decode()


def test_nothing_is_compared_when_the_settings_say_so(opened: OpenedHome) -> None:
    seal(opened)
    log = opened.settings.log.model_copy(update={"sample_minutes": 0, "compare_days": 0})
    settings = opened.settings.model_copy(update={"log": log})
    LogWatch(replace(opened, settings=settings), Metrics(), trust_log(opened, NODE)).run()
    assert "nothing was compared yet" in finding(opened).sentence


def test_a_database_that_ends_before_what_is_sealed_is_told(opened: OpenedHome) -> None:
    seal(opened)
    assert finding(opened).status is Status.OK
    with sqlite3.connect(opened.home.path / "node.db") as older:
        older.execute("DELETE FROM ledger_entry WHERE seq > 0")
    older.close()
    found = finding(opened)
    assert found.status is Status.FAIL
    assert "The database ends with entry 0, and the log has sealed up to 2" in found.sentence
    assert "log-rolled-back" in (found.advice or "")
