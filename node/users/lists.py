"""The pages of lists that people had open last: a thing's page leads to the next one of its list.

An address of a thing does not say which list it was opened from, and no referrer is sent. So the
node keeps the last pages of each list that a person saw, and takes the newest one that the thing
stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, delete, insert, select

from node.ledger.leaf import milliseconds
from node.storage.engine import IMMEDIATE
from node.users.tables import LIST

MOST: Final = 6
"""Pages of one list that are kept for a person: as many windows side by side."""

KEPT: Final = timedelta(hours=12)
_LONGEST: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Where a thing stands in a list: its neighbours' ids, and the list's addresses.

    Attributes:
        place: counted from 1 on the page.
        following: the list's next page; empty where there is none.
    """

    before: str
    after: str
    address: str
    following: str
    place: int
    count: int


class Lists:
    """The pages of lists in the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})

    def keep(
        self,
        login: str,
        view: str,
        *,
        address: str,
        things: Sequence[str],
        following: str = "",
        now: datetime,
    ) -> None:
        """Keep a page that a person sees; one of the same address is replaced, else the oldest."""
        ids = ",".join(things)
        if max(len(ids), len(address), len(following)) > _LONGEST:
            return
        mine = (LIST.c.login == login) & (LIST.c.view == view)
        with self._engine.begin() as connection:
            query = select(LIST.c.place, LIST.c.address).where(mine).order_by(LIST.c.t)
            rows = connection.execute(query).all()
            held = {row.place for row in rows}
            free = next((place for place in range(MOST) if place not in held), None)
            same = next((row.place for row in rows if row.address == address), None)
            place = same if same is not None else rows[0].place if free is None else free
            connection.execute(delete(LIST).where(mine, LIST.c.place == place))
            connection.execute(
                insert(LIST).values(
                    login=login,
                    view=view,
                    place=place,
                    address=address,
                    things=ids,
                    following=following,
                    t=milliseconds(now),
                )
            )

    def near(self, login: str, view: str, thing: str, *, now: datetime) -> Near | None:
        """Where a thing stands in the newest page that has it."""
        query = (
            select(LIST)
            .where(LIST.c.login == login, LIST.c.view == view, LIST.c.t > milliseconds(now - KEPT))
            .order_by(LIST.c.t.desc())
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            ids = row.things.split(",")
            if thing in ids:
                at = ids.index(thing)
                return Near(
                    before=ids[at - 1] if at else "",
                    after=ids[at + 1] if at + 1 < len(ids) else "",
                    address=row.address,
                    following=row.following,
                    place=at + 1,
                    count=len(ids),
                )
        return None
