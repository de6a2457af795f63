"""Work that is done when the main thread has ended: Python still does it, so boto3 does, and so does this client."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from support.opened import stored_plaintext
from support.worlds import AES_KEY, KEY, StrictWorld

ROOT = Path(__file__).resolve().parent.parent.parent
# Long enough for a second thread.
SIZE = 5 * 1024 * 1024

_SCRIPT = """
import atexit, concurrent.futures.thread, random, sys, threading, time
from s3_encryption import S3EncryptionClient

url, bucket, key, aes_key, operation, moment, size = sys.argv[1:]
client = S3EncryptionClient(aes_key=bytes.fromhex(aes_key), endpoint_url=url)
data = random.Random(7).randbytes(int(size))

def work():
    if operation == "put":
        client.put_object(Bucket=bucket, Key=key, Body=data)
    else:
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == data
    print("done", flush=True)

def work_after_main_thread():
    threading.main_thread().join()
    work()

def work_of_last_executors():
    # The main thread waits for these before it is said to have ended.
    while not concurrent.futures.thread._shutdown:
        time.sleep(0.01)
    work()

if moment == "executor":
    concurrent.futures.ThreadPoolExecutor(1).submit(work_of_last_executors)
elif moment == "thread":
    threading.Thread(target=work_after_main_thread).start()
else:
    atexit.register(work)
"""


def ended(s3: StrictWorld, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that uses the object, and return how it ended."""
    command = [sys.executable, "-c", script, s3.server.url, s3.bucket, KEY, AES_KEY.hex(), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("moment", ["executor", "thread", "atexit"])
@pytest.mark.parametrize("operation", ["put", "get"])
def test_large_object_is_written_and_read_after_the_main_thread_has_ended(
    s3: StrictWorld, operation: str, moment: str
) -> None:
    """Executors, threads and handlers of atexit that outlive the main thread get what they ask for."""
    data = random.Random(7).randbytes(SIZE)
    if operation == "get":
        s3.client().put_object(**s3.object_at(), Body=data)
    program = ended(s3, _SCRIPT, operation, moment, str(SIZE))
    assert (program.returncode, program.stdout) == (0, "done\n"), program.stderr
    assert stored_plaintext(s3) == data


def test_body_that_is_half_read_at_the_end_does_not_keep_the_interpreter(s3: StrictWorld) -> None:
    """A program may end with a large body in its hands, whose next pieces are being decrypted."""
    s3.client().put_object(**s3.object_at(), Body=bytes(4 * SIZE))
    script = """
import sys
from s3_encryption import S3EncryptionClient

url, bucket, key, aes_key = sys.argv[1:]
client = S3EncryptionClient(aes_key=bytes.fromhex(aes_key), endpoint_url=url, enable_delayed_authentication=True)
body = client.get_object(Bucket=bucket, Key=key)["Body"]
print(len(body.read(10)))
"""
    program = ended(s3, script)
    assert (program.returncode, program.stdout, program.stderr) == (0, "10\n", "")
