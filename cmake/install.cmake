# SPDX-License-Identifier: MIT
# What is installed: the headers, and how find_package and pkg-config find them. Nothing in it depends on the machine or on
# where it lies, so it goes to share/ and may be moved.
include(CMakePackageConfigHelpers)

# All relative to the prefix, also where they were given as absolute folders.
set(include_dir ${CMAKE_INSTALL_INCLUDEDIR})
set(config_dir ${CMAKE_INSTALL_DATADIR}/cmake/formwork)
set(pc_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)
foreach(dir include_dir config_dir pc_dir)
  cmake_path(ABSOLUTE_PATH ${dir} BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX})
  cmake_path(RELATIVE_PATH ${dir} BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX})
endforeach()

install(TARGETS formwork formwork_native EXPORT formworkTargets FILE_SET HEADERS DESTINATION ${include_dir})
install(EXPORT formworkTargets NAMESPACE formwork:: DESTINATION ${config_dir})
configure_package_config_file(cmake/formworkConfig.cmake.in formworkConfig.cmake INSTALL_DESTINATION ${config_dir}
  NO_CHECK_REQUIRED_COMPONENTS_MACRO NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(formworkConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/formworkConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/formworkConfigVersion.cmake
  DESTINATION ${config_dir})

set(pc_to_prefix ${CMAKE_INSTALL_PREFIX})
cmake_path(RELATIVE_PATH pc_to_prefix BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${pc_dir})
foreach(name formwork formwork-io)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${pc_dir})
endforeach()

# One file instead of a folder, for who asks: cmake --build <build> --target single_header, then
# cmake --install <build> --component single_header.
if(TARGET single_header)
  install(FILES ${single_header} DESTINATION ${include_dir} COMPONENT single_header EXCLUDE_FROM_ALL)
endif()
