// SPDX-License-Identifier: MIT
#pragma once

/// How scores become weights:
///   softmax            exponentials over their sum
///   l2_normalized      exponentials over their Euclidean length
///   relu_squared       squares of what is above 0, over the number of keys
///   sigmoid_weights    each key by itself
///   urpe               any of them times a learned factor of the distance
#include <formwork/weights/l2_normalized.hpp>
#include <formwork/weights/relu_squared.hpp>
#include <formwork/weights/sigmoid_weights.hpp>
#include <formwork/weights/softmax.hpp>
#include <formwork/weights/urpe.hpp>
