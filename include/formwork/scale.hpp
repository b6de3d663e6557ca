// SPDX-License-Identifier: MIT
#pragma once

/// The factor on a query's scores: inv_sqrt
#include <formwork/scale/inv_sqrt.hpp>
