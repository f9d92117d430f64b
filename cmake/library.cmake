# SPDX-License-Identifier: Apache-2.0
# The libraries, the program, and what is installed.
set(object_files)
foreach(object ${objects})
  list(APPEND object_files $<TARGET_OBJECTS:${object}>)
endforeach()
# Everything but the API: what internal tests link.
add_library(hrnet_inner STATIC ${object_files})
target_link_libraries(hrnet_inner PUBLIC hrnet_options)
