# SPDX-License-Identifier: Apache-2.0
# Messages of foreign formats and protocols: src/FOLDER/proto/*.proto become C, FOLDER/NAME.pb-c.h, in
# the build folder.
set(hrnet_generated ${CMAKE_BINARY_DIR}/generated)
target_include_directories(hrnet_options SYSTEM INTERFACE ${hrnet_generated})

# hrnet_messages(TARGET FOLDER): an object library of all messages of src/FOLDER/proto.
function(hrnet_messages target folder)
  set(from ${CMAKE_SOURCE_DIR}/src/${folder}/proto)
  set(to ${hrnet_generated}/${folder})
  file(MAKE_DIRECTORY ${to})
  file(GLOB protos CONFIGURE_DEPENDS ${from}/*.proto)
  set(sources)
  foreach(proto ${protos})
    get_filename_component(name ${proto} NAME_WE)
    add_custom_command(
      OUTPUT ${to}/${name}.pb-c.c ${to}/${name}.pb-c.h
      COMMAND ${PROTOC_C} --proto_path=${from} --c_out=${to} ${proto}
      DEPENDS ${proto} VERBATIM)
    list(APPEND sources ${to}/${name}.pb-c.c)
  endforeach()
  add_library(${target} OBJECT ${sources})
  target_link_libraries(${target} PRIVATE PkgConfig::PROTOBUFC)
endfunction()

hrnet_messages(hrnet_messages wire)
list(APPEND objects hrnet_messages)
