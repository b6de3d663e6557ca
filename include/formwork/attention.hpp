// SPDX-License-Identifier: MIT
#pragma once

/// Mixers of queries, keys and values, each from policies:
///
///   attention          multi-head softmax attention, of a text to itself
///   cross_attention    of one text to another
///   linear_attention   through sums of features, linear in the tokens
///
/// and check_feature, which holds a feature map of your own to what linear attention asks of it (not included here).
#include <formwork/attention/attention.hpp>
#include <formwork/attention/cross_attention.hpp>
#include <formwork/attention/linear_attention.hpp>
