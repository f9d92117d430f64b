# SPDX-License-Identifier: Apache-2.0
# The libraries, the program, and what is installed.
include(GNUInstallDirs)
set(object_files)
foreach(object ${objects})
  list(APPEND object_files $<TARGET_OBJECTS:${object}>)
endforeach()

# Everything, with its inner symbols: what the program and the inner tests link.
add_library(hrnet_inner STATIC ${object_files})
target_link_libraries(hrnet_inner PUBLIC hrnet_options)

# libhrnet: only hrnet_* is visible.
function(hrnet_library target type)
  add_library(${target} ${type} ${object_files})
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:hrnet_options>)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(${target} PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
endfunction()
hrnet_library(hrnet_static STATIC)
set_target_properties(hrnet_static PROPERTIES OUTPUT_NAME hrnet EXPORT_NAME static)
set(installed hrnet_static)
if(BUILD_SHARED_LIBS)
  hrnet_library(hrnet_shared SHARED)
  set_target_properties(hrnet_shared PROPERTIES OUTPUT_NAME hrnet EXPORT_NAME hrnet
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/hrnet.map)
  target_link_options(hrnet_shared PRIVATE
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/hrnet.map -Wl,--as-needed)
  # clang leaves the sanitizer's own functions to the program: with one, not all is defined.
  if(NOT HRNET_SANITIZE)
    target_link_options(hrnet_shared PRIVATE -Wl,-z,defs)
  endif()
  list(APPEND installed hrnet_shared)
endif()

# The program.  Its reader of configurations is tested on its own.
file(GLOB cli_sources CONFIGURE_DEPENDS src/cli/*.c)
set(config_sources ${cli_sources})
list(FILTER config_sources INCLUDE REGEX "/(config|config_keys|config_learning|config_ops|literal|value|yaml)\\.c$")
list(REMOVE_ITEM cli_sources ${config_sources})
add_library(hrnet_config STATIC ${config_sources})
target_link_libraries(hrnet_config PUBLIC hrnet_inner PkgConfig::YAML)
add_executable(hrnet_program ${cli_sources})
set_target_properties(hrnet_program PROPERTIES OUTPUT_NAME hrnet RUNTIME_OUTPUT_DIRECTORY bin)
target_link_libraries(hrnet_program PRIVATE hrnet_config hrnet_inner hrnet_serve)
if(HRNET_CURL)
  target_link_libraries(hrnet_program PRIVATE PkgConfig::CURL)
endif()
target_compile_definitions(hrnet_program PRIVATE HRNET_CURL=$<BOOL:${HRNET_CURL}>
  HRNET_SERVE=$<BOOL:${HRNET_SERVE}>)

# Manual pages and completion, written by the program from its own flag tables.
if(NOT CMAKE_CROSSCOMPILING)
  set(man_folder ${CMAKE_BINARY_DIR}/man)
  set(completion_folder ${CMAKE_BINARY_DIR}/completion)
  add_custom_command(OUTPUT ${man_folder}/hrnet.1
    COMMAND hrnet_program help --man ${man_folder}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${completion_folder}
    COMMAND hrnet_program completion bash >${completion_folder}/hrnet
    COMMAND hrnet_program completion zsh >${completion_folder}/_hrnet
    COMMAND hrnet_program completion fish >${completion_folder}/hrnet.fish
    DEPENDS hrnet_program)
  add_custom_target(hrnet_man ALL DEPENDS ${man_folder}/hrnet.1)
  install(DIRECTORY ${man_folder}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
  install(FILES ${completion_folder}/hrnet DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${completion_folder}/_hrnet DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${completion_folder}/hrnet.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

install(TARGETS hrnet_program DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES models/digits.safetensors DESTINATION ${CMAKE_INSTALL_DATADIR}/hrnet)
install(TARGETS ${installed} EXPORT hrnet-targets DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/hrnet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(private_modules "libjpeg zlib jansson libprotobuf-c")
set(static_libraries spng jpeg z jansson protobuf-c m Threads::Threads)
if(HRNET_WEBP)
  string(APPEND private_modules " libwebp")
  list(PREPEND static_libraries webp)
endif()
if(HRNET_MPI AND MPI_FOUND)
  string(APPEND private_modules " ${MPI_MODULE_NAME}")
  list(APPEND static_libraries ${MPI_LINK_LIBRARIES})
endif()
# Who links the static library links what it needs; where there is no other, that is everybody.
set(private_libraries "-lspng -lm -lpthread")
set(private .private)
if(NOT BUILD_SHARED_LIBS)
  set(private "")
  set(public_libraries " ${private_libraries}")
endif()
configure_file(cmake/hrnet.pc.in hrnet.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/hrnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
include(CMakePackageConfigHelpers)
list(JOIN static_libraries " " static_libraries)
write_basic_package_version_file(hrnet-config-version.cmake COMPATIBILITY SameMajorVersion)
configure_file(cmake/hrnet-config.cmake.in hrnet-config.cmake @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/hrnet-config.cmake ${CMAKE_BINARY_DIR}/hrnet-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hrnet)
install(EXPORT hrnet-targets NAMESPACE hrnet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hrnet)
