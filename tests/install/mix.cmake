# SPDX-License-Identifier: MIT
# cmake -DCOMPILE=<compiler and flags> -DBINARY=<folder> -P mix.cmake
# Two objects that exchange a matrix link when both are compiled for one instruction set and one threading, and not otherwise;
# the linker then names what one object wants, and nm what the other has.
cmake_minimum_required(VERSION 3.25)
file(MAKE_DIRECTORY ${BINARY})
set(ENV{LC_ALL} C)
set(source ${CMAKE_CURRENT_LIST_DIR}/exchange.cpp)

function(object name)
  execute_process(COMMAND ${COMPILE} ${ARGN} -c ${source} -o ${BINARY}/${name}.o COMMAND_ERROR_IS_FATAL ANY)
endfunction()
list(GET COMPILE 0 compiler)

object(gives_sse2 -DGIVES)
object(takes_sse2)
object(takes_avx2 -mavx2 -mfma)
object(takes_threads -fopenmp)

execute_process(COMMAND ${compiler} ${BINARY}/gives_sse2.o ${BINARY}/takes_sse2.o -o ${BINARY}/same COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BINARY}/same COMMAND_ERROR_IS_FATAL ANY)

function(mixed name has)
  execute_process(COMMAND ${compiler} ${BINARY}/gives_sse2.o ${BINARY}/${name}.o -o ${BINARY}/mixed
    RESULT_VARIABLE code ERROR_VARIABLE said)
  if(code EQUAL 0)
    message(FATAL_ERROR "${name}.o linked with an object for SSE2 without threads, although they exchange a matrix")
  endif()
  if(NOT said MATCHES "first_element\\(formwork::v[0-9]+_[0-9]+_sse2_serial::matrix<float> const&\\)")
    message(FATAL_ERROR "the link failed, but without naming the function and what it was compiled for:\n${said}")
  endif()
  execute_process(COMMAND nm -C ${BINARY}/${name}.o OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
  if(NOT names MATCHES "first_element\\(formwork::v[0-9]+_[0-9]+_${has}::matrix<float> const&\\)")
    message(FATAL_ERROR "nm does not show that ${name}.o was compiled for ${has}:\n${names}")
  endif()
endfunction()
mixed(takes_avx2 avx2_fma_serial)
mixed(takes_threads sse2_openmp)
