// SPDX-License-Identifier: MIT
#pragma once

/// Floor 5, whole models:
///   block            a mixer and a feed-forward part, joined by a residual policy
///   stack            layers of one or several kinds in run-time order
///   language_model   embedding, stack, norm, head
///   encoder          the same where every token sees every other; pooled output
#include <formwork/model/block.hpp>
#include <formwork/model/encoder.hpp>
#include <formwork/model/language_model.hpp>
#include <formwork/model/stack.hpp>
