"""Uploads and downloads over HTTP, kept in S3, encrypted. Neither direction holds a whole file in memory.

    flask --app app run

Who may do what is left out: put your own access control in front.
"""

from __future__ import annotations

import itertools
import os
from contextlib import closing

from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.utils import secure_filename

from s3_encryption import S3EncryptionClient, S3EncryptionClientSecurityError

app = Flask(__name__)
s3 = S3EncryptionClient(kms_key_id="alias/my-key")

BUCKET = os.environ.get("UPLOADS_BUCKET", "uploads")
CHUNK_BYTES = 256 * 1024


@app.get("/files")
def index() -> ResponseReturnValue:
    """List the names of the files."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [stored["Key"] for page in pages for stored in page.get("Contents", [])]


@app.post("/files")
def upload() -> ResponseReturnValue:
    """Take a file from a form's field ``file``."""
    with closing(request.files["file"]) as file:
        name = secure_filename(file.filename or "")
        if not name:
            abort(400, "The file has no usable name.")
        s3.upload_fileobj(file.stream, BUCKET, name, ExtraArgs={"ContentType": file.mimetype})
    return {"name": name}, 201


@app.put("/files/<name>")
def put(name: str) -> ResponseReturnValue:
    """Take a file that is the request's body, and send it on while it comes in."""
    s3.upload_fileobj(request.stream, BUCKET, name, ExtraArgs={"ContentType": request.mimetype or "text/plain"})
    return {"name": name}, 201


@app.get("/files/<name>")
def download(name: str) -> ResponseReturnValue:
    """Send a file, piece by piece."""
    stored = s3.get_object(Bucket=BUCKET, Key=name)
    body = stored["Body"]
    pieces = body.iter_chunks(CHUNK_BYTES)
    # The whole file is verified before its first byte is released: a changed one raises here, while the status of the
    # answer is still open.
    first = next(pieces, b"")
    response = Response(itertools.chain([first], pieces), mimetype=stored["ContentType"])
    response.content_length = stored["ContentLength"]
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.call_on_close(body.close)
    return response


@app.delete("/files/<name>")
def delete(name: str) -> ResponseReturnValue:
    """Delete a file."""
    s3.delete_object(Bucket=BUCKET, Key=name)
    return "", 204


@app.errorhandler(s3.exceptions.NoSuchKey)
def not_found(error: Exception) -> ResponseReturnValue:
    """Tell that there is no such file: S3's errors are those of plain boto3."""
    return {"error": "There is no such file."}, 404


@app.errorhandler(S3EncryptionClientSecurityError)
def not_verified(error: S3EncryptionClientSecurityError) -> ResponseReturnValue:
    """Log what is wrong with a file; the user gets nothing of it."""
    app.logger.error("%s", error)
    return {"error": "The stored file is damaged."}, 502
