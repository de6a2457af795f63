"""Documents that users upload and download."""
