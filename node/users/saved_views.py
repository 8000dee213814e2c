"""Filters of exchanges that people keep under a name: their own, and those that others share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, delete, func, insert, or_, select

from node.errors import OurFault
from node.ledger.leaf import milliseconds
from node.storage.engine import IMMEDIATE
from node.users.tables import VIEW

MOST: Final = 50
"""Views of one person."""

MOST_SHARED: Final = 200
MOST_NAME: Final = 64
MOST_QUERY: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A view: ``query`` is that of the list's address."""

    number: int
    owner: str
    name: str
    query: str
    shared: bool


class SavedViews:
    """The views in the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})

    def of(self, login: str) -> tuple[SavedView, ...]:
        """A person's own views, then those that others share; by name."""
        own = VIEW.c.owner == login
        query = (
            select(VIEW)
            .where(or_(own, VIEW.c.shared))
            .order_by(own.desc(), VIEW.c.name, VIEW.c.id)
            .limit(MOST + MOST_SHARED)
        )
        with self._engine.connect() as connection:
            return tuple(
                SavedView(
                    number=row.id,
                    owner=row.owner,
                    name=row.name,
                    query=row.query,
                    shared=row.shared,
                )
                for row in connection.execute(query)
            )

    def save(self, owner: str, name: str, query: str, *, shared: bool, now: datetime) -> None:
        """Keep a view; the person's former one of the same name is replaced.

        Raises:
            OurFault: ``view-invalid``, ``view-limit``.
        """
        name = " ".join(name.split())
        if not 0 < len(name) <= MOST_NAME or not name.isprintable():
            raise OurFault("view-invalid", f"The name of a view has 1 to {MOST_NAME} characters.")
        if len(query) > MOST_QUERY:
            raise OurFault("view-invalid", "The filter is too long to be kept.")
        with self._engine.begin() as connection:
            alike = (VIEW.c.owner == owner, VIEW.c.name == name)
            connection.execute(delete(VIEW).where(*alike))
            count = select(func.count()).select_from(VIEW)
            if connection.execute(count.where(VIEW.c.owner == owner)).scalar_one() >= MOST:
                raise OurFault("view-limit", f"You have {MOST} views already. Delete one first.")
            if shared and connection.execute(count.where(VIEW.c.shared)).scalar_one() >= (
                MOST_SHARED
            ):
                raise OurFault("view-limit", f"{MOST_SHARED} views are shared already.")
            connection.execute(
                insert(VIEW).values(
                    owner=owner, name=name, query=query, shared=shared, made=milliseconds(now)
                )
            )

    def forget(self, owner: str, number: int) -> bool:
        """Delete a view of the person's own; whether there was one."""
        with self._engine.begin() as connection:
            gone = connection.execute(
                delete(VIEW).where(VIEW.c.id == number, VIEW.c.owner == owner)
            )
        return bool(gone.rowcount)
