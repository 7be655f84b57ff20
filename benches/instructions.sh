#!/usr/bin/env bash
# Counts the instructions that each part of a catch-up takes a page, and compares them with those of the last time, in
# instructions.txt; with --keep these are written there. Run by hand: needs valgrind.
#
# Unlike times, counts are the same from run to run, whatever else the machine does. Another compiler or C library has
# other ones: then keep those of the revision before first.
set -euo pipefail
cd "$(dirname "$0")/.."

few=3
many=13
kept=benches/instructions.txt

binary=$(cargo bench --locked --bench parts --no-run --message-format json |
  sed -n 's/.*"target":{"kind":\["bench"\].*"executable":"\([^"]*\)".*/\1/p')

counted() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" --times "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

now=$(mktemp)
trap 'rm -f "$now"' EXIT
for part in NewEvents Repeats EmptyPage Details OneField; do
  each=$((($(counted $part $many) - $(counted $part $few)) / (many - few)))
  before=$(awk -v part=$part '$1 == part {print $2}' "$kept" 2>/dev/null || true)
  printf '%s %s\n' $part $each >> "$now"
  awk -v part=$part -v each=$each -v before="$before" \
    'BEGIN {printf "%-10s %9d a page", part, each; if (before) printf "  %+6.2f %%", (each / before - 1) * 100; print ""}'
done
[ "${1:-}" != --keep ] || cp "$now" "$kept"
