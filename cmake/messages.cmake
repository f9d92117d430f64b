# SPDX-License-Identifier: Apache-2.0
# Messages of foreign files: src/wire/proto/*.proto become C, wire/NAME.pb-c.h, in the build folder.
set(hrnet_generated ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${hrnet_generated}/wire)
file(GLOB protos CONFIGURE_DEPENDS src/wire/proto/*.proto)
set(message_sources)
foreach(proto ${protos})
  get_filename_component(name ${proto} NAME_WE)
  add_custom_command(
    OUTPUT ${hrnet_generated}/wire/${name}.pb-c.c ${hrnet_generated}/wire/${name}.pb-c.h
    COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/src/wire/proto
            --c_out=${hrnet_generated}/wire ${proto}
    DEPENDS ${proto} VERBATIM)
  list(APPEND message_sources ${hrnet_generated}/wire/${name}.pb-c.c)
endforeach()
add_library(hrnet_messages OBJECT ${message_sources})
target_link_libraries(hrnet_messages PRIVATE PkgConfig::PROTOBUFC)
target_include_directories(hrnet_options SYSTEM INTERFACE ${hrnet_generated})
list(APPEND objects hrnet_messages)
