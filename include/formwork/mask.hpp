// SPDX-License-Identifier: MIT
#pragma once

/// Which keys a query sees: causal anticausal full sliding_window sink_window prefix unilm documents both per_head
#include <formwork/mask/anticausal.hpp>
#include <formwork/mask/both.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/mask/documents.hpp>
#include <formwork/mask/full.hpp>
#include <formwork/mask/per_head.hpp>
#include <formwork/mask/prefix.hpp>
#include <formwork/mask/sink_window.hpp>
#include <formwork/mask/sliding_window.hpp>
#include <formwork/mask/unilm.hpp>
