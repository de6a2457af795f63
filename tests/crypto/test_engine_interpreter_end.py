"""The end of a process in which something still holds ciphers and keys: it ends as it would without them."""

from __future__ import annotations

import pytest
from support.core_process import run_core
from support.vectors import RSA_KEY_DER

_HOLDERS = {
    "context-variable": "contextvars.ContextVar('held').set(held)",
    "daemon-thread": "threading.Thread(target=lambda held: time.sleep(60), args=[held], daemon=True).start()",
    "thread-local": "local = threading.local(); local.held = held",
    "fork-hook": "os.register_at_fork(before=lambda held=held: None)",
    "audit-hook": "sys.addaudithook(lambda *event, held=held: None)",
    "trace-function": "sys.settrace(lambda *event, held=held: None)",
    "error-handler-of-codecs": "codecs.register_error('held', lambda error, held=held: ('', 0))",
    "handler-of-atexit": "atexit.register(lambda held: None, held)",
    "another module": "json.held = held",
    "builtins": "builtins.held = held",
    "cycle-in-a-hook": "cycle = [held]; cycle.append(cycle); os.register_at_fork(before=lambda held=cycle: None)",
    "exception": "error = failed(held); os.register_at_fork(before=lambda held=error: None)",
}
_SCRIPT = """
import atexit, builtins, codecs, contextvars, json, os, sys, threading, time
os.environ["S3_ENCRYPTION_CRYPTO_ENGINE"] = {engine!r}
if not {has_cffi}:
    sys.modules["cffi"] = None
from s3_encryption._crypto import engine
from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from Crypto.Util import _raw_api
assert _raw_api.backend == ("cffi" if {has_cffi} else "ctypes")

key, block = bytes(range(32)), bytes(16)
engine = engine.active
begun = [engine.gcm_encryption(key, bytes(12), b""), engine.gcm_decryption(key, bytes(12), b"")]
begun += [engine.ctr(key, block), engine.cbc_encryption(key, block), engine.cbc_decryption(key, block)]
for transform in begun:
    transform.update_into(block, memoryview(bytearray(block)))
begun.append(engine.gmac(key, bytes(12)))
rsa = RsaKeyring(bytes.fromhex({rsa_key!r}))
begun += [rsa, AesKeyring(key), rsa.generate_data_key("AES/GCM/NoPadding", {{}})]

def failed(held):
    try:
        raise ValueError
    except ValueError as error:
        return error

def hold(held):
    {holder}

# Of modules that are still held, the interpreter clears the names.
hold([begun, dict(sys.modules)])
"""


@pytest.mark.parametrize(
    ("engine", "has_cffi"),
    [("openssl", True), ("pycryptodome", True), ("pycryptodome", False)],
    ids=["openssl", "pycryptodome", "pycryptodome-by-ctypes"],
)
@pytest.mark.parametrize("holder", _HOLDERS.values(), ids=_HOLDERS)
def test_process_ends_well_while_ciphers_and_keys_are_held(engine: str, has_cffi: bool, holder: str) -> None:
    """What is freed after the modules, by the last acts of the interpreter, is freed without a crash and a word."""
    script = _SCRIPT.format(engine=engine, has_cffi=has_cffi, holder=holder, rsa_key=RSA_KEY_DER.hex())
    ended = run_core(script)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
