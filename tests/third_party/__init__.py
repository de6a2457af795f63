"""Other projects' tests of S3, run on plain boto3 and on this client: make third-party."""
