#!/bin/sh
# Builds the peer for the Amazon S3 Encryption Client for Java into WORKDIR and writes WORKDIR/run.
# usage: setup.sh WORKDIR [v4|v3]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
major=${2:-v4}

# Old JDKs call release 8 "1.8".
release=$(javac -version 2>&1 | sed -n 's/^javac \(1\.\)\{0,1\}\([0-9]*\).*/\2/p')
if [ "${release:-0}" -lt 17 ] || ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    echo "needs a JDK (17 or newer) and Maven, e.g. the Debian packages openjdk-17-jdk-headless and maven"
    exit 77
fi

stamp=$(cd "$here" && find pom.xml setup.sh src -type f | LC_ALL=C sort | xargs cksum; echo "$major")
if [ -x "$work/run" ] && [ "$(cat "$work/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

rm -rf "$work/run" "$work/stamp" "$work/classes" "$work/lib"
mvn -B -q -f "$here/pom.xml" -P"$major" -Dwork="$work" compiler:compile dependency:copy-dependencies >&2

cat >"$work/run" <<'RUN'
#!/bin/sh
dir=$(cd "$(dirname "$0")" && pwd)
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8 \
    -cp "$dir/classes:$dir/lib/*" interop.JavaS3ec
RUN
chmod +x "$work/run"
printf '%s\n' "$stamp" >"$work/stamp"
