// SPDX-License-Identifier: MIT
#pragma once

/// plain layers: builder dropout embedding linear
#include <formwork/layer/builder.hpp>
#include <formwork/layer/dropout.hpp>
#include <formwork/layer/embedding.hpp>
#include <formwork/layer/linear.hpp>
