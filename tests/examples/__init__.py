"""Tests of the programs in examples: each runs as its user would run it."""
