// SPDX-License-Identifier: MIT
#pragma once

/// how a branch joins the stream: pre_norm
#include <formwork/residual/pre_norm.hpp>
