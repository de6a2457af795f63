"""Tests of the public types: what a user's type checker accepts and refuses, with boto3-stubs and without."""
