"""What people selected in a list, kept here so that it outlives the page, a filter and a verb.

An address never names what is selected, and a form only what its page shows. A selection is of one
person and one list; each thing leaves it twelve hours after it was chosen, as a session ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, delete, insert, select

from node.ledger.leaf import milliseconds
from node.storage.engine import IMMEDIATE
from node.users.tables import SELECTION

MOST: Final = 500
"""Things of one list that a person has selected at once; a verb acts on no more."""

KEPT: Final = timedelta(hours=12)
_LONGEST: Final = 36


class Selections:
    """The selections in the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})

    def of(self, login: str, view: str, *, now: datetime) -> tuple[str, ...]:
        """What a person has selected in a list, in the order of the ids."""
        query = select(SELECTION.c.thing).where(
            SELECTION.c.login == login,
            SELECTION.c.view == view,
            SELECTION.c.t > milliseconds(now - KEPT),
        )
        with self._engine.connect() as connection:
            return tuple(connection.execute(query.order_by(SELECTION.c.thing)).scalars())

    def change(
        self,
        login: str,
        view: str,
        *,
        add: Iterable[str] = (),
        drop: Iterable[str] = (),
        now: datetime,
    ) -> int:
        """Select some things and others not any more; how many found no room any more."""
        mine = (SELECTION.c.login == login) & (SELECTION.c.view == view)
        wanted = dict.fromkeys(each for each in add if 0 < len(each) <= _LONGEST)
        t = milliseconds(now)
        with self._engine.begin() as connection:
            over = SELECTION.c.t <= milliseconds(now - KEPT)
            gone = SELECTION.c.thing.in_(list(drop))
            connection.execute(delete(SELECTION).where(mine, over | gone))
            held = set(connection.execute(select(SELECTION.c.thing).where(mine)).scalars())
            fresh = [each for each in wanted if each not in held]
            room = max(MOST - len(held), 0)
            if fresh[:room]:
                connection.execute(
                    insert(SELECTION),
                    [{"login": login, "view": view, "thing": x, "t": t} for x in fresh[:room]],
                )
        return len(fresh[room:])

    def clear(self, login: str, view: str) -> None:
        """Select nothing."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(SELECTION).where(SELECTION.c.login == login, SELECTION.c.view == view)
            )
