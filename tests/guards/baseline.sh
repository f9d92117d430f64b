# SPDX-License-Identifier: Apache-2.0
# Outside the files of an instruction set no AVX is used: that code runs on every x86-64.
case $(uname -m) in x86_64) ;; *) exit 77 ;; esac
command -v objdump >/dev/null || exit 77
grep -qE 'C_FLAGS.*-m(arch|avx)' "$2/CMakeCache.txt" && exit 77 # whoever builds so wants it so
objdump -d --no-show-raw-insn "$2/libhrnet_inner.a" 2>/dev/null | awk '
  /file format/ { file = $1; ours = file !~ /^x86_/; files++ }
  /^ *[0-9a-f]+:\t/ && ours && ($2 ~ /^v/ && $2 !~ /^ver[rw]/ || /%[yz]mm/) && !bad[file]++ {
    print file, $0, "is an AVX instruction in code for every CPU" }
  END { for (file in bad) exit 1; if (files < 20) { print "objdump listed only", files + 0, "files"; exit 1 } }'
