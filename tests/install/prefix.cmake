# SPDX-License-Identifier: MIT
# cmake -DBUILD=<build folder> -DPREFIX=<folder> -P prefix.cmake
# Installs what the tests beside this one use; nothing of an earlier installation stays.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX} COMMAND_ERROR_IS_FATAL ANY)
