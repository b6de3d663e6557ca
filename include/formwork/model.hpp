// SPDX-License-Identifier: MIT
#pragma once

/// Floor 5, whole models:
///   block            a mixer and a feed-forward part, joined by a residual policy
///   stack            layers of one or several kinds in run-time order
///   language_model   embedding, absolute position or none, stack, norm, head
///   parts            what models of tokens are composed of, in any order, and where they begin
///   tokens_seen      where the next tokens of a model's state stand
#include <formwork/model/block.hpp>
#include <formwork/model/language_model.hpp>
#include <formwork/model/parts.hpp>
#include <formwork/model/stack.hpp>
#include <formwork/model/tokens_seen.hpp>
