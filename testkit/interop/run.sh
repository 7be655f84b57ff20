#!/bin/sh
# Lets Box's own SDKs follow the emulator, each through 1,000 events, and says what came of it.
# Needs cargo, node with npm, and python3 with venv. The SDKs go into a directory that is removed afterwards.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sdks=$(mktemp -d)
trap 'rm -rf "$sdks"' EXIT

for version in 3.8.2 10.12.0; do
    npm install --silent --no-audit --no-fund --prefix "$sdks/node-$version" "box-node-sdk@$version"
done
for version in 3.14.0 10.18.0; do
    python3 -m venv "$sdks/python-$version"
    "$sdks/python-$version/bin/pip" install --quiet --disable-pip-version-check "boxsdk==$version"
done

cd "$here/../.."
cargo build --quiet -p box-longpoll-testkit
emulator=${CARGO_TARGET_DIR:-target}/debug/box-emulator

follow() { python3 "$here/follow.py" "$emulator" "$@"; }
follow_all() {
    complete=0
    NODE_PATH="$sdks/node-3.8.2/node_modules" follow "box-node-sdk 3.8.2" "$1" node "$here/node-3.js" || complete=1
    NODE_PATH="$sdks/node-10.12.0/node_modules" follow "box-node-sdk 10.12.0" "$1" node "$here/node-10.js" || complete=1
    follow "boxsdk 3.14.0" "$1" "$sdks/python-3.14.0/bin/python" "$here/python-3.py" || complete=1
    follow "boxsdk 10.18.0" "$1" "$sdks/python-10.18.0/bin/python" "$here/python-10.py" || complete=1
    return $complete
}

date -u +%Y-%m-%d
# The SDKs for Node read a number as a float, and can't be expected to keep their place.
follow_all number || true
follow_all string
