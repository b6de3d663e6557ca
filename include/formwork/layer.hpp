// SPDX-License-Identifier: MIT
#pragma once

#include <formwork/layer/builder.hpp>
#include <formwork/layer/embedding.hpp>
#include <formwork/layer/linear.hpp>
