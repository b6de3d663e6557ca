// SPDX-License-Identifier: MIT
#pragma once

/// Floor 4b, state spaces:
///   discretisation   forward_euler, backward_euler, bilinear, zero_order_hold
///   hippo_basis      legs, legt, lagt, fourier: their equations and the functions they keep coefficients of
///   hippo_memory     a signal fed in sample by sample and read back
///   hippo            the same as a mixer
#include <formwork/ssm/discretisation.hpp>
#include <formwork/ssm/hippo.hpp>
#include <formwork/ssm/hippo_basis.hpp>
#include <formwork/ssm/hippo_memory.hpp>
