"""What a person chose of how pages look and act: a few words under a name each."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, delete, insert, select

from node.storage.engine import IMMEDIATE
from node.users.tables import PREFERENCE

COLUMNS: Final = "exchange-columns"
SHORTCUTS: Final = "shortcuts"
MOST: Final = 512


class Preferences:
    """The preferences in the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})

    def of(self, login: str) -> dict[str, str]:
        """All of a person's, by name."""
        query = select(PREFERENCE.c.name, PREFERENCE.c.value).where(PREFERENCE.c.login == login)
        with self._engine.connect() as connection:
            return {row.name: row.value for row in connection.execute(query.limit(50))}

    def set(self, login: str, name: str, value: str) -> None:
        """Choose something; an empty value goes back to the default."""
        where = (PREFERENCE.c.login == login, PREFERENCE.c.name == name)
        with self._engine.begin() as connection:
            connection.execute(delete(PREFERENCE).where(*where))
            if value:
                connection.execute(
                    insert(PREFERENCE).values(login=login, name=name, value=value[:MOST])
                )
