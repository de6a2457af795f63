"""Live interoperability tests: other S3 encryption clients against ours, over one embedded S3."""
