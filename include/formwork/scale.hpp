// SPDX-License-Identifier: MIT
#pragma once

/// The factor on a query's scores: cosine, inv_sqrt, key_normalized, log_n, temperature (learned)
#include <formwork/scale/cosine.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/scale/key_normalized.hpp>
#include <formwork/scale/log_n.hpp>
#include <formwork/scale/temperature.hpp>
