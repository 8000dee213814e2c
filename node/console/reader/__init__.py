"""Pages on which a peer's document is read."""
