// SPDX-License-Identifier: MIT
#pragma once

/// Floor 2, the performance core: pure functions on views, forward beside backward.
#include <formwork/kernel/attend.hpp>
#include <formwork/kernel/cross_entropy.hpp>
#include <formwork/kernel/normalize.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/kernel/rotate.hpp>
#include <formwork/kernel/transform.hpp>
#include <formwork/kernel/update.hpp>
