"""A time limit that the database keeps: a search that is too costly ends there, not in a thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from node.wire.fhir.problem import FhirProblem

_STEPS = 1_000
"""Instructions of SQLite between two looks at the clock: well below a millisecond."""


@contextmanager
def bounded(engine: Engine, seconds: float) -> Iterator[Connection]:
    """A connection whose statements together may take so long.

    Raises:
        FhirProblem: ``fhir-too-slow``.
    """
    until = time.monotonic() + seconds
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        is_sqlite = engine.dialect.name == "sqlite"
        if is_sqlite:
            raw.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        else:
            limit = text("SELECT set_config('statement_timeout', :limit, true)")
            connection.execute(limit, {"limit": str(max(1, round(seconds * 1000)))})
        try:
            yield connection
        except OperationalError:
            if time.monotonic() <= until:
                raise
            raise FhirProblem(
                "fhir-too-slow", "The search took too long; name more, or a shorter time."
            ) from None
        finally:
            if is_sqlite:
                raw.set_progress_handler(None, 0)
