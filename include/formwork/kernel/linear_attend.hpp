// SPDX-License-Identifier: MIT
#pragma once

/// Linear attention: what both directions are made of (linear_attend_chunk), linear_attend_forward and its state beside
/// linear_attend_backward.
#include <formwork/kernel/linear_attend_backward.hpp>
#include <formwork/kernel/linear_attend_forward.hpp>
