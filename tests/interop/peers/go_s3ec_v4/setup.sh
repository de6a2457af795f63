#!/bin/sh
# setup.sh WORKDIR: build WORKDIR/run, the interop peer for the Amazon S3 Encryption Client for Go, major version 4.
# All but major.go is shared with the peer for version 3. There is no go.sum here: Go makes one in WORKDIR, verified as usual
# by its checksum database, and a module that cannot be fetched or verified so is a reason to skip this peer.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
shared=$here/../go_s3ec_v3
module=github.com/aws/amazon-s3-encryption-client-go/v4
work=$1

if ! command -v go >/dev/null; then
    echo "needs the Go toolchain, version 1.24 or newer"
    exit 77
fi

mkdir -p "$work/src"
cp "$shared/protocol.go" "$shared/s3ec.go" "$here/major.go" "$here/go.mod" "$work/src/"
cd "$work/src"
if ! go mod download "$module" >&2; then
    echo "needs the Go module $module at the version in go.mod, from a module proxy and checksum database that have it"
    exit 77
fi
go mod tidy >&2
go build -buildvcs=false -o "$work/run" . >&2
