#!/bin/sh
# setup.sh WORKDIR: create WORKDIR/run, the interop peer for the AWS SDK for Ruby. It uses the installed libraries as they are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1

if ! ruby -r aws-sdk-s3 -r aws-sdk-kms -e 'Aws::S3::EncryptionV2::Client' >/dev/null 2>&1; then
    echo "needs the Debian packages ruby-aws-sdk-s3 and ruby-aws-sdk-kms"
    exit 77
fi

mkdir -p "$work"
cp "$here/peer.rb" "$work/run"
chmod +x "$work/run"
