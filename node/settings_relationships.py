"""The section ``[relationships]`` of ``node.toml``."""

from __future__ import annotations

from node.settings_section import Section


class RelationshipsSection(Section):
    """``[relationships]``: who of ours may ask about whom.

    With ``required``, a person at the console asks other organisations about a patient only where
    the encounters show a treatment relationship. ``rules_file`` replaces the rules that ship.
    """

    required: bool = False
    rules_file: str = ""
