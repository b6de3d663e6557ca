# SPDX-License-Identifier: MIT
# cmake -DSINGLE=<file> -DCOMPILE=<compiler and warnings> -DLIBRARIES=<include flags of Eigen and json> -DINSTRUCTIONS=<flags>
#   -DSOURCE=<project> -DBINARY=<folder> -P single_header_runs_alike.cmake
# One program, compiled with the single header and with the tree, strictly both times, writes the same bytes.
cmake_minimum_required(VERSION 3.25)
cmake_path(GET SINGLE PARENT_PATH single_folder)
file(REMOVE_RECURSE ${BINARY})

function(run name)
  file(MAKE_DIRECTORY ${BINARY}/${name})
  execute_process(COMMAND ${COMPILE} ${ARGN} ${LIBRARIES} ${INSTRUCTIONS} ${CMAKE_CURRENT_LIST_DIR}/single_header.cpp
    -o ${BINARY}/${name}/program COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${BINARY}/${name}/program OUTPUT_FILE ${BINARY}/${name}/output WORKING_DIRECTORY ${BINARY}/${name}
    COMMAND_ERROR_IS_FATAL ANY)
endfunction()
run(single -DSINGLE -I${single_folder})
run(tree -I${SOURCE}/include)

foreach(file output gradients.safetensors)
  file(SIZE ${BINARY}/tree/${file} bytes)
  if(bytes EQUAL 0)
    message(FATAL_ERROR "the program writes nothing to ${file}")
  endif()
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${BINARY}/single/${file} ${BINARY}/tree/${file} RESULT_VARIABLE differ)
  if(differ)
    message(FATAL_ERROR "${file} differs between the single header and the tree")
  endif()
endforeach()
