#!/bin/sh
# Builds the peer for the AWS SDK for Java 1.x into WORKDIR and writes WORKDIR/run.
# The protocol loop and the keys are shared with the peer java_s3ec.
# usage: setup.sh WORKDIR
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)

# Old JDKs call release 8 "1.8".
release=$(javac -version 2>&1 | sed -n 's/^javac \(1\.\)\{0,1\}\([0-9]*\).*/\2/p')
if [ "${release:-0}" -lt 17 ] || ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    echo "needs a JDK (17 or newer) and Maven, e.g. the Debian packages openjdk-17-jdk-headless and maven"
    exit 77
fi

stamp=$(cd "$here" && find pom.xml setup.sh src ../java_s3ec/src/shared -type f | LC_ALL=C sort | xargs cksum)
if [ -x "$work/run" ] && [ "$(cat "$work/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

rm -rf "$work/run" "$work/stamp" "$work/classes" "$work/lib"
mvn -B -q -f "$here/pom.xml" -Dwork="$work" compiler:compile dependency:copy-dependencies >&2

cat >"$work/run" <<'RUN'
#!/bin/sh
dir=$(cd "$(dirname "$0")" && pwd)
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8 \
    -Daws.java.v1.disableDeprecationAnnouncement=true -cp "$dir/classes:$dir/lib/*" interop.JavaSdk1
RUN
chmod +x "$work/run"
printf '%s\n' "$stamp" >"$work/stamp"
