// SPDX-License-Identifier: MIT
#pragma once

/// training runs: byte_text chart interrupt progress
#include <formwork/train/byte_text.hpp>
#include <formwork/train/chart.hpp>
#include <formwork/train/interrupt.hpp>
#include <formwork/train/peak.hpp>
#include <formwork/train/progress.hpp>
