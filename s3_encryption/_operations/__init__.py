"""S3's operations: one table of decisions, and what does them."""
