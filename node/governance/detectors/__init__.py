"""Detectors: deterministic rules that look at the log and say, in sentences, what is unusual."""
