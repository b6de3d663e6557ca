// SPDX-License-Identifier: MIT
#pragma once

/// Floor 6, text out of a model:
///   sampler    temperature, top-k, top-p
///   generate   prefill, then one token at a time, with a callback
#include <formwork/generate/generate.hpp>
#include <formwork/generate/sampler.hpp>
