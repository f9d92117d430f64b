# SPDX-License-Identifier: Apache-2.0
# The server's parts.  They are the program's and its tests', no part of libhrnet.
hrnet_messages(hrnet_serve_messages serve)

# Server reflection hands out the compiled .proto files of the services; here they become an array.
set(served_protos oip health reflection reflection_alpha pipeline general_model)
set(proto_folder ${CMAKE_SOURCE_DIR}/src/serve/proto)
set(descriptors ${hrnet_generated}/serve/descriptors)
list(TRANSFORM served_protos PREPEND ${proto_folder}/ OUTPUT_VARIABLE served_files)
list(TRANSFORM served_files APPEND .proto)
add_custom_command(OUTPUT ${descriptors}.c
  COMMAND ${PROTOC_C} --proto_path=${proto_folder} --descriptor_set_out=${descriptors}.bin ${served_files}
  COMMAND ${CMAKE_COMMAND} -DFROM=${descriptors}.bin -DTO=${descriptors}.c
          -P ${CMAKE_SOURCE_DIR}/cmake/descriptors.cmake
  DEPENDS ${served_files} ${CMAKE_SOURCE_DIR}/cmake/descriptors.cmake VERBATIM)

# The web page and the OpenAPI document, too.
file(GLOB page_files CONFIGURE_DEPENDS src/serve/page/*)
set(page ${hrnet_generated}/serve/page.c)
add_custom_command(OUTPUT ${page}
  COMMAND ${CMAKE_COMMAND} -DFROM=${CMAKE_SOURCE_DIR}/src/serve/page -DTO=${page}
          -P ${CMAKE_SOURCE_DIR}/cmake/page.cmake
  DEPENDS ${page_files} ${CMAKE_SOURCE_DIR}/cmake/page.cmake VERBATIM)

file(GLOB serve_sources CONFIGURE_DEPENDS src/serve/*.c)
if(NOT HRNET_SERVE) # what the client needs stays
  list(FILTER serve_sources EXCLUDE REGEX "/(http(_[a-z]+)?|server)\\.c$")
endif()
add_library(hrnet_serve STATIC ${serve_sources} ${descriptors}.c ${page} $<TARGET_OBJECTS:hrnet_serve_messages>)
add_dependencies(hrnet_serve hrnet_messages)
target_link_libraries(hrnet_serve PUBLIC hrnet_inner PkgConfig::NGHTTP2 PkgConfig::GNUTLS)
if(HRNET_SERVE)
  target_link_libraries(hrnet_serve PUBLIC PkgConfig::MICROHTTPD)
endif()
