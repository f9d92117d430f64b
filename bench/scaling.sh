#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How a network scales over the threads of this machine.  Needs only the program: weights are synthetic.
#   bench/scaling.sh [HRNET]      HRNET: the program (build/bin/hrnet), or words that run it
# Environment: MODELS, BATCHES, THREADS (lists of words), ROUNDS (3), SECONDS_EACH (1), CPU (avx512, avx2 ...), ORDER (steps, waves)
# Each round runs every cell once in a fresh process; a cell is the median of its rounds' medians.
# Where the program's libraries are missing, take them along:
#   mkdir lib && ldd build/bin/hrnet | grep -o '/[^ ]*' | xargs cp -t lib
#   bench/scaling.sh "lib/ld-linux-x86-64.so.2 --library-path lib build/bin/hrnet"
# A row: threads, milliseconds a run, pictures a second, speed-up over the row's first thread count, and
# that over the threads (1: perfect).
set -eu
hrnet=${1:-build/bin/hrnet}
cpus=$($hrnet version | sed -n 's/.*, \([0-9]*\) threads$/\1/p')
: "${cpus:=$(getconf _NPROCESSORS_ONLN)}"
models=${MODELS:-"HRNet_W18_C HRNet_W48_C"}
batches=${BATCHES:-"1 4"}
threads=${THREADS:-"1 2 4 8 16"}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-1}
times=$(mktemp)
trap 'rm -f "$times"' EXIT

cell() { # model batch threads -> median of one run, ms
  $hrnet bench "$1" --batch "$2" --threads "$3" --duration "$seconds" --json ${CPU:+--cpu "$CPU"} ${ORDER:+--order "$ORDER"} |
    sed -n 's/.*"median_ms":\([0-9.e+-]*\).*/\1/p' | tail -1
}

round=1
while [ "$round" -le "$rounds" ]; do
  for model in $models; do
    for batch in $batches; do
      for count in $threads; do
        [ "$count" -le "$cpus" ] || continue
        echo "$model $batch $count $(cell "$model" "$batch" "$count")" >>"$times"
        echo "round $round of $rounds: $(tail -1 "$times") ms" >&2
      done
    done
  done
  round=$((round + 1))
done

$hrnet version | sed 's/^/# /'
echo "# CPUs: $cpus; median of $rounds rounds of $seconds s each${ORDER:+, order $ORDER}"
sort -k1,1 -k2,2n -k3,3n -k4,4g "$times" | awk '
  function row(  median, rate) {
    if (!count) return
    median = count % 2 ? at[(count + 1) / 2] : (at[count / 2] + at[count / 2 + 1]) / 2
    if (model " " batch != base) { base = model " " batch; first = median * threads }
    rate = first / median
    printf "%-16s %5d %7d %10.2f %10.1f %8.2f %8.2f\n", model, batch, threads, median, 1e3 * batch / median, rate, rate / threads
  }
  BEGIN { printf "%-16s %5s %7s %10s %10s %8s %8s\n", "model", "batch", "threads", "ms", "pictures/s", "speed-up", "a thread" }
  { key = $1 " " $2 " " $3
    if (key != last) { row(); count = 0; last = key; model = $1; batch = $2; threads = $3 }
    at[++count] = $4 }
  END { row() }'
