"""Fuzzing: what becomes of bytes that somebody else chose."""
