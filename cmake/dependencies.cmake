# SPDX-License-Identifier: MIT
# What the library needs. What only tests, benchmarks or examples need is looked for in their folders.

# Eigen's own version file accepts a range from 3.4.1 on; 3.4.0 only understands its own version, and so do some packagers'
# files for 5.
foreach(version 3.4...5 3.4 5)
  if(NOT Eigen3_FOUND)
    find_package(Eigen3 ${version} CONFIG QUIET)
  endif()
endforeach()
find_package(nlohmann_json 3.7 CONFIG QUIET)
find_package(OpenMP QUIET COMPONENTS CXX)

if(FORMWORK_FETCH AND NOT (Eigen3_FOUND AND nlohmann_json_FOUND))
  include(FetchContent)
  if(NOT Eigen3_FOUND)
    # Headers only: Eigen's own build adds tests and targets nobody asked for, so it is given a folder without a CMakeLists.
    FetchContent_Declare(eigen URL https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz
      DOWNLOAD_EXTRACT_TIMESTAMP FALSE SOURCE_SUBDIR none)
    FetchContent_MakeAvailable(eigen)
    add_library(formwork_eigen INTERFACE IMPORTED GLOBAL)
    target_include_directories(formwork_eigen SYSTEM INTERFACE ${eigen_SOURCE_DIR})
    add_library(Eigen3::Eigen ALIAS formwork_eigen)
    set(Eigen3_FOUND TRUE)
  endif()
  if(NOT nlohmann_json_FOUND)
    FetchContent_Declare(json URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
      DOWNLOAD_EXTRACT_TIMESTAMP FALSE SYSTEM)
    FetchContent_MakeAvailable(json)
  endif()
endif()

if(NOT Eigen3_FOUND)
  message(FATAL_ERROR "formwork needs Eigen 3.4 or newer. Install it (Debian: apt-get install libeigen3-dev; macOS: brew install eigen), "
    "point CMAKE_PREFIX_PATH to it, or configure with -DFORMWORK_FETCH=ON to download it.")
endif()
if(NOT TARGET nlohmann_json::nlohmann_json)
  message(STATUS "formwork: nlohmann/json is not installed, so formwork/io cannot be used (Debian: apt-get install nlohmann-json3-dev)")
endif()
