#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/serving/compare.sh PROGRAM PYTHON [MODEL] [SECONDS]: `hrnet serve` and Python servers
# (python_server.py, with the packages that it imports) one after the other under the same load of
# `hrnet client`: 16 clients with a picture, closed loop.  All are started before; the idle wait.
set -eu
program=$1 python=$2 model=${3:-synthetic:HRNet_W18_C} seconds=${4:-8}
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
picture=$here/../../tests/data/pictures/cat_420.jpg
work=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; rm -rf "$work"' EXIT
case $model in synthetic:*) "$program" convert "$model" "$work/m.safetensors" >/dev/null; model=$work/m.safetensors ;; esac
"$program" export "$model" -o "$work/m.onnx" >/dev/null
"$program" serve "m=$model" --port 18100 >"$work/hrnet.log" 2>&1 & pids=$!
for kind in fastapi litserve; do
  port=$((${port:-18100} + 10))
  "$python" "$here/python_server.py" $kind "$work/m.onnx" $port >"$work/$kind.log" 2>&1 & pids="$pids $!"
done
wait_for() {
  for _ in $(seq 300); do
    ! "$program" client "http://127.0.0.1:$1" "$picture" --timeout 5 >/dev/null 2>&1 || return 0
    sleep 0.2
  done
  echo "compare: port $1 does not answer" >&2; cat "$work"/*.log >&2; exit 1
}
for port in 18100 18110 18120; do wait_for $port; done
for round in 1 2; do
  for server in hrnet:18100 fastapi:18110 litserve:18120; do
    printf '%s ' "${server%:*}"
    "$program" client "http://127.0.0.1:${server#*:}" "$picture" -c 16 -d "$seconds" --warmup 1 --json || true
  done
done
