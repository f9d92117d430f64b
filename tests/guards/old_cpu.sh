# SPDX-License-Identifier: Apache-2.0
# The program runs on any x86-64: under an emulated CPU of 2008, without AVX, it takes the plain
# kernels, meets no illegal instruction and gives the bits of `--exact` here.
set -eu
case $(uname -m) in x86_64) ;; *) exit 77 ;; esac
command -v qemu-x86_64 >/dev/null || exit 77
case $(grep HRNET_SANITIZE: "$2/CMakeCache.txt") in *=?*) exit 77 ;; esac
program=$2/bin/hrnet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$program" convert synthetic:hrnet_w18_small "$work/m.safetensors" --classes 10 >/dev/null
picture=$1/tests/data/pictures/cat_420.jpg
qemu-x86_64 -cpu Nehalem "$program" version | grep -q baseline
qemu-x86_64 -cpu Nehalem "$program" predict "$picture" -m "$work/m.safetensors" --size 64 -f jsonl -t 1 >"$work/old"
"$program" predict "$picture" -m "$work/m.safetensors" --size 64 -f jsonl --exact >"$work/new"
cmp "$work/old" "$work/new"
# The floor below the kernels, and the choice of kernels, on two such CPUs.
for cpu in core2duo Nehalem; do
  for test in test_cpu test_pool test_hash test_kernel; do
    [ -x "$2/tests/$test" ] || { echo "$test is not built"; exit 1; }
    qemu-x86_64 -cpu $cpu "$2/tests/$test" >"$work/log" 2>&1 || { echo "$test under $cpu:"; cat "$work/log"; exit 1; }
  done
done
