# SPDX-License-Identifier: MIT
# What is installed: the headers, and how find_package and pkg-config find them. Nothing in it depends on the machine or on
# where it lies, so it goes to share/ and may be moved.
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_DATADIR}/cmake/formwork)
install(TARGETS formwork formwork_native EXPORT formworkTargets FILE_SET HEADERS)
install(EXPORT formworkTargets NAMESPACE formwork:: DESTINATION ${config_dir})
configure_package_config_file(cmake/formworkConfig.cmake.in formworkConfig.cmake INSTALL_DESTINATION ${config_dir}
  NO_CHECK_REQUIRED_COMPONENTS_MACRO NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(formworkConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/formworkConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/formworkConfigVersion.cmake
  DESTINATION ${config_dir})

set(pc_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)
cmake_path(ABSOLUTE_PATH pc_dir BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE pc_full_dir)
file(RELATIVE_PATH pc_to_prefix ${pc_full_dir} ${CMAKE_INSTALL_PREFIX})
set(pc_includedir "\${prefix}")
cmake_path(APPEND pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})
foreach(name formwork formwork-io)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${pc_dir})
endforeach()

# One file instead of a folder, for who asks: cmake --build <build> --target single_header, then
# cmake --install <build> --component single_header.
if(TARGET single_header)
  install(FILES ${single_header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT single_header EXCLUDE_FROM_ALL)
endif()
