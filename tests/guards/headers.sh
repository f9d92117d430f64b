# SPDX-License-Identifier: Apache-2.0
# Each header compiles alone as C17; the public one as C99 and C++17 too, with every warning.
cd "$1" || exit 1
bad=0
for header in src/*/*.h; do
  case $header in *.tmpl.h) continue ;; esac
  echo "#include \"${header#src/}\"" |
    "$3" -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -Isrc -Iinclude -x c - || {
    echo "$header does not compile alone"
    bad=1
  }
done
echo '#include <hrnet/hrnet.h>' | "$3" -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c - || bad=1
if command -v g++ >/dev/null; then
  echo '#include <hrnet/hrnet.h>' | g++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c++ - || bad=1
fi
exit $bad
