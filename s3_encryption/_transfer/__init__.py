"""Managed downloads, and objects as seekable files."""
