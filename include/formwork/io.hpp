// SPDX-License-Identifier: MIT
#pragma once

/// Floor 6, files:
///   file                 whole files read; atomic saves: temporary name, sync, rename
///   dtype                the number types of files
///   safetensors_header   the strict JSON head of a safetensors file; the one user of nlohmann/json
///   safetensors          a file of named tensors, read and written
///   values               numbers, texts and structs of them, kept in such a file
///   composition          what a model is, as text
///   checkpoint           models and training runs saved and loaded, foreign and damaged ones refused
#include <formwork/io/checkpoint.hpp>
#include <formwork/io/composition.hpp>
#include <formwork/io/dtype.hpp>
#include <formwork/io/file.hpp>
#include <formwork/io/safetensors.hpp>
#include <formwork/io/safetensors_header.hpp>
#include <formwork/io/values.hpp>
