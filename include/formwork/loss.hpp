// SPDX-License-Identifier: MIT
#pragma once

/// what training minimises: cross_entropy logits
#include <formwork/loss/cross_entropy.hpp>
#include <formwork/loss/logits.hpp>
