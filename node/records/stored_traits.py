"""Traits as they are kept beside a person, so that comparing needs no levelling: JSON of lists."""

from __future__ import annotations

import orjson

from node.records.traits import AddressTraits, NameTraits, Traits


def dumped(traits: Traits) -> bytes:
    """Traits as bytes."""
    return orjson.dumps(
        [
            [
                [n.family, sorted(n.family_parts), n.given, n.given_whole, n.middles, n.newborn]
                for n in traits.names
            ],
            sorted(traits.suffixes),
            traits.birth_date,
            traits.sex,
            sorted(traits.ssns),
            sorted(traits.identifiers),
            sorted(traits.telephones),
            sorted(traits.mails),
            [[a.street, a.number, a.city, a.state, a.postal_code] for a in traits.addresses],
            traits.mothers_maiden_name,
        ]
    )


def loaded(stored: bytes) -> Traits:
    """The traits of ``dumped``."""
    names, suffixes, born, sex, ssns, identifiers, telephones, mails, addresses, mother = (
        orjson.loads(stored)
    )
    return Traits(
        names=tuple(
            NameTraits(
                family=family,
                family_parts=frozenset(parts),
                given=given,
                given_whole=whole,
                middles=tuple(middles),
                newborn=newborn,
            )
            for family, parts, given, whole, middles, newborn in names
        ),
        suffixes=frozenset(suffixes),
        birth_date=born,
        sex=sex,
        ssns=frozenset(ssns),
        identifiers=frozenset((root, value) for root, value in identifiers),
        telephones=frozenset(telephones),
        mails=frozenset(mails),
        addresses=tuple(
            AddressTraits(
                street=street, number=number, city=city, state=state, postal_code=postal_code
            )
            for street, number, city, state, postal_code in addresses
        ),
        mothers_maiden_name=mother,
    )
