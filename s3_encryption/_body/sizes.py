"""How much is read, held, encrypted and sent at a time, each size with its reason. All in bytes."""

from __future__ import annotations

# What is read of a caller's Body, encrypted, remembered by a digest and sent at a time.
IO_BLOCK_BYTES = 1024 * 1024
# What is asked of the network, or of a spool, at a time: big enough for the cipher, small enough to be reused.
READ_BYTES = 1024 * 1024
# Up to this size the ciphertext of a Body is held in memory: encrypting once is then cheaper than a reader that can
# start again.
SMALL_BODY_BYTES = 1024 * 1024
# From this size on, a second thread works ahead: it reads and encrypts a file one block ahead of the network, and
# decrypts what has come while the next piece is on its way.
AHEAD_BYTES = 4 * 1024 * 1024
# Up to this size a ciphertext that must be kept is kept in memory. The held last part of a multipart upload fits in.
SPOOL_MEMORY_BYTES = 6 * 1024 * 1024
# What a seekable file fetches, or decrypts, beyond what it is asked for.
READ_AHEAD_BYTES = 1024 * 1024
# What is written to a file at a time: Linux may take several times as long for larger writes, because their pages must
# lie together.
WRITE_BYTES = 256 * 1024
