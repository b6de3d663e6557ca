# SPDX-License-Identifier: MIT
# cmake [-DSOURCE=<project>] [-DOUTPUT=<file>] -P single_header.cmake
#
# Writes the library as one file, formwork.hpp in the present folder unless OUTPUT names another: every header once, after those
# it includes, without its licence line, its `#pragma once` and its `#include <formwork/...>`. io needs nlohmann/json, so it
# comes last and only counts where that is.
cmake_minimum_required(VERSION 3.25)

if(NOT SOURCE)
  cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH SOURCE)
endif()
if(NOT OUTPUT)
  set(OUTPUT formwork.hpp)
endif()
cmake_path(ABSOLUTE_PATH OUTPUT)

function(say text)
  set_property(GLOBAL APPEND_STRING PROPERTY single_header "${text}")
endfunction()

function(write header)
  get_property(written GLOBAL PROPERTY written)
  if(header IN_LIST written)
    return()
  endif()
  set_property(GLOBAL APPEND PROPERTY written ${header})
  file(READ ${SOURCE}/include/${header} text)
  string(PREPEND text "\n")
  string(REGEX MATCHALL "\n#include <formwork/[^>\n]+" includes "${text}")
  list(TRANSFORM includes REPLACE "\n#include <" "")
  foreach(included IN LISTS includes)
    write(${included})
  endforeach()
  string(REGEX REPLACE "\n(// SPDX-License-Identifier: |#pragma once|#include <formwork/)[^\n]*" "" text "${text}")
  say("\n// ---- ${header}${text}")
endfunction()

file(READ ${SOURCE}/LICENSE license)
string(STRIP "${license}" license)
string(REGEX REPLACE "\n" "\n// " license "// ${license}")
string(REGEX REPLACE " +\n" "\n" license "${license}")
say("// SPDX-License-Identifier: MIT
// formwork in one file, made of include/formwork by cmake/single_header.cmake. Include this or the tree, not both.
//
${license}
#pragma once
")

file(GLOB_RECURSE headers RELATIVE ${SOURCE}/include ${SOURCE}/include/formwork/*.hpp)
set(with_json ${headers})
list(FILTER with_json INCLUDE REGEX "^formwork/io[./]")
list(REMOVE_ITEM headers ${with_json})
foreach(header formwork/formwork.hpp ${headers})
  write(${header})
endforeach()
say("\n#if __has_include(<nlohmann/json.hpp>)\n")
foreach(header ${with_json})
  write(${header})
endforeach()
say("\n#endif  // nlohmann/json\n")

get_property(text GLOBAL PROPERTY single_header)
file(WRITE ${OUTPUT} "${text}")
