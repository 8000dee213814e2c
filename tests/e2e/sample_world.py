"""The organisations that most tests of the running node share."""

from __future__ import annotations

from dataclasses import dataclass

from node_network import SECOND_BORN, SECOND_FAMILY, SECOND_GIVEN, Network, Site, cda

ORIGINALS = {
    "first.xml": cda(1),
    "second.xml": cda(2, padding=700_000),
    "third.xml": cda(
        3, family=SECOND_FAMILY, given=SECOND_GIVEN, born=SECOND_BORN, mrn="MRN-88231154"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """``asker`` asks; ``clinic`` holds two documents of one person and one of another.

    ``slow`` answers late. ``payer`` may not ask for treatment, ``lab`` has no pins, ``stranger``
    stands in no directory; ``payer``, ``lab`` and ``stranger`` only ever ask.
    """

    network: Network
    asker: Site
    clinic: Site
    slow: Site
    payer: Site
    lab: Site
    stranger: Site


def write_opt_outs(site: Site, *rows: str) -> None:
    """Replace a site's opt-out file."""
    path = site.home.path / "opt-out.csv"
    path.write_text("\n".join(("assigning_authority,id", *rows)) + "\n", encoding="utf-8")
