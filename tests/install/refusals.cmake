# SPDX-License-Identifier: MIT
# cmake -DSOURCE=<project> -DPREFIX=<installation> -DBINARY=<folder> -P refusals.cmake
# What find_package(formwork ...) accepts, and with which sentence it refuses the rest.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${BINARY})
file(READ ${SOURCE}/include/formwork/core/version.hpp header)
string(REGEX MATCH "MAJOR ([0-9]+)\n[^\n]*MINOR ([0-9]+)" _ "${header}")
set(major ${CMAKE_MATCH_1})
set(minor ${CMAKE_MATCH_2})
math(EXPR next "${minor} + 1")

function(find request)
  file(WRITE ${BINARY}/CMakeLists.txt
    "cmake_minimum_required(VERSION 3.25)\nproject(user LANGUAGES NONE)\nfind_package(formwork ${request})\n")
  execute_process(COMMAND ${CMAKE_COMMAND} --fresh -S ${BINARY} -B ${BINARY}/build -DCMAKE_PREFIX_PATH=${PREFIX} ${ARGN}
    RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
  string(REGEX REPLACE "[ \n]+" " " said "${said}")
  set(code ${code} PARENT_SCOPE)
  set(said "${said}" PARENT_SCOPE)
endfunction()
function(accepted request)
  find("${request}" ${ARGN})
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "find_package(formwork ${request}) is refused: ${said}")
  endif()
endfunction()
function(refused request sentence)
  find("${request}" ${ARGN})
  string(FIND "${said}" "${sentence}" at)
  if(code EQUAL 0 OR at EQUAL -1)
    message(FATAL_ERROR "find_package(formwork ${request}) should be refused with `${sentence}`; CMake said: ${said}")
  endif()
endfunction()

accepted("REQUIRED")
accepted("${major}.${minor} REQUIRED")
accepted("${major}.${minor}.0 CONFIG REQUIRED COMPONENTS io")
accepted("${major}.${minor}...<${major}.${next} REQUIRED")
accepted("REQUIRED OPTIONAL_COMPONENTS openmp attention")
accepted("QUIET" -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON)  # not required: not found, not an error

refused("${major}.${next} REQUIRED" "compatible with requested version \"${major}.${next}\"")
refused("REQUIRED" "formwork needs Eigen 3.4 or newer (Debian: apt-get install libeigen3-dev)"
  -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON)
refused("REQUIRED COMPONENTS io" "its component io needs nlohmann/json 3.7 or newer"
  -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON)
refused("REQUIRED COMPONENTS openmp" "its component openmp needs a C++ compiler with OpenMP")
refused("REQUIRED COMPONENTS attention" "it has no component attention; there are io and openmp")
