# SPDX-License-Identifier: Apache-2.0
# The shared library exports exactly the names of tests/data/symbols.txt, which are exactly the
# functions that hrnet.h declares; inside, every global name starts with hr_ or hrnet_.
[ -f "$2/libhrnet.so" ] || exit 77
nm "$2/libhrnet.so" >/dev/null 2>&1 || exit 77
nm -D --defined-only "$2/libhrnet.so" | awk '{print $3}' | sort >"$2/symbols.now"
diff "$1/tests/data/symbols.txt" "$2/symbols.now" || {
  echo "the exported functions changed: if that is meant, update tests/data/symbols.txt"
  exit 1
}
"$3" -E -P -I "$1/include" -x c "$1/include/hrnet/hrnet.h" | tr '\n' ' ' | tr ';' '\n' |
  grep -v typedef | grep -oE '\bhrnet_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u >"$2/symbols.declared"
diff "$2/symbols.declared" "$1/tests/data/symbols.txt" || {
  echo "hrnet.h (<) and the exported functions (>) differ"
  exit 1
}
if nm -g --defined-only "$2/libhrnet_inner.a" 2>/dev/null | awk 'NF == 3 {print $3}' |
   grep -vE '^(hr_|hrnet_|__|_GLOBAL)' | grep .; then
  echo "global names without the prefix hr_ or hrnet_"
  exit 1
fi
