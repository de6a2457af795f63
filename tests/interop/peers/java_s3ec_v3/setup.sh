#!/bin/sh
# Builds the peer for the previous major version of the Amazon S3 Encryption Client for Java, from the sources in
# ../java_s3ec, into WORKDIR and writes WORKDIR/run.
# usage: setup.sh WORKDIR
set -eu

exec "$(dirname "$0")/../java_s3ec/setup.sh" "$1" v3
