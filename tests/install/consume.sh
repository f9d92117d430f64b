# SPDX-License-Identifier: Apache-2.0
# Installs into a scratch folder and builds examples/classify.c as foreigners would: through
# pkg-config and through find_package; both must answer.
set -eu
source=$1 build=$2 cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR= cmake --install "$build" --prefix "$work/usr" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
libdir=$(dirname "$(find "$work/usr" -name libhrnet.so | head -n 1)")
[ -f "$work/usr/share/man/man1/hrnet-predict.1" ]
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"
# The .pc file names the configured prefix; the scratch one stands in for it.
flags=$(pkg-config --define-variable=prefix="$work/usr" --cflags --libs hrnet)
"$cc" -std=c17 -Wall -Wextra -Werror "$source/examples/classify.c" $flags -o "$work/by_pkg_config"
mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES C)
find_package(hrnet 0.1 REQUIRED)
add_executable(by_cmake $source/examples/classify.c)
target_link_libraries(by_cmake PRIVATE hrnet::hrnet)
EOF
cmake -G Ninja -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$work/usr" -DCMAKE_C_COMPILER="$cc" >"$work/log" 2>&1 &&
  cmake --build "$work/project/build" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/usr/bin/hrnet" convert synthetic:hrnet_w18_small "$work/m.safetensors" --classes 10 >/dev/null
picture=$source/tests/data/pictures/cat_420.jpg
"$work/by_pkg_config" "$work/m.safetensors" "$picture" >"$work/a"
"$work/project/build/by_cmake" "$work/m.safetensors" "$picture" >"$work/b"
cmp "$work/a" "$work/b"
[ "$(wc -l <"$work/a")" = 5 ]
if "$work/by_pkg_config" "$work/missing" "$picture" 2>"$work/error"; then exit 1; fi
grep -q missing "$work/error"
