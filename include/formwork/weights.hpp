// SPDX-License-Identifier: MIT
#pragma once

/// How scores become weights: softmax, urpe (times a learned factor of the distance)
#include <formwork/weights/softmax.hpp>
#include <formwork/weights/urpe.hpp>
