// SPDX-License-Identifier: MIT
#pragma once

/// optimizers: adamw clip muon optimizer schedule sgd
#include <formwork/optim/adamw.hpp>
#include <formwork/optim/clip.hpp>
#include <formwork/optim/muon.hpp>
#include <formwork/optim/optimizer.hpp>
#include <formwork/optim/schedule.hpp>
#include <formwork/optim/sgd.hpp>
