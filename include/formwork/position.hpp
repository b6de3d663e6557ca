// SPDX-License-Identifier: MIT
#pragma once

/// How a token's place enters a model: rope
#include <formwork/position/rope.hpp>
