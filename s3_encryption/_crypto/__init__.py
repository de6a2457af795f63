"""Keys and bytes: suites, ciphers, GHASH. No metadata, no HTTP."""
