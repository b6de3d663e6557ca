// SPDX-License-Identifier: MIT
#pragma once

/// The factor on a query's scores: inv_sqrt, log_n
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/scale/log_n.hpp>
