#!/bin/sh
# Sets up one Python peer: a virtual environment with the peer's pinned requirements, and WORKDIR/run.
# usage: setup.sh PEER_DIRECTORY PROGRAM WORKDIR
#
# PEER_DIRECTORY holds requirements.txt and, for packages whose own requirements can't be installed
# any more, no-deps.txt. A second call does nothing while these files stay as they are.
set -eu

peer=$(cd "$1" && pwd)
program=$2
workdir=$3
shared=$(cd "$(dirname "$0")" && pwd)
venv=$workdir/venv

if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo 'needs Python 3.10 or newer with venv and pip (the Debian package python3-venv)'
    exit 77
fi

mkdir -p "$workdir"
wanted=$(cat "$peer"/*.txt)
if [ ! -f "$workdir/installed" ] || [ "$(cat "$workdir/installed")" != "$wanted" ]; then
    rm -rf "$venv" "$workdir/installed"
    python3 -m venv "$venv"
    if [ -f "$peer/no-deps.txt" ]; then
        "$venv/bin/python" -m pip install --quiet --no-deps --requirement "$peer/no-deps.txt" >&2
    fi
    "$venv/bin/python" -m pip install --quiet --requirement "$peer/requirements.txt" >&2
    printf '%s\n' "$wanted" >"$workdir/installed"
fi

# PYTHONPATH holds the protocol's module and nothing else: the peer must never see the project's
# own s3_encryption, for two of the peers' packages import under the same name.
cat >"$workdir/run" <<EOF
#!/bin/sh
PYTHONPATH='$shared' PYTHONDONTWRITEBYTECODE=1 exec '$venv/bin/python' '$peer/$program'
EOF
chmod +x "$workdir/run"
