# SPDX-License-Identifier: Apache-2.0
# Every #include "folder/..." is one that tools/floors.txt allows.
cd "$1" || exit 1
bad=0
for file in src/*/*.c src/*/*.h; do
  folder=$(basename "$(dirname "$file")")
  for other in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file" | sort -u); do
    [ "$other" = "$folder" ] && continue
    [ "$other" = hrnet ] && other=include
    if ! grep -q "^$folder -> .*\b$other\b" tools/floors.txt; then
      echo "$file includes $other/, which tools/floors.txt does not allow to $folder"
      bad=1
    fi
  done
done
exit $bad
