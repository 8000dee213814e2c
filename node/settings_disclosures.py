"""The section ``[disclosures]`` of ``node.toml``."""

from __future__ import annotations

from node.settings_section import Section


class DisclosuresSection(Section):
    """``[disclosures]``: the accounting of disclosures (``governance/data/accounting.toml``).

    ``count`` names the exclusions by their codes that this node does not rely on: what they would
    leave out is accounted for.
    """

    count: tuple[str, ...] = ()
