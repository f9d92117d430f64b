# SPDX-License-Identifier: Apache-2.0
# The library never prints, exits or aborts, and takes memory only through base/mem.
case $(grep HRNET_SANITIZE: "$2/CMakeCache.txt") in *=?*) exit 77 ;; esac
nm -A -u "$2/libhrnet_inner.a" 2>/dev/null >"$2/calls.now" || exit 77
if grep -E ' U (printf|puts|putchar|fprintf|perror|exit|_exit|abort|malloc|calloc|realloc|strdup)(@|$)' "$2/calls.now" |
   grep -v ':mem\.c\.o:'; then
  echo "the library calls what it must not"
  exit 1
fi
