"""People who sign in at the console: local accounts, their roles, sessions and lockout."""
