"""Bytes on their way: what a caller gives, what is sent, what comes back."""
