#!/bin/sh
# Lets Box's own SDKs follow the emulator through 1,000 events each, and prints the results. Each SDK first uses a made-up
# token. The SDKs that are still maintained then log in by each grant, with tokens that expire during the run.
# Needs cargo, node with npm, python3 with venv, and openssl. Installs the SDKs into a directory that it removes at the end.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sdks=$(mktemp -d)
trap 'rm -rf "$sdks"' EXIT

for version in 3.8.2 10.12.0; do
    npm install --silent --no-audit --no-fund --prefix "$sdks/node-$version" "box-node-sdk@$version"
done
for version in 3.14.0 10.18.0; do
    python3 -m venv "$sdks/python-$version"
    "$sdks/python-$version/bin/pip" install --quiet --disable-pip-version-check "boxsdk[jwt]==$version"
done

cd "$here/../../.."
cargo build --quiet -p box-longpoll-testkit
emulator=${CARGO_TARGET_DIR:-target}/debug/box-emulator

follow() { python3 -B "$here/follow.py" "$emulator" "$@"; }
node_3() { NODE_PATH="$sdks/node-3.8.2/node_modules" follow "box-node-sdk 3.8.2" "$@" node "$here/node-3.js"; }
node_10() { NODE_PATH="$sdks/node-10.12.0/node_modules" follow "box-node-sdk 10.12.0" "$@" node "$here/node-10.js"; }
python_3() { follow "boxsdk 3.14.0" "$@" "$sdks/python-3.14.0/bin/python" "$here/python-3.py"; }
python_10() { follow "boxsdk 10.18.0" "$@" "$sdks/python-10.18.0/bin/python" "$here/python-10.py"; }

date -u +%Y-%m-%d
complete=0
for sdk in node_3 node_10 python_3 python_10; do
    # The SDKs for Node read a number as a float, which changes the position. So this run may fail.
    $sdk number token || true
    $sdk string token || complete=1
done
for sdk in node_10 python_10; do
    for grant in client_credentials jwt_bearer refresh_token; do
        $sdk string $grant || complete=1
    done
done
exit $complete
