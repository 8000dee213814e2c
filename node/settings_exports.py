"""The section ``[exports]`` of ``node.toml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from node.settings_section import Section


class ExportsSection(Section):
    """``[exports]``: files of entries that people take from the console.

    More rows than ``second_person_above`` with patients' tokens revealed wait for a second person.
    A file is kept for ``keep_days``; ``most_rows`` are in one at most.
    """

    second_person_above: Annotated[int, Field(ge=0)] = 10_000
    keep_days: Annotated[float, Field(gt=0, le=90)] = 7
    most_rows: Annotated[int, Field(ge=1, le=50_000_000)] = 5_000_000
