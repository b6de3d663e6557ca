// SPDX-License-Identifier: MIT
#pragma once

/// How a token's place enters a model:
///   rope          queries and keys are turned by their positions; given to attention
///   frequencies   rope's tables as values: geometric, interpolated, ntk_old, ntk_aware, ntk_fixed, ntk_mixed, dynamic,
///                 ntk_by_parts, yarn, llama3
///   leaky_re_rope rope whose distances beyond a window count less, or, re_rope, no more than it; given to attention
///   xpos          rope whose scores decay with the distance; given to causal attention
///   alibi         scores fall with the distance; given to attention
///   kerple        scores fall with the distance as each head learns; given to attention
///   t5            a learned number for each bucket of distances is added to scores; given to attention
///   shaw          a learned vector for each distance is added to keys and to values; given to attention
///   sinusoidal    sines and cosines are added to the tokens' vectors; given to the model
///   learned       rows of a learned table are added; given to the model
#include <formwork/position/alibi.hpp>
#include <formwork/position/frequencies.hpp>
#include <formwork/position/kerple.hpp>
#include <formwork/position/leaky_re_rope.hpp>
#include <formwork/position/learned.hpp>
#include <formwork/position/rope.hpp>
#include <formwork/position/shaw.hpp>
#include <formwork/position/sinusoidal.hpp>
#include <formwork/position/t5.hpp>
#include <formwork/position/xpos.hpp>
