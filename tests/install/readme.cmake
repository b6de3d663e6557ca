# SPDX-License-Identifier: MIT
# cmake -DLANGUAGE=cpp | cmake | sh -DREADME=<file> -DSOURCE=<project> -DPREFIX=<installation> -DBINARY=<folder>
#   -DSETTINGS=<options of cmake> -DCOMPILE=<compiler and flags> -P readme.cmake
# Every code block of the README does what it shows:
#   cpp     A block whose first line is `// <path>` is that file of the project; CMakeLists.txt builds and tests it as its
#           neighbours there. Every other block is a whole program: compiled and run.
#   cmake   What follows add_executable(mine mine.cpp) in a user's CMakeLists.txt, beside a folder `formwork`; configured, built,
#           run. FetchContent gets the project's own folder.
#   sh      Commands in the project's folder: checked by `bash -n`, and run, block after block, in a copy of it with an empty home
#           and a small mine.cpp, but for blocks that match a line of `not_run`. `bash` is the same.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/readme_blocks.cmake)

set(not_run
  "cmake/(run|test)\\.sh: installs packages and takes minutes"
  "build/release/: needs the release build"
  "pkg-config: needs pkg-config")
find_program(pkg_config pkg-config NO_CACHE)
if(pkg_config)
  list(POP_BACK not_run)
endif()

set(mine "#if __has_include(\"formwork.hpp\")
#include \"formwork.hpp\"
#else
#include <formwork/core/matrix.hpp>
#endif
int main() { return formwork::matrix<float>(1, 1, 0.0f)(0, 0) == 0 ? 0 : 1; }
")

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(check_cpp folder text path)
  if(path)
    if(NOT path MATCHES "^(include/formwork/.*\\.hpp|tests/misuse/.*\\.cpp|tests/.*_test\\.cpp)$")
      message(FATAL_ERROR "the README shows ${path}; a header, a test or a misuse twin would be tested")
    endif()
    return()
  endif()
  string(FIND "${text}" "int main(" main)
  if(main EQUAL -1)
    message(FATAL_ERROR "a C++ block has neither a main nor a path in its first line:\n${text}")
  endif()
  file(WRITE ${folder}/program.cpp "${text}")
  run(${COMPILE} ${folder}/program.cpp -o ${folder}/program)
  run(${folder}/program WORKING_DIRECTORY ${folder})
endfunction()

function(check_cmake folder text path)
  file(WRITE ${folder}/CMakeLists.txt
    "cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES CXX)\nadd_executable(mine mine.cpp)\n${text}")
  file(WRITE ${folder}/mine.cpp "${mine}")
  file(CREATE_LINK ${SOURCE} ${folder}/formwork SYMBOLIC)
  run(${CMAKE_COMMAND} -S ${folder} -B ${folder}/build ${SETTINGS} -DCMAKE_PREFIX_PATH=${PREFIX}
    -DFETCHCONTENT_SOURCE_DIR_FORMWORK=${SOURCE})
  run(${CMAKE_COMMAND} --build ${folder}/build)
  run(${folder}/build/mine)
endfunction()

function(check_sh folder text path)
  file(WRITE ${folder}/commands.sh "${text}")
  run(bash -n ${folder}/commands.sh)
  foreach(line IN LISTS not_run)
    string(REGEX MATCH "^(.*): (.*)$" _ "${line}")
    if(text MATCHES "${CMAKE_MATCH_1}")
      string(REGEX MATCH "^(.*): (.*)$" _ "${line}")
      message(STATUS "not run, as it ${CMAKE_MATCH_2}:\n${text}")
      return()
    endif()
  endforeach()
  set(home ${BINARY}/home)
  set(copy ${BINARY}/formwork)
  if(NOT EXISTS ${home})
    file(MAKE_DIRECTORY ${home})
    file(COPY ${SOURCE}/include ${SOURCE}/cmake ${SOURCE}/CMakeLists.txt ${SOURCE}/CMakePresets.json ${SOURCE}/LICENSE
      DESTINATION ${copy})
    file(WRITE ${copy}/mine.cpp "${mine}")
  endif()
  list(GET SETTINGS 1 generator)  # -G <generator>: the one that is installed
  set(ENV{CMAKE_GENERATOR} ${generator})
  set(ENV{HOME} ${home})
  run(bash -e ${folder}/commands.sh WORKING_DIRECTORY ${copy})
endfunction()

file(REMOVE_RECURSE ${BINARY})
read_blocks(${README})
set(checked 0)
foreach(i RANGE 1 ${blocks})
  if(block_${i}_language MATCHES "^(ba)?${LANGUAGE}$")
    math(EXPR checked "${checked} + 1")
    file(MAKE_DIRECTORY ${BINARY}/${i})
    cmake_language(CALL check_${LANGUAGE} ${BINARY}/${i} "${block_${i}_text}" "${block_${i}_path}")
  endif()
endforeach()
if(LANGUAGE STREQUAL "cpp")  # "It is examples/00_readme.cpp"
  file(READ ${README} text)
  file(READ ${SOURCE}/examples/00_readme.cpp example)
  string(REGEX REPLACE "^(//[^\n]*\n)+" "" example "${example}")
  string(FIND "${text}" "```cpp\n${example}```" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "examples/00_readme.cpp and the README's first program differ")
  endif()
endif()
if(checked EQUAL 0)
  message(FATAL_ERROR "${README} has no block in ${LANGUAGE}")
endif()
message(STATUS "${checked} blocks in ${LANGUAGE}")
