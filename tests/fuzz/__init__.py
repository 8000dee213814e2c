"""Coverage-guided fuzzing of everything that strangers' bytes meet first; ``make fuzz``.

``targets`` says what is fuzzed and what must hold, ``driver`` (behind ``__main__``) divides the
time, ``run`` is one process of libFuzzer, ``corpus/`` the small kept set that ``make test`` replays
without atheris, ``originals/`` the signed documents and certificates of a throw-away network, whose
keys nobody has any more (``make_originals`` makes new ones).
"""
