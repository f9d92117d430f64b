# SPDX-License-Identifier: Apache-2.0
# The library never prints, exits or aborts, and takes memory only through base/mem.
case $(grep HRNET_SANITIZE: "$2/CMakeCache.txt") in *=?*) exit 77 ;; esac
nm -A -u "$2/libhrnet_inner.a" 2>/dev/null >"$2/calls.now" || exit 77
grep -q . "$2/calls.now" || { echo "nm listed nothing"; exit 1; }
# Writing a file that was asked for is no printing: the standard streams are what is forbidden.
# The checked forms are what -D_FORTIFY_SOURCE makes of the plain ones.
prints='stdout|stderr|v?printf|__v?printf_chk|puts|putchar|perror|psignal'
ends='exit|_exit|_Exit|quick_exit|abort|raise|kill|err|errx'
memory='malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|memalign|valloc'
copies='strdup|strndup|asprintf|vasprintf|__v?asprintf_chk|getline|getdelim|open_memstream|scandir'
if grep -E " U ($prints|$ends|$memory|$copies)(@|\$)" "$2/calls.now" | grep -vE ":mem\.c\.o: +U posix_memalign"; then
  echo "the library calls what it must not"
  exit 1
fi
