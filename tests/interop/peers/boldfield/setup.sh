#!/bin/sh
# Installs this peer into WORKDIR: setup.sh WORKDIR
here=$(dirname "$0")
exec "$here/../../python_peer/setup.sh" "$here" boldfield_peer.py "$1"
