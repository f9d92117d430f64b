# SPDX-License-Identifier: Apache-2.0
# Installs into a scratch folder and uses the library as foreigners would: examples/classify.c and a
# C++ program, through pkg-config and through find_package, shared and static; all must answer.
set -eu
source=$1 build=$2 cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR= cmake --install "$build" --prefix "$work/usr" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
for file in share/man/man1/hrnet-predict.1 share/bash-completion/completions/hrnet \
  share/zsh/site-functions/_hrnet share/fish/vendor_completions.d/hrnet.fish; do
  [ -s "$work/usr/$file" ] || { echo "$file is not installed"; exit 1; }
done
cat >"$work/version.cpp" <<'EOF'
#include <hrnet/hrnet.h>

#include <cstdio>
#include <cstring>

int main()
{
    hrnet_model_options options;
    hrnet_model_options_init(&options, sizeof options);
    hrnet_model *model = nullptr;
    if (hrnet_model_open(&model, "/nonexistent", &options) != HRNET_E_NOT_FOUND)
        return 1;
    return std::strstr(hrnet_last_error(), "/nonexistent") && std::puts(hrnet_version()) > 0 ? 0 : 1;
}
EOF
strict="-Wall -Wextra -Werror"
libdir=$(dirname "$(find "$work/usr" -name libhrnet.a)")
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"
# The .pc file names the configured prefix; the scratch one stands in for it.
flags=$(pkg-config --define-variable=prefix="$work/usr" --cflags --libs hrnet)
"$cc" -std=c17 $strict "$source/examples/classify.c" $flags -o "$work/by_pkg_config"
g++ -std=c++17 -pedantic $strict "$work/version.cpp" $flags -o "$work/version_by_pkg_config"

mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(hrnet 0.1 REQUIRED)
add_compile_options($(echo $strict | tr ' ' ';'))
add_executable(by_cmake $source/examples/classify.c)
target_link_libraries(by_cmake PRIVATE hrnet::hrnet)
add_executable(static_by_cmake $source/examples/classify.c)
target_link_libraries(static_by_cmake PRIVATE hrnet::static)
add_executable(version_by_cmake $work/version.cpp)
target_link_libraries(version_by_cmake PRIVATE hrnet::hrnet)
EOF
cmake -G Ninja -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$work/usr" -DCMAKE_C_COMPILER="$cc" >"$work/log" 2>&1 &&
  cmake --build "$work/project/build" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

"$work/usr/bin/hrnet" convert synthetic:hrnet_w18_small "$work/m.safetensors" --classes 10 >/dev/null
picture=$source/tests/data/pictures/cat_420.jpg
"$work/by_pkg_config" "$work/m.safetensors" "$picture" >"$work/a"
[ "$(wc -l <"$work/a")" = 5 ]
for program in by_cmake static_by_cmake; do
  "$work/project/build/$program" "$work/m.safetensors" "$picture" >"$work/b"
  cmp "$work/a" "$work/b"
done
version=$("$work/usr/bin/hrnet" version | sed -n 's/^hrnet \([0-9.]*\),.*/\1/p')
[ "$("$work/version_by_pkg_config")" = "$version" ]
[ "$("$work/project/build/version_by_cmake")" = "$version" ]
if "$work/by_pkg_config" "$work/missing" "$picture" 2>"$work/error"; then exit 1; fi
grep -q missing "$work/error"
# The static one stands alone.
if ldd "$work/project/build/static_by_cmake" | grep libhrnet; then exit 1; fi
