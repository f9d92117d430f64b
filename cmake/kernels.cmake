# SPDX-License-Identifier: Apache-2.0
# Vector kernels: one file an instruction set, compiled with its own flags.
if(HRNET_REF_ONLY OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_definitions(hrnet_options INTERFACE HRNET_REF_ONLY=1)
else()
  target_compile_definitions(hrnet_options INTERFACE HRNET_REF_ONLY=0)
  foreach(isa "x86_avx2;-mavx2 -mfma -mf16c -mbmi2"
              "x86_avx512;-mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mbmi2")
    list(GET isa 0 name)
    list(GET isa 1 flags)
    if(EXISTS ${CMAKE_SOURCE_DIR}/src/kernel/${name}.c)
      separate_arguments(flags)
      add_library(hrnet_${name} OBJECT src/kernel/${name}.c)
      target_link_libraries(hrnet_${name} PRIVATE hrnet_options)
      target_compile_options(hrnet_${name} PRIVATE ${flags} -O3)
      list(APPEND objects hrnet_${name})
    endif()
  endforeach()
endif()
