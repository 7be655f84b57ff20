#!/usr/bin/env bash
# Counts the instructions per page of each part of a catch-up, and compares them with the kept counts
# in instructions.txt. With --keep it writes the new counts there. Run it by hand: it needs valgrind.
#
# Unlike times, counts are the same from run to run, under any load. They differ with another compiler
# or C library: then first run it with --keep on the revision before your change.
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
for part in NewEvents Repeats EmptyPage Details OneField FilterByType FilterByUser FilterByFolder; do
  each=$((($(counted $part $many) - $(counted $part $few)) / (many - few)))
  before=$(awk -v part=$part '$1 == part {print $2}' "$kept" 2>/dev/null || true)
  printf '%s %s\n' $part $each >> "$now"
  awk -v part=$part -v each=$each -v before="$before" \
    'BEGIN {printf "%-14s %9d a page", part, each; if (before) printf "  %+6.2f %%", (each / before - 1) * 100; print ""}'
done
[ "${1:-}" != --keep ] || cp "$now" "$kept"
