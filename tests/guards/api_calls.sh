# SPDX-License-Identifier: Apache-2.0
# Every public function is called in a unit test of the API.
cd "$1" || exit 1
bad=0
for name in $(cat tests/data/symbols.txt); do
  grep -qE "\b$name\b *(\(|,)" tests/unit/test_api.c tests/unit/test_sessions.c tests/unit/test_pictures.c tests/unit/test_exports.c tests/unit/test_diff.c tests/unit/test_training.c tests/unit/test_explanations.c || {
    echo "$name is called in no unit test"
    bad=1
  }
done
exit $bad
