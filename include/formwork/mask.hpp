// SPDX-License-Identifier: MIT
#pragma once

/// Which keys a query sees: causal full
#include <formwork/mask/causal.hpp>
#include <formwork/mask/full.hpp>
