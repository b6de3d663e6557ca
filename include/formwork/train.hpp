// SPDX-License-Identifier: MIT
#pragma once

/// training runs: byte_text masked_tokens training_batch chart interrupt peak progress
#include <formwork/train/byte_text.hpp>
#include <formwork/train/chart.hpp>
#include <formwork/train/interrupt.hpp>
#include <formwork/train/masked_tokens.hpp>
#include <formwork/train/peak.hpp>
#include <formwork/train/progress.hpp>
#include <formwork/train/training_batch.hpp>
