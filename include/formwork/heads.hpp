// SPDX-License-Identifier: MIT
#pragma once

/// How heads share keys and mix: independent, grouped (multi-query), talking_heads
#include <formwork/heads/grouped.hpp>
#include <formwork/heads/independent.hpp>
#include <formwork/heads/talking_heads.hpp>
