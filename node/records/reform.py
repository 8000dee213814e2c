"""Brings an index that an older node made, or other rules, to the form that look-ups need now.

The keys that people are found by and the traits that they are compared by follow from their
demographics and the matching rules. When the rules change in a new version (or the assigning
authority in the settings), people of another form are made again, once, before anything is looked
up: with keys of the older form they would not be found.
"""

from __future__ import annotations

import logging

from sqlalchemy import ColumnElement, Engine, func, or_, select, update

from node.records.people import People
from node.records.rules import Rules, default_rules
from node.records.tables import PATIENT
from node.storage.engine import IMMEDIATE

_AT_ONCE = 500
"""People of one transaction: other processes wait for it for a fraction of a second."""

_log = logging.getLogger(__name__)


def reform_people(engine: Engine, assigning_authority: str, rules: Rules | None = None) -> int:
    """Make the people of another form again; how many there were.

    Says so on the log, since a large index takes a while (about a minute for 100,000 people). Done
    in steps: what an interrupted run did is done. Several processes may run it at once.
    """
    people = People(assigning_authority, rules or default_rules())
    with engine.connect() as connection:
        count = connection.execute(
            select(func.count()).select_from(PATIENT).where(_other(people.form))
        ).scalar_one()
    if count:
        _log.warning(
            "The patient index is of an older form; making its search keys again, once, before "
            "anything is looked up."
        )
    done = 0
    while count and (some := _step(engine, people)):
        done += some
    if done:
        _log.warning("The patient index is up to date.")
    return done


def _other(form: str) -> ColumnElement[bool]:
    """Those of another form, written so that the column's index answers it."""
    return or_(PATIENT.c.form.is_(None), PATIENT.c.form < form, PATIENT.c.form > form)


def _step(engine: Engine, people: People) -> int:
    """Some people, in one transaction; identities that were joined to others have no keys."""
    query = select(PATIENT.c.id, PATIENT.c.merged_into).where(_other(people.form))
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        rows = connection.execute(query.limit(_AT_ONCE).with_for_update()).all()
        people.reform(connection, [row.id for row in rows if row.merged_into is None])
        joined = [row.id for row in rows if row.merged_into is not None]
        if joined:
            connection.execute(
                update(PATIENT).where(PATIENT.c.id.in_(joined)).values(form=people.form)
            )
    return len(rows)
