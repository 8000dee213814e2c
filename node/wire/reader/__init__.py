"""Clinical documents → values that a page can show: nothing of a peer's mark-up comes through."""
