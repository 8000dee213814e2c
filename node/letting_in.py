"""Who may ask about whom at the console: relationships and broken glass of an opened home."""

from __future__ import annotations

from datetime import timedelta

from node.console.parts import Contacts
from node.errors import SettingsError
from node.governance.access.break_glass import BreakGlass, GlassRules
from node.governance.access.encounters import Encounters
from node.governance.access.grants import Grants
from node.governance.access.relationships import Relationships
from node.governance.cases import Cases
from node.ledger.private import LedgerKey
from node.mailing import glass_notices
from node.opened import OpenedHome
from node.policy.relationship import parse_rules, shipped_rules
from node.wire.identifiers import home_community_id


def relationships_of(opened: OpenedHome, key: LedgerKey) -> Relationships:
    """Who may ask about whom. Raises ``SettingsError`` for rules that cannot be read."""
    settings = opened.settings.relationships
    own = home_community_id(opened.settings.node.home_community_id)
    rules = shipped_rules()
    if settings.rules_file:
        path = opened.home.resolve(settings.rules_file)
        try:
            rules = parse_rules(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                "relationship-rules-invalid", "relationships.rules_file cannot be read."
            ) from error
    return Relationships(
        Encounters(opened.engine, key, own=own),
        Grants(opened.engine, key, own=own),
        key,
        rules,
        required=settings.required,
    )


def break_glass_of(opened: OpenedHome, key: LedgerKey, cases: Cases) -> BreakGlass:
    """What lets a person ask where there is no relationship."""
    settings = opened.settings.relationships
    own = home_community_id(opened.settings.node.home_community_id)
    return BreakGlass(
        cases,
        Grants(opened.engine, key, own=own),
        key,
        GlassRules(
            lasts=timedelta(minutes=settings.break_glass_minutes),
            review_days=settings.review_days,
        ),
        tell=glass_notices(opened),
    )


def contacts_of(opened: OpenedHome) -> Contacts:
    """Whom people call."""
    settings = opened.settings.relationships
    return Contacts(help_desk=settings.help_desk, privacy_officer=settings.privacy_officer)
