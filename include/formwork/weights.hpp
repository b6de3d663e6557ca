// SPDX-License-Identifier: MIT
#pragma once

/// How scores become weights: softmax
#include <formwork/weights/softmax.hpp>
