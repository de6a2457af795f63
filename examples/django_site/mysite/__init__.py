"""A small Django site that keeps its users' documents in S3, encrypted."""
