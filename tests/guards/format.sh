# SPDX-License-Identifier: Apache-2.0
command -v clang-format >/dev/null || exit 77
cd "$1" || exit 1
exec clang-format --dry-run -Werror src/*/*.[ch] include/*/*.h tests/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch] examples/*.c
