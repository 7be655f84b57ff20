#!/bin/sh
# Applies each mutant to a copy of the source, and shows which tests find it: the simulation, or the
# named tests of the engine. A mutant is a patch with a known failure of another client, or with a
# broken promise of a subscription. The mark `climates` means that only the permanent climates of
# the simulation find it. The script fails if a patch no longer applies, or if no test finds a
# mutant.
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
# A separate target directory is necessary: Cargo can't tell two copies of a workspace apart, and
# these builds are broken on purpose.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutants" RUST_BACKTRACE=0 SIMULATION_SEEDS="$seeds"

if ! cargo test --quiet --features blocking --test simulation --test engine > control.log 2>&1; then
    echo "the tests fail without a mutant: see control.log" >&2
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
    if ! cargo test --quiet --features blocking --test simulation -- every_seed every_single history permanent > simulation.log 2>&1; then
        if grep -Eq '^    (every_|history::)' simulation.log; then by_simulation=found; else by_simulation=climates; fi
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
    # Cargo rebuilds a file if its modification time is new.
    sed -n 's/^+++ //p' "$patch" | xargs touch
done
exit $verdict
