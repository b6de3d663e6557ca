// SPDX-License-Identifier: MIT
#pragma once

/// How heads share keys and mix: independent
#include <formwork/heads/independent.hpp>
