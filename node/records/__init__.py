"""The local side: patient index, matching, document sources."""
