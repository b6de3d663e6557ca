// SPDX-License-Identifier: MIT
#pragma once

/// attention: multi-head softmax attention from policies
#include <formwork/attention/attention.hpp>
