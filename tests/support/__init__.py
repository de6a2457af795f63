"""Fakes, vectors and reference code that several test suites use."""
