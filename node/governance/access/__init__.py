"""Who of ours may ask about whom: encounters, relationships, and broken glass."""
