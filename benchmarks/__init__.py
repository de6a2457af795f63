"""Benchmarks: plain boto3, this library and AWS's own client do the same work against a local S3. Not installed.

``python -m benchmarks --help`` tells how to run them, docs/performance.md what they show.
"""
