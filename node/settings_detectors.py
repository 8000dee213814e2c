"""The section ``[detectors]`` of ``node.toml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from node.settings_section import Section


class DetectorsSection(Section):
    """``[detectors]``: how often a serving node looks for what is unusual; 0 is never.

    How each detector is set is not here: it is changed at the console, or with ``detect set``.
    """

    sweep_minutes: Annotated[float, Field(ge=0, le=1440)] = 15
