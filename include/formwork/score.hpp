// SPDX-License-Identifier: MIT
#pragma once

/// A formula between score and weight: plain, softcap, learned_formula (one's own, with numbers that are learned)
#include <formwork/score/learned_formula.hpp>
#include <formwork/score/plain.hpp>
#include <formwork/score/softcap.hpp>
