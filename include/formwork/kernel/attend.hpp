// SPDX-License-Identifier: MIT
#pragma once

/// Attention: the keys and values it has seen (cache), what both directions are made of (attend_strip), and attend_forward
/// beside attend_backward; the same where heads mix (attend_mixed_*, on mix_heads); what observers see of the weights
/// (attend_observe).
#include <formwork/kernel/attend_backward.hpp>
#include <formwork/kernel/attend_forward.hpp>
#include <formwork/kernel/attend_mixed_backward.hpp>
#include <formwork/kernel/attend_mixed_forward.hpp>
#include <formwork/kernel/attend_observe.hpp>
