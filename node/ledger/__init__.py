"""What happened, provably: entries, commitments, the private store, finding."""
