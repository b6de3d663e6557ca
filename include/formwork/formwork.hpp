// SPDX-License-Identifier: MIT
#pragma once

/// Everything except io (which needs nlohmann/json): a map of the house, from the ground up. A file includes lower floors and
/// its own folder only.
#include <formwork/core.hpp>  // 0 matrices, packs, elementary functions, random numbers, memory, threads
//      contract/               1 what each kind of part must do
#include <formwork/kernel.hpp>  // 2 the performance core: pure functions on views, forward beside backward
#include <formwork/tape.hpp>    // 3 values, parameters, recording, gradcheck

#include <formwork/activation.hpp>  // 4a policies and plain layers
#include <formwork/feature.hpp>
#include <formwork/heads.hpp>
#include <formwork/layer.hpp>
#include <formwork/mask.hpp>
#include <formwork/norm.hpp>
#include <formwork/observer.hpp>
#include <formwork/position.hpp>
#include <formwork/residual.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include <formwork/attention.hpp>  // 4b composed mechanisms
#include <formwork/feedforward.hpp>
#include <formwork/loss.hpp>
#include <formwork/optim.hpp>
#include <formwork/ssm.hpp>

#include <formwork/model.hpp>  // 5 whole models

#include <formwork/generate.hpp>  // 6 sampling, training runs
#include <formwork/train.hpp>
