# SPDX-License-Identifier: Apache-2.0
# FROM, any file, becomes TO, a C array hr_descriptors[hr_descriptors_size].
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${TO} "#include \"serve/descriptors.h\"\n\nconst uint8_t hr_descriptors[] = {\n${bytes}};\nconst size_t hr_descriptors_size = sizeof hr_descriptors;\n")
