# SPDX-License-Identifier: Apache-2.0
# Every module has a unit test of its name, or a line in without_unit_test.txt: MODULE, the file or
# folder that tests it (which must exist), and more words if need be.  A line whose module has a test
# of its own, or is gone, is refused too.
cd "$1" || exit 1
excuses=tests/guards/without_unit_test.txt
bad=0
for file in src/*/*.c; do
  case $file in src/cli/* | src/kernel/x86_* | src/kernel/arm_*) continue ;; esac
  name=$(basename "$file" .c)
  [ -f "tests/unit/test_$name.c" ] && continue
  grep -q "^$name " "$excuses" && continue
  echo "$file has no tests/unit/test_$name.c"
  bad=1
done
while read -r name test _; do
  if [ ! -e "$test" ]; then
    echo "$excuses: $name is said to be tested by $test, which is not there"
    bad=1
  elif [ -f "tests/unit/test_$name.c" ] || ! ls src/*/"$name.c" >/dev/null 2>&1; then
    echo "$excuses: $name needs no line: it has a test, or it is gone"
    bad=1
  fi
done <"$excuses"
exit $bad
