#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/fuzz/run.sh [SECONDS] [TARGET…]: builds the libFuzzer programs (clang, address and undefined
# behaviour sanitizers) and runs each for SECONDS (60) from its corpus.  New inputs go to
# build/fuzz/new/TARGET; a crashing one stays as build/fuzz/crash-…: fix, then add it to the corpus.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz >/dev/null
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's/.*fuzz_//; s/\.c//')
status=0
for target; do
  mkdir -p "build/fuzz/new/$target"
  log=build/fuzz/$target.log more=
  [ "$target" != picture ] || more=tests/data/kinds
  if ASAN_OPTIONS=allocator_may_return_null=1 "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" \
    -rss_limit_mb=2048 -timeout=10 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix=build/fuzz/crash-"$target"- "build/fuzz/new/$target" "tests/fuzz/corpus/$target" $more >"$log" 2>&1; then
    echo "$target: $(sed -n 's/stat::number_of_executed_units: */runs /p; s/stat::average_exec_per_sec: */a second /p' "$log" | tr '\n' ' ')"
  else
    status=1
    echo "$target: FAILED, see $log"
    grep -m 3 -E "ERROR|SUMMARY|runtime error" "$log" || true
  fi
done
exit $status
