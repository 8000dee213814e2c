"""Tables, engines, migrations and the group-commit writer."""
