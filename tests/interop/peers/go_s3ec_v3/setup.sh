#!/bin/sh
# setup.sh WORKDIR: build WORKDIR/run, the interop peer for the Amazon S3 Encryption Client for Go, major version 3.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1

if ! command -v go >/dev/null; then
    echo "needs the Go toolchain, version 1.24 or newer"
    exit 77
fi

mkdir -p "$work/src"
cp "$here"/*.go "$here/go.mod" "$here/go.sum" "$work/src/"
cd "$work/src"
go build -buildvcs=false -o "$work/run" . >&2
