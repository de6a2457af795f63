"""The content ciphers: exact at every length and cut, silent until verified, single use, and bound to one process."""

from __future__ import annotations

import copy
import os
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from Crypto.Cipher import AES
from support import reference
from support.core_process import run_core
from support.reading import finish_at_once, in_pieces, pieces

from s3_encryption._crypto.content import (
    AES_CBC,
    AES_CBC_PKCS7,
    AES_CTR,
    AES_GCM,
    AES_GCM_COMMITTING,
    CBC,
    CTR,
    GCM,
    ContentKey,
    Suite,
)
from s3_encryption._crypto.contexts import GCM_MAX_PLAINTEXT_BYTES, MAX_CALL_BYTES, MIN_CALL_BYTES, CipherContext
from s3_encryption.exceptions import (
    CipherStateError,
    ConfigurationError,
    DecryptionError,
    S3EncryptionClientError,
)

SUITES = (AES_GCM, AES_GCM_COMMITTING, AES_CBC, AES_CBC_PKCS7, AES_CTR)
WRITABLE = SUITES[:4]
SMALL = (0, 1, 15, 16, 17, 31, 32, 33)
LARGE = (65535, 65536, 65537, 262143, 262144, 262145, 2**20 + 7)
SMALL_STEPS = (1, 7, 15, 16, 17, 1000)
LARGE_STEPS = (1000, 65536, 65537, 10**9)
GRID = [(length, step) for length in SMALL for step in SMALL_STEPS]
GRID += [(length, step) for length in LARGE for step in LARGE_STEPS]
GRID += [(5 * 2**20 + 1, 2**20 - 1)]

DATA = random.Random("content").randbytes(max(length for length, _ in GRID))
KEY = bytes(range(32))

suites = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
writable_suites = pytest.mark.parametrize("suite", WRITABLE, ids=lambda suite: suite.name)
gcm_suites = pytest.mark.parametrize("suite", SUITES[:2], ids=lambda suite: suite.name)


def content_key(suite: Suite) -> ContentKey:
    """Return a content key with the IV that the suite demands, or an arbitrary one."""
    return ContentKey(suite, KEY, suite.fixed_iv or bytes(range(200, 200 + suite.iv_bytes)))


def encrypted(suite: Suite, plaintext: bytes) -> bytes:
    """Return the stored body, by pycryptodome directly."""
    key = content_key(suite)
    if suite.mode is GCM:
        return reference.gcm_encrypt(KEY, key.iv, plaintext, suite.aad)
    return (reference.cbc_encrypt if suite.mode is CBC else reference.ctr_encrypt)(KEY, key.iv, plaintext)


# --- lengths and cuts -------------------------------------------------------------------------------------------------


@writable_suites
def test_encryption_is_exact_at_every_length_and_cut(suite: Suite) -> None:
    """CT-11: however the plaintext is cut, the body is what a one-shot encryption gives, and as long as foretold."""
    bodies = {length: encrypted(suite, DATA[:length]) for length, _ in GRID}
    for length, step in GRID:
        assert in_pieces(content_key(suite).encryptor(), DATA[:length], step) == bodies[length], (length, step)
        assert suite.ciphertext_length(length) == len(bodies[length])


@suites
@pytest.mark.parametrize("release_unverified", [False, True])
def test_decryption_is_exact_at_every_length_and_cut(suite: Suite, release_unverified: bool) -> None:
    """CT-11: however the body is cut, its plaintext comes out, released early or at the end."""
    bodies = {length: encrypted(suite, DATA[:length]) for length, _ in GRID}
    for length, step in GRID:
        decryptor = content_key(suite).decryptor(release_unverified=release_unverified)
        assert in_pieces(decryptor, bodies[length], step) == DATA[:length], (length, step)


@writable_suites
def test_encrypting_in_one_call_equals_the_filter(suite: Suite) -> None:
    """The convenience for small bodies gives the same bytes."""
    for length in SMALL:
        assert content_key(suite).encrypt(DATA[:length]) == encrypted(suite, DATA[:length])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@suites
def test_filters_take_any_bytes_like_object(suite: Suite, kind: type) -> None:
    """bytes, bytearray and memoryview of a body mean the same, and a buffer may be reused after the call."""
    body = encrypted(suite, DATA[:70000])
    decryptor = content_key(suite).decryptor(release_unverified=True)
    output = b""
    for piece in pieces(body, 1000):
        buffer = bytearray(piece)
        output += decryptor.update(kind(buffer))
        buffer[:] = bytes(len(buffer))
    assert output + decryptor.finalize() == DATA[:70000]


def test_filters_take_views_of_wider_items() -> None:
    """A memoryview of integers counts as its bytes."""
    view = memoryview(DATA[:800]).cast("Q")
    assert content_key(AES_GCM).encrypt(view) == encrypted(AES_GCM, DATA[:800])


@suites
def test_ciphers_work_in_large_calls_however_small_the_pieces(suite: Suite) -> None:
    """Output comes in runs of at least 64 KiB although the input drips in."""
    decryptor = content_key(suite).decryptor(release_unverified=True)
    runs = [len(decryptor.update(piece)) for piece in pieces(encrypted(suite, DATA[: 2**20]), 1000)]
    assert all(run >= MIN_CALL_BYTES for run in runs if run)
    assert sum(runs) > 2**20 - 2 * MIN_CALL_BYTES


# --- CBC, CTR and ranges ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_bytes", [16, 24, 32])
def test_cbc_decryption_equals_mode_cbc(key_bytes: int) -> None:
    """ECB and XOR give what pycryptodome's own MODE_CBC gives, for all key sizes and across all internal cuts."""
    key, iv = KEY[:key_bytes], bytes(range(16))
    length = 3 * MAX_CALL_BYTES + 5 * 16
    expected = AES.new(key, AES.MODE_CBC, iv=iv).decrypt(DATA[:length])
    decryptor = ContentKey(AES_CBC, key, iv).cbc_range_decryptor(iv, last=False)
    assert in_pieces(decryptor, DATA[:length], 100_001) == expected


@pytest.mark.parametrize("first", [0, 1, 5])
@pytest.mark.parametrize("last", [False, True])
def test_cbc_range_chains_from_the_block_before(first: int, last: bool) -> None:
    """Whole blocks from the middle or the end of a body give their slice of the plaintext."""
    key = content_key(AES_CBC)
    body = encrypted(AES_CBC, DATA[:200])
    previous = body[16 * first - 16 : 16 * first] if first else key.iv
    decryptor = key.cbc_range_decryptor(previous, last=last)
    ciphertext = body[16 * first :] if last else body[16 * first : 160]
    assert in_pieces(decryptor, ciphertext, 7) == DATA[16 * first : 200 if last else 160]


@pytest.mark.parametrize("length", [1, 15, 17])
def test_cb_11_cbc_range_refuses_parts_of_blocks(length: int) -> None:
    """A range of CBC that does not end with a block is refused."""
    decryptor = content_key(AES_CBC).cbc_range_decryptor(bytes(16), last=False)
    with pytest.raises(DecryptionError):
        in_pieces(decryptor, DATA[:length], length)


@pytest.mark.parametrize("suite", [AES_GCM, AES_GCM_COMMITTING, AES_CTR], ids=lambda suite: suite.name)
def test_ctr_from_any_offset_equals_the_slice(suite: Suite) -> None:
    """KV-05: the ciphertext from any byte on decrypts to the plaintext from that byte on."""
    chance = random.Random("ranges")
    body = encrypted(suite, DATA[:300_000])
    for _ in range(300):
        start = chance.choice([chance.randrange(100), chance.randrange(300_000), 65536, 262144])
        stop = min(300_000, start + chance.choice([0, 1, 15, 16, 17, 1000, 70_000]))
        decryptor = content_key(suite).ctr_context(start)
        assert in_pieces(decryptor, body[start:stop], 4096) == DATA[start:stop]


def test_ctr_counter_wraps_around_128_bits() -> None:
    """An initial counter block of all ones continues at zero, before and behind the wrap."""
    key = ContentKey(AES_CTR, KEY, b"\xff" * 16)
    keystream = AES.new(KEY, AES.MODE_ECB).encrypt(b"\xff" * 16 + bytes(16) + bytes(15) + b"\x01")
    assert finish_at_once(key.decryptor(), bytes(48)) == keystream
    assert in_pieces(key.ctr_context(20), bytes(28), 28) == keystream[20:]


# --- the limit of GCM -------------------------------------------------------------------------------------------------


def at_input_bytes(context: CipherContext, count: int) -> CipherContext:
    """Return a context that believes that it has taken in so many bytes."""
    context._input_bytes = count  # type: ignore[attr-defined]
    return context


@gcm_suites
def test_gcm_encryption_stops_at_its_limit(suite: Suite) -> None:
    """MP-08: 2^36 - 32 bytes may go under one key and IV; one more is refused, and the refusal stays."""
    encryptor = at_input_bytes(content_key(suite).encryptor(), 2**36 - 32 - 5)
    encryptor.update(b"12345")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="64 GiB"):
            encryptor.update(b"6")
    with pytest.raises(ConfigurationError, match="64 GiB"):
        encryptor.finalize()


@gcm_suites
def test_gcm_decryption_stops_at_its_limit(suite: Suite) -> None:
    """A body longer than 2^36 - 32 bytes and a tag can't be genuine."""
    decryptor = at_input_bytes(content_key(suite).decryptor(release_unverified=True), 2**36 - 16 - 5)
    decryptor.update(b"12345")
    with pytest.raises(DecryptionError):
        decryptor.update(b"6")


@gcm_suites
def test_rg_11_gcm_range_stops_at_its_limit(suite: Suite) -> None:
    """RG-11: the counter of a range never wraps: the last block is exact, and a byte behind it is refused."""
    last_block = AES.new(KEY, AES.MODE_ECB).encrypt(content_key(suite).iv + b"\xff" * 4)
    assert in_pieces(content_key(suite).ctr_context(2**36 - 32 - 16), bytes(16), 16) == last_block
    with pytest.raises(DecryptionError):
        content_key(suite).ctr_context(2**36 - 32 - 16).update(bytes(17))


@gcm_suites
def test_rg_11_gcm_range_may_be_the_last_byte(suite: Suite) -> None:
    """RG-11: the very last byte that GCM encrypts can be read by itself."""
    last_block = AES.new(KEY, AES.MODE_ECB).encrypt(content_key(suite).iv + b"\xff" * 4)
    assert in_pieces(content_key(suite).ctr_context(2**36 - 32 - 1), bytes(1), 16) == last_block[-1:]


@gcm_suites
@pytest.mark.parametrize("offset", [-1, 2**36 - 32, 2**36 - 31, 2**40])
def test_rg_11_gcm_range_outside_its_limit_is_refused(suite: Suite, offset: int) -> None:
    """RG-11: no context is made for an offset at which no genuine object has plaintext."""
    with pytest.raises(DecryptionError):
        content_key(suite).ctr_context(offset)


def test_gcm_limit_is_that_of_the_standard() -> None:
    """NIST SP 800-38D, section 5.2.1.1: at most 2^39 - 256 bits."""
    assert GCM_MAX_PLAINTEXT_BYTES * 8 == 2**39 - 256


# --- nothing unverified -----------------------------------------------------------------------------------------------


@suites
@pytest.mark.parametrize("step", [1000, 65536, 10**9])
def test_nothing_is_released_before_the_end(suite: Suite, step: int) -> None:
    """By default update() returns nothing, so that no byte is out when verification fails."""
    body = encrypted(suite, DATA[: 2**20])
    decryptor = content_key(suite).decryptor()
    assert {decryptor.update(piece) for piece in pieces(body, step)} == {b""}
    assert decryptor.finalize() == DATA[: 2**20]


@suites
def test_nothing_is_written_before_the_end(suite: Suite) -> None:
    """Nor does update_into() write anything, or say that it did."""
    body = encrypted(suite, DATA[: 2**18])
    output = bytearray(len(body))
    decryptor = content_key(suite).decryptor()
    assert decryptor.output_size(len(body)) == decryptor.update_into(body, memoryview(output)) == 0
    assert not any(output)


@gcm_suites
@pytest.mark.parametrize("length", [1, 65536, 65537, 200_000, 262144])
@pytest.mark.parametrize("release_unverified", [False, True])
def test_the_last_bytes_wait_for_verification(suite: Suite, release_unverified: bool, length: int) -> None:
    """A body with a wrong tag ends in the error, and with early release at least its last bytes stay in."""
    body = encrypted(suite, DATA[:length])
    body = body[:-1] + bytes([body[-1] ^ 1])
    decryptor = content_key(suite).decryptor(release_unverified=release_unverified)
    released = b"".join(map(decryptor.update, pieces(body, 1000)))
    assert len(released) < length if release_unverified else not released
    with pytest.raises(DecryptionError):
        decryptor.finalize()


@pytest.mark.parametrize("noted", [0, 59, 60, 62, 10**12])
def test_cbc_body_of_another_length_than_noted_is_refused(noted: int) -> None:
    """CB-07: the length that the writer noted is the only hint at a truncated CBC object, so it is heeded."""
    with pytest.raises(DecryptionError):
        in_pieces(content_key(AES_CBC).decryptor(plaintext_length=noted), encrypted(AES_CBC, DATA[:61]), 7)
    assert (
        finish_at_once(content_key(AES_CBC).decryptor(plaintext_length=61), encrypted(AES_CBC, DATA[:61])) == DATA[:61]
    )


# --- single use -------------------------------------------------------------------------------------------------------


def contexts(suite: Suite) -> list[CipherContext]:
    """Return one of each context that a content key of the suite can make."""
    key = content_key(suite)
    made = [key.decryptor(), key.decryptor(release_unverified=True)]
    if suite.mode is not CTR:
        made.append(key.encryptor())
    if suite.mode is CBC:
        return [*made, *(key.cbc_range_decryptor(key.iv, last=last) for last in (False, True))]
    return [*made, key.ctr_context(5)]


def every_context() -> list[Any]:
    """Return the test parameters for each context of each suite."""
    return [
        pytest.param(context, id=f"{suite.name}-{type(context).__name__}")
        for suite in SUITES
        for context in contexts(suite)
    ]


@pytest.mark.parametrize("context", every_context())
@pytest.mark.parametrize("misuse", [lambda f: f.update(b"more"), lambda f: f.update(b""), lambda f: f.finalize()])
def test_context_is_used_once(context: CipherContext, misuse: Callable[[CipherContext], bytes]) -> None:
    """After its end a context refuses everything, and goes on refusing."""
    fresh = copy_of(context)
    finish(fresh)
    for _ in range(2):
        with pytest.raises(CipherStateError):
            misuse(fresh)


def copy_of(context: CipherContext) -> CipherContext:
    """Return a new context of the same sort; parameters are shared by tests, and contexts are for single use."""
    candidates = (new for suite in SUITES for new in contexts(suite))
    return next(new for new in candidates if type(new) is type(context))


def finish(context: CipherContext) -> None:
    """Bring a context to its end, be it a good or a bad one for the context's own cipher."""
    body = {"GcmDecryptor": encrypted(AES_GCM, b""), "VerifyFirst": encrypted(AES_GCM, b"")}
    context.update(body.get(type(context).__name__, encrypted(AES_CBC, b"")))
    context.finalize()


@pytest.mark.parametrize("release_unverified", [False, True])
@pytest.mark.parametrize("suite", SUITES[:4], ids=lambda suite: suite.name)
def test_context_keeps_failing_after_a_failure(suite: Suite, release_unverified: bool) -> None:
    """CT-04: after a failure every call raises the same error again, and none returns an empty result."""
    decryptor = content_key(suite).decryptor(release_unverified=release_unverified)
    decryptor.update(encrypted(suite, b"x")[:-1])
    with pytest.raises(DecryptionError) as first:
        decryptor.finalize()
    for call in (decryptor.finalize, lambda: decryptor.update(b"x"), decryptor.finalize):
        with pytest.raises(DecryptionError) as again:
            call()
        assert again.value is first.value


DECRYPT_MALFORMED_BODIES = """
import gc
from s3_encryption._crypto.content import AES_CBC, AES_GCM
from s3_encryption._crypto.content import ContentKey
from s3_encryption.exceptions import DecryptionError

def decrypt(suite, length):
    decryptor = ContentKey(suite, bytes(32), bytes(suite.iv_bytes)).decryptor(release_unverified=True)
    decryptor.update(bytes(length))
    try:
        decryptor.finalize()
    except DecryptionError:
        pass

for suite in (AES_CBC, AES_GCM):
    for length in (15, 31, 33, 0, 1, 16, 1000):
        for _ in range(3):
            decrypt(suite, length)
            gc.collect()
"""


def test_malformed_body_does_no_harm_to_the_process() -> None:
    """CB-04: a body that no writer made ends in an error, and the garbage collector finds nothing amiss afterwards."""
    ended = run_core(DECRYPT_MALFORMED_BODIES)
    assert (ended.returncode, ended.stderr) == (0, "")


MALFORMED = {
    "cut short": lambda body: body[:-1],
    "changed": lambda body: body[:-1] + b"\x00",
    "empty": lambda body: b"",
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("suite", SUITES[:4], ids=lambda suite: suite.name)
def test_failure_keeps_no_cause(suite: Suite, malformed: Callable[[bytes], bytes]) -> None:
    """CB-02: the error has neither cause nor context: they would tell why, and their frames would hold the key."""
    with pytest.raises(DecryptionError) as caught:
        finish_at_once(content_key(suite).decryptor(), malformed(encrypted(suite, b"x" * 20)))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert caught.value.args == (DecryptionError.MESSAGE,)


class Interrupted(BaseException):
    """What a signal handler may raise in the middle of anything."""


class InterruptedCipher:
    """A cipher whose work is interrupted once."""

    def __init__(self, update_into: Callable[[Any, memoryview], object]) -> None:
        self._update_into = update_into
        self._interrupted = False

    def update_into(self, data: Any, output: memoryview) -> None:
        """Encrypt, and let the result get lost the first time."""
        self._update_into(data, output)
        if not self._interrupted:
            self._interrupted = True
            raise Interrupted


def test_context_is_unusable_after_an_interrupt() -> None:
    """CO-08: a context that was interrupted at work has lost output: it must not go on as if nothing had happened."""
    encryptor: Any = content_key(AES_GCM).encryptor()
    encryptor._transform = InterruptedCipher(encryptor._transform).update_into
    with pytest.raises(Interrupted):
        encryptor.update(DATA[:100_000])
    with pytest.raises(S3EncryptionClientError):
        encryptor.update(DATA[:100_000])
    with pytest.raises(S3EncryptionClientError):
        encryptor.finalize()


# --- one thread, one process ------------------------------------------------------------------------------------------


class SlowCipher:
    """A cipher that stays at work until it is told to go on."""

    def __init__(self) -> None:
        self.at_work = threading.Event()
        self.go_on = threading.Event()

    def update_into(self, data: memoryview, output: memoryview) -> None:
        """Wait, then leave zeros."""
        self.at_work.set()
        assert self.go_on.wait(10)


def test_context_refuses_a_second_thread() -> None:
    """While one thread is in a context another one is refused, which does the first one no harm."""
    encryptor: Any = content_key(AES_CBC).encryptor()
    cipher = SlowCipher()
    encryptor._transform = cipher.update_into
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(encryptor.update(bytes(MIN_CALL_BYTES))))
    thread.start()
    assert cipher.at_work.wait(10)
    for call in (lambda: encryptor.update(b"x"), encryptor.finalize):
        with pytest.raises(CipherStateError, match="two threads"):
            call()
    cipher.go_on.set()
    thread.join()
    assert results == [bytes(MIN_CALL_BYTES)]


def in_child(call: Callable[[], object]) -> str:
    """Return the name of what a call raised, or the repr of what it returned, in a forked process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = repr(call())
        except BaseException as error:
            answer = type(error).__name__
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_co_04_filter_refuses_use_in_a_forked_process(suite: Suite) -> None:
    """CO-04: parent and child would go on with the same keystream, so the child is refused and the parent is not."""
    for context in contexts(suite):
        context.update(b"before the fork")
        assert in_child(lambda f=context: f.update(b"x")) == "CipherStateError"  # type: ignore[misc]
        assert in_child(context.finalize) == "CipherStateError"
        context.update(b"after the fork")


@pytest.mark.parametrize("context", every_context())
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_lk_07_filter_refuses_to_be_copied(context: CipherContext, duplicate: Callable[[object], object]) -> None:
    """LK-07: neither copies nor pickles of a cipher's state can be made: they would share or carry away a key."""
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(context)


@suites
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_lk_07_content_key_refuses_to_be_copied(suite: Suite, duplicate: Callable[[object], object]) -> None:
    """LK-07: a content key stays where it was made."""
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(content_key(suite))


@suites
def test_lk_04_content_key_shows_no_secret(suite: Suite) -> None:
    """LK-04: neither repr nor str of a content key or of a context shows the key."""
    key = content_key(suite)
    shown = f"{key!r} {key!s} {[repr(context) for context in contexts(suite)]}"
    assert repr(KEY)[2:-1] not in shown
    assert KEY.hex() not in shown
    assert suite.name in shown
