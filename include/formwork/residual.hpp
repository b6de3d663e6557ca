// SPDX-License-Identifier: MIT
#pragma once

/// How a branch joins the stream: pre_norm, post_norm, deep_norm
#include <formwork/residual/deep_norm.hpp>
#include <formwork/residual/post_norm.hpp>
#include <formwork/residual/pre_norm.hpp>
