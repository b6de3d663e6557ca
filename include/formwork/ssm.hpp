// SPDX-License-Identifier: MIT
#pragma once

/// state spaces: s4d
#include <formwork/ssm/discretisation.hpp>
#include <formwork/ssm/diagonal.hpp>
#include <formwork/ssm/gated_output.hpp>
#include <formwork/ssm/modes.hpp>
#include <formwork/ssm/s4d.hpp>
