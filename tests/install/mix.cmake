# SPDX-License-Identifier: MIT
# cmake -DCOMPILE=<compiler and flags> -DBINARY=<folder> -P mix.cmake
# Two objects that exchange a matrix link when both are compiled for one instruction set, and not otherwise.
cmake_minimum_required(VERSION 3.25)
file(MAKE_DIRECTORY ${BINARY})
set(source ${CMAKE_CURRENT_LIST_DIR}/exchange.cpp)

function(object name)
  execute_process(COMMAND ${COMPILE} ${ARGN} -c ${source} -o ${BINARY}/${name}.o COMMAND_ERROR_IS_FATAL ANY)
endfunction()
list(GET COMPILE 0 compiler)

object(gives_sse2 -DGIVES)
object(takes_sse2)
object(takes_avx2 -mavx2 -mfma)

execute_process(COMMAND ${compiler} ${BINARY}/gives_sse2.o ${BINARY}/takes_sse2.o -o ${BINARY}/same COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BINARY}/same COMMAND_ERROR_IS_FATAL ANY)

execute_process(COMMAND ${compiler} ${BINARY}/gives_sse2.o ${BINARY}/takes_avx2.o -o ${BINARY}/mixed RESULT_VARIABLE code ERROR_VARIABLE said)
if(code EQUAL 0)
  message(FATAL_ERROR "objects compiled for SSE2 and for AVX2 linked, although they exchange a matrix")
endif()
if(NOT said MATCHES "first_element")
  message(FATAL_ERROR "the link failed, but not because of the function that takes a matrix:\n${said}")
endif()
