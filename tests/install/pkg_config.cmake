# SPDX-License-Identifier: MIT
# cmake -DPREFIX=<installation> -DCOMPILER=<compiler> -DSOURCE=<project> -DBINARY=<folder> -P pkg_config.cmake
# A program is compiled by the bare compiler with what pkg-config says, io's needs are asked for by io alone.
cmake_minimum_required(VERSION 3.25)
find_program(pkg_config NAMES pkg-config pkgconf NO_CACHE)
if(NOT pkg_config)
  message(STATUS "skipped: there is no pkg-config")
  return()
endif()
execute_process(COMMAND ${pkg_config} --exists eigen3 RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(STATUS "skipped: pkg-config knows no eigen3")
  return()
endif()
file(REMOVE_RECURSE ${BINARY})
file(MAKE_DIRECTORY ${BINARY})

# The installation's files and those of the system, or only those that are copied here.
file(GLOB installed ${PREFIX}/share/pkgconfig/*.pc)
execute_process(COMMAND ${pkg_config} --variable=pcfiledir eigen3 OUTPUT_VARIABLE eigen OUTPUT_STRIP_TRAILING_WHITESPACE)
file(COPY ${installed} ${eigen}/eigen3.pc DESTINATION ${BINARY}/without_json)
set(ENV{PKG_CONFIG_PATH} ${PREFIX}/share/pkgconfig)

function(ask package result)
  execute_process(COMMAND ${pkg_config} --cflags ${package} OUTPUT_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(said UNIX_COMMAND "${said}")
  set(${result} ${said} PARENT_SCOPE)
endfunction()

# --- two units, compiled and linked without CMake ---
ask(formwork flags)
set(compile ${COMPILER} -std=c++20 ${flags})
set(source ${CMAKE_CURRENT_LIST_DIR}/exchange.cpp)
execute_process(COMMAND ${compile} -DGIVES -c ${source} -o ${BINARY}/gives.o COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${compile} ${BINARY}/gives.o ${source} -o ${BINARY}/program COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BINARY}/program COMMAND_ERROR_IS_FATAL ANY)

file(READ ${PREFIX}/share/pkgconfig/formwork.pc text)
if(NOT text MATCHES "\nDescription: [^\n]*-std=c\\+\\+20")
  message(FATAL_ERROR "the description does not say which standard to compile with:\n${text}")
endif()

# --- io ---
if(EXISTS ${eigen}/nlohmann_json.pc)
  ask(formwork-io flags)
  file(WRITE ${BINARY}/io.cpp "#include <formwork/io/safetensors.hpp>\n")
  execute_process(COMMAND ${COMPILER} -std=c++20 ${flags} -fsyntax-only ${BINARY}/io.cpp COMMAND_ERROR_IS_FATAL ANY)
endif()
unset(ENV{PKG_CONFIG_PATH})
set(ENV{PKG_CONFIG_LIBDIR} ${BINARY}/without_json)
ask(formwork flags)
execute_process(COMMAND ${pkg_config} --cflags formwork-io RESULT_VARIABLE code ERROR_VARIABLE said)
if(code EQUAL 0 OR NOT said MATCHES "nlohmann_json")
  message(FATAL_ERROR "without nlohmann_json pkg-config should refuse formwork-io and name it; it said:\n${said}")
endif()
