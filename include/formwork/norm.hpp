// SPDX-License-Identifier: MIT
#pragma once

/// rows of a standard size: layer_norm rms_norm
#include <formwork/norm/layer_norm.hpp>
#include <formwork/norm/rms_norm.hpp>
