#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/serving/compare.sh PROGRAM PYTHON [MODEL] [SECONDS]: `hrnet serve` and Python servers
# (python_server.py, with the packages that it imports) one after the other under the same load of
# `hrnet client`: 16 clients with a picture, closed loop.  All are started before; the idle wait.  LitServe
# takes no picture as it is, so it gets TensorFlow Serving's JSON, and so does ours once more.
# QUIET="command" runs the timed part, and may stop whatever else runs meanwhile.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
picture=$here/../../tests/data/pictures/cat_420.jpg

# ask PORT PROTOCOL FLAG...
ask() {
  port=$1 protocol=$2
  shift 2
  "$program" client "http://127.0.0.1:$port" -p "$protocol" -m m "$picture" "$@"
}

if [ "$1" = measure ]; then # measure PROGRAM SECONDS GROUP...
  program=$2 seconds=$3
  shift 3
  for group; do kill -CONT "-$group"; done
  for server in hrnet:18100:picture fastapi:18110:picture hrnet:18100:tensorflow litserve:18120:tensorflow; do
    port=${server#*:}
    printf '%s ' "${server%%:*}"
    ask "${port%:*}" "${port#*:}" -c 16 -d "$seconds" --warmup 1 --json || true
  done
  exit 0
fi

program=$1 python=$2 model=${3:-synthetic:HRNet_W18_C} seconds=${4:-8}
work=$(mktemp -d)
pids=
trap 'for p in $pids; do kill -KILL "-$p" 2>/dev/null || true; done; rm -rf "$work"' EXIT
case $model in synthetic:*) "$program" convert "$model" "$work/m.safetensors" >/dev/null; model=$work/m.safetensors ;; esac
onnx=${model%.*}.onnx # beside the model, or made
[ -f "$onnx" ] || { onnx=$work/m.onnx; "$program" export "$model" -o "$onnx" >/dev/null; }
wait_for() {
  for _ in $(seq 300); do
    ! ask "$1" "$2" --timeout 5 >/dev/null 2>&1 || return 0
    sleep 0.2
  done
  echo "compare: port $1 does not answer" >&2
  tail -n 5 "$work"/*.log >&2
  exit 1
}
setsid "$program" serve "m=$model" --port 18100 --no-grpc >"$work/hrnet.log" 2>&1 & pids=$!
wait_for 18100 picture
setsid "$python" "$here/python_server.py" fastapi "$onnx" 18110 >"$work/fastapi.log" 2>&1 & pids="$pids $!"
setsid "$python" "$here/python_server.py" litserve "$onnx" 18120 >"$work/litserve.log" 2>&1 & pids="$pids $!"
wait_for 18110 picture
wait_for 18120 tensorflow
${QUIET:-} "$0" measure "$program" "$seconds" $pids
