// SPDX-License-Identifier: MIT
#pragma once

/// What a row of attention weights is like, one number each; given to attention, shown where a tape watches:
///   row_entropy         how widely it spreads
///   largest_logit       the largest score
///   expected_distance   how far back it looks
///   first_key_weight    what goes to the first key, the sink
#include <formwork/observer/expected_distance.hpp>
#include <formwork/observer/first_key_weight.hpp>
#include <formwork/observer/largest_logit.hpp>
#include <formwork/observer/row_entropy.hpp>
