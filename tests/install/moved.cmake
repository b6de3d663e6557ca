# SPDX-License-Identifier: MIT
# cmake -DSOURCE=<project> -DSETTINGS=<options of cmake> -DCONSUMER=<project> -DBINARY=<folder> -P moved.cmake
# An installation with folders of other names, one of them absolute, goes on working where it is moved: nothing in it remembers
# where it was.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${BINARY})
set(here ${BINARY}/here)
set(there ${BINARY}/moved/there)
set(without_programs -DFORMWORK_BUILD_TESTS=OFF -DFORMWORK_BUILD_BENCHMARKS=OFF -DFORMWORK_BUILD_EXAMPLES=OFF)

execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${BINARY}/build ${SETTINGS} ${without_programs}
  -DCMAKE_INSTALL_PREFIX=${here} -DCMAKE_INSTALL_LIBDIR=lib64 -DCMAKE_INSTALL_INCLUDEDIR=${here}/headers/of
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BINARY}/build COMMAND_ERROR_IS_FATAL ANY)
file(MAKE_DIRECTORY ${BINARY}/moved)
file(RENAME ${here} ${there})

file(GLOB_RECURSE files ${there}/*.cmake ${there}/*.pc)
foreach(file IN LISTS files)
  file(READ ${file} text)
  foreach(place ${here} ${SOURCE}/include ${BINARY}/build)
    string(FIND "${text}" "${place}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${file} remembers ${place}")
    endif()
  endforeach()
endforeach()

execute_process(COMMAND ${CMAKE_COMMAND} -S ${CONSUMER} -B ${BINARY}/consumer ${SETTINGS} -DCONSUME=find_package -DSMALL=ON
  -DCMAKE_PREFIX_PATH=${there} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${BINARY}/consumer COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BINARY}/consumer/consumer COMMAND_ERROR_IS_FATAL ANY)

find_program(pkg_config NAMES pkg-config pkgconf NO_CACHE)
if(pkg_config)
  set(ENV{PKG_CONFIG_PATH} ${there}/share/pkgconfig)
  execute_process(COMMAND ${pkg_config} --variable=includedir formwork OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY)
  file(REAL_PATH ${folder} folder)
  file(REAL_PATH ${there}/headers/of expected)
  if(NOT folder STREQUAL expected)
    message(FATAL_ERROR "pkg-config looks for the headers in ${folder}, not in ${expected}")
  endif()
endif()
