#!/bin/sh
# Puts each known failure of other clients, and the breach of each promise of a subscription, into a copy of the source,
# by a patch, and shows who finds it: the simulation, and the named tests of the engine. A failure that only permanent
# climates of the simulation find is marked `climates`. The script fails if a patch no longer applies or nobody finds a
# failure.
#
#   tests/simulation/mutants.sh [SEEDS] [PATCH...]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seeds=${1:-2000}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- "$here"/mutants/*.patch

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -C "$root" --exclude ./target --exclude ./.git -cf - . | tar -C "$copy" -xf -
cd "$copy"
# Of its own: Cargo takes two copies of a workspace for the same, and what is built here is broken on purpose.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutants" RUST_BACKTRACE=0 SIMULATION_SEEDS="$seeds"

if ! cargo test --quiet --features blocking --test simulation --test engine > control.log 2>&1; then
    echo "the source fails as it is" >&2
    exit 1
fi

verdict=0
printf '%-52s %-10s %s\n' failure simulation 'named tests'
for patch; do
    name=$(basename "$patch" .patch)
    if ! patch --quiet --strip 0 --fuzz 0 --dry-run < "$patch" > /dev/null; then
        echo "$name: the patch does not apply" >&2
        exit 1
    fi
    patch --quiet --strip 0 --fuzz 0 < "$patch"
    if ! cargo test --quiet --features blocking --no-run --test simulation --test engine 2> build.log; then
        cat build.log >&2
        exit 1
    fi
    by_simulation=-
    if ! cargo test --quiet --features blocking --test simulation -- every_seed every_single permanent > simulation.log 2>&1; then
        if grep -q '^    every_' simulation.log; then by_simulation=found; else by_simulation=climates; fi
    fi
    if cargo test --quiet --features blocking --test engine > engine.log 2>&1; then
        named=-
    else
        failed=$(sed -n 's/^    \([a-z_]*::[a-z0-9_:]*\)$/\1/p' engine.log | sort -u)
        number=${name%%-*}
        named=$(echo "$failed" | grep "failure_$number" | head -1 || true)
        named="$(echo "$failed" | wc -l) ${named:-$(echo "$failed" | head -1)}"
    fi
    printf '%-52s %-10s %s\n' "$name" "$by_simulation" "$named"
    [ "$by_simulation$named" != -- ] || verdict=1
    patch --quiet --strip 0 --reverse < "$patch"
    # Cargo goes by the time of a file's last change.
    sed -n 's/^+++ //p' "$patch" | xargs touch
done
exit $verdict
