// SPDX-License-Identifier: MIT
#pragma once

/// Floor 5, whole models:
///   block            a mixer and a feed-forward part, joined by a residual policy
///   decoder_block    the same with a mixer that looks at another text
///   stack            layers of one or several kinds in run-time order
///   language_model   embedding, absolute position or none, stack, norm, head
///   encoder          the same where every token sees every other; pooled output
///   encoder_decoder  one text given another
///   parts            what models of tokens are composed of, in any order, and where they begin
#include <formwork/model/block.hpp>
#include <formwork/model/decoder_block.hpp>
#include <formwork/model/encoder.hpp>
#include <formwork/model/encoder_decoder.hpp>
#include <formwork/model/language_model.hpp>
#include <formwork/model/parts.hpp>
#include <formwork/model/stack.hpp>
