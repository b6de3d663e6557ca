// SPDX-License-Identifier: MIT
#pragma once

/// The version of the library, read by CMake as well.
#define FORMWORK_VERSION_MAJOR 0
#define FORMWORK_VERSION_MINOR 1
#define FORMWORK_VERSION_PATCH 0
