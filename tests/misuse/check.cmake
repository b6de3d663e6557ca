# SPDX-License-Identifier: MIT
# cmake -DCOMPILE=<compiler and flags> -DSOURCE=<file> -P check.cmake
cmake_minimum_required(VERSION 3.25)
file(READ ${SOURCE} text)
if(NOT text MATCHES "\n// expect: ([^\n]+)\n")
  message(FATAL_ERROR "${SOURCE} needs a line `// expect: <sentence>`")
endif()
set(expected "${CMAKE_MATCH_1}")

set(ENV{LC_ALL} C)
execute_process(COMMAND ${COMPILE} -fsyntax-only ${SOURCE} RESULT_VARIABLE code ERROR_VARIABLE said)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "the right use does not compile:\n${said}")
endif()

execute_process(COMMAND ${COMPILE} -fsyntax-only -DMISUSE ${SOURCE} RESULT_VARIABLE code ERROR_VARIABLE said)
if(code EQUAL 0)
  message(FATAL_ERROR "the misuse compiles; it should be refused with: ${expected}")
endif()
string(FIND "${said}" "${expected}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "the misuse is refused, but without the sentence: ${expected}\nThe compiler said:\n${said}")
endif()
