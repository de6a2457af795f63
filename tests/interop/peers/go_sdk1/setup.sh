#!/bin/sh
# setup.sh WORKDIR: build WORKDIR/run, the interop peer for the s3crypto package of the AWS SDK for Go, version 1.
# The protocol loop is shared with the peer go_s3ec_v3.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1

if ! command -v go >/dev/null; then
    echo "needs the Go toolchain, version 1.21 or newer"
    exit 77
fi

mkdir -p "$work/src"
cp "$here/../go_s3ec_v3/protocol.go" "$here/main.go" "$here/go.mod" "$here/go.sum" "$work/src/"
cd "$work/src"
go build -buildvcs=false -o "$work/run" . >&2
