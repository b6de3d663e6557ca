// SPDX-License-Identifier: MIT
#pragma once

/// A formula between score and weight: plain softcap
#include <formwork/score/plain.hpp>
#include <formwork/score/softcap.hpp>
