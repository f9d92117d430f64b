# SPDX-License-Identifier: Apache-2.0
# Every module has a unit test of its name, or a line in without_unit_test.txt that says what tests it.
cd "$1" || exit 1
bad=0
for file in src/base/*.c src/wire/*.c src/tensor/*.c src/image/*.c src/graph/*.c src/model/*.c src/plan/*.c src/session/*.c src/train/*.c src/kernel/[a-w]*.c src/exchange/*.c src/api/*.c; do
  name=$(basename "$file" .c)
  [ -f "tests/unit/test_$name.c" ] && continue
  grep -q "^$name " tests/guards/without_unit_test.txt && continue
  echo "$file has no tests/unit/test_$name.c"
  bad=1
done
exit $bad
