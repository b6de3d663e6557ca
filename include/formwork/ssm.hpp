// SPDX-License-Identifier: MIT
#pragma once

/// Floor 4b, state spaces:
///   discretisation   forward_euler, backward_euler, bilinear, zero_order_hold
///   hippo_basis      legs, legt, lagt, fourier: their equations and the functions they keep coefficients of
///   hippo_memory     a signal fed in sample by sample and read back
///   hippo            the same as a mixer
///   modes            s4d_lin, s4d_inv, s4d_legs, s4d_real: where the poles of s4d start
///   diagonal         one channel's modes, discretised, and the gradients of that
///   gated_output     the layer that ends s4d
///   s4d              a diagonal state space as a mixer
#include <formwork/ssm/diagonal.hpp>
#include <formwork/ssm/discretisation.hpp>
#include <formwork/ssm/gated_output.hpp>
#include <formwork/ssm/hippo.hpp>
#include <formwork/ssm/hippo_basis.hpp>
#include <formwork/ssm/hippo_memory.hpp>
#include <formwork/ssm/modes.hpp>
#include <formwork/ssm/s4d.hpp>
