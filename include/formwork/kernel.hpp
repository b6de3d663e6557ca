// SPDX-License-Identifier: MIT
#pragma once

/// The performance core: pure functions on views, forward beside backward, without parameters or tape.
///
///   product          c = a b, a bᵀ, aᵀ b with epilogues (epilogue), split over threads into blocks (block_product) of
///                    register tiles (tile) on packed panels (panel)
///   symmetric_product  of what is known to be symmetric, at half the cost
///   attend           softmax attention and its backward over a cache of keys and values, never n × n; heads alone or mixed
///   attend_tangent   its derivative in a direction, and that of its gradients: products with the Hessian
///   linear_attend    linear attention by chunks, its state and its backward, O(n)
///   cross_entropy    output projection, loss and both gradients in chunks, never tokens × vocab
///   scan             a diagonal state space in chunks and its backward (scan_tables: what a chunk does), by products in every
///                    lane (lane_product)
///   normalize        rms and layer norm, the residual's addition fused
///   rotate           rotary positions; its table of cosines and sines
///   recur            the walk of a linear memory and its adjoint, over its step (transition)
///   softmax          of rows
///   transform        a formula of every number
///   dropout          masks drawn again instead of stored
///   update           AdamW, SGD and momentum in one pass; the squared norm of a gradient
///   orthogonalize    singular values brought to 1 by Newton–Schulz iterations
#include <formwork/kernel/attend.hpp>
#include <formwork/kernel/attend_tangent.hpp>
#include <formwork/kernel/block_product.hpp>
#include <formwork/kernel/cache.hpp>
#include <formwork/kernel/cross_entropy.hpp>
#include <formwork/kernel/dropout.hpp>
#include <formwork/kernel/epilogue.hpp>
#include <formwork/kernel/lane_product.hpp>
#include <formwork/kernel/linear_attend.hpp>
#include <formwork/kernel/mix_heads.hpp>
#include <formwork/kernel/normalize.hpp>
#include <formwork/kernel/orthogonalize.hpp>
#include <formwork/kernel/panel.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/kernel/recur.hpp>
#include <formwork/kernel/rotate.hpp>
#include <formwork/kernel/scan.hpp>
#include <formwork/kernel/scan_tables.hpp>
#include <formwork/kernel/softmax.hpp>
#include <formwork/kernel/symmetric_product.hpp>
#include <formwork/kernel/tile.hpp>
#include <formwork/kernel/transform.hpp>
#include <formwork/kernel/transition.hpp>
#include <formwork/kernel/update.hpp>
