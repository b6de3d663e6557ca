# SPDX-License-Identifier: MIT
# What the library needs, and how the folders of tests, benchmarks and examples get what only they need.

# formwork_dependency(<package> TARGET <target> VERSIONS <version>... URL <archive> [HEADERS <its folder of headers>])
# gives the target: the one that is there already, else that of an installed package, else, with FORMWORK_FETCH, that of a
# download, for which FETCHCONTENT_SOURCE_DIR_<PACKAGE> may name a folder.
function(formwork_dependency package)
  cmake_parse_arguments(PARSE_ARGV 1 wanted "" "TARGET;URL;HEADERS" "VERSIONS")
  foreach(version IN LISTS wanted_VERSIONS)
    if(NOT TARGET ${wanted_TARGET})
      find_package(${package} ${version} CONFIG QUIET)
    endif()
  endforeach()
  if(TARGET ${wanted_TARGET} OR NOT FORMWORK_FETCH)
    return()
  endif()

  include(FetchContent)
  if(DEFINED wanted_HEADERS)
    # Headers need no build, and their own would add tests and targets nobody asked for: it is looked for where none is.
    FetchContent_Declare(${package} URL ${wanted_URL} DOWNLOAD_EXTRACT_TIMESTAMP FALSE SOURCE_SUBDIR none)
    FetchContent_MakeAvailable(${package})
    string(TOLOWER ${package} name)
    add_library(${wanted_TARGET} INTERFACE IMPORTED)
    target_include_directories(${wanted_TARGET} SYSTEM INTERFACE ${${name}_SOURCE_DIR}/${wanted_HEADERS})
  else()
    set(CMAKE_COMPILE_WARNING_AS_ERROR OFF)
    FetchContent_Declare(${package} URL ${wanted_URL} DOWNLOAD_EXTRACT_TIMESTAMP FALSE SYSTEM)
    FetchContent_MakeAvailable(${package})
  endif()
endfunction()

# formwork_missing("<who needs what>" <Debian package> [", or with <option> ..."])
function(formwork_missing need debian)
  message(FATAL_ERROR "${need}. Install it (Debian: apt-get install ${debian}), point CMAKE_PREFIX_PATH to it, "
    "or configure with -DFORMWORK_FETCH=ON to download it${ARGN}.")
endfunction()

# Eigen's own version file accepts a range from 3.4.1 on; 3.4.0 only understands its own version, and so do some packagers'
# files for 5.
formwork_dependency(Eigen3 TARGET Eigen3::Eigen VERSIONS 3.4...5 3.4 5
  URL https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz HEADERS .)
if(NOT TARGET Eigen3::Eigen)
  formwork_missing("formwork needs Eigen 3.4 or newer" "libeigen3-dev; macOS: brew install eigen")
endif()

formwork_dependency(nlohmann_json TARGET nlohmann_json::nlohmann_json VERSIONS 3.7
  URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz HEADERS include)
if(NOT TARGET nlohmann_json::nlohmann_json)
  message(STATUS "formwork: nlohmann/json is not installed, so formwork/io cannot be used (Debian: apt-get install nlohmann-json3-dev)")
endif()

find_package(OpenMP QUIET COMPONENTS CXX)
