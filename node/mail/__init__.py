"""Notices by mail: an outbox in the database, what they say, and how they are sent."""
