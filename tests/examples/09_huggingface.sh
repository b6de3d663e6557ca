#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 09_huggingface and convert_huggingface.py: states as transformers names them become the golden weights bit for bit, give the
# golden logits, and come back byte for byte; bad input gets one line and exit code 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
program=$1/09_huggingface
golden=$here/../golden
convert=$here/../../examples/convert_huggingface.py
if ! python3 -c 'import numpy' 2>/dev/null; then
  echo "SKIPPED: python3 with numpy is not here, so nothing of 09_huggingface and convert_huggingface.py was tested"
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
source "$here/support/study.sh"
export PYTHONDONTWRITEBYTECODE=1
convert() { python3 "$convert" "$@" >out 2>err || fail "convert $*: $(cat err)"; }
check() { python3 "$here/support/huggingface.py" "$@" || fail "$*"; }

tokens_of_gpt2=$(check tokens "$golden/gpt2_huggingface.safetensors")
tokens_of_llama=$(check tokens "$golden/llama_huggingface.safetensors")
for model in gpt2 llama; do
  source=$golden/huggingface/$model expected=$golden/${model}_huggingface.safetensors

  # There: the golden weights, in float or double, and from there the golden logits.
  convert "$source" $model.safetensors
  grep -q "a $model, vocab 48, width 32, depth 2, heads 4" out || fail "$model is not described: $(cat out)"
  check weights "$expected" $model.safetensors
  convert "$source" --dtype f64 $model.f64.safetensors
  tokens=tokens_of_$model
  for file in $model.safetensors $model.f64.safetensors; do
    # shellcheck disable=SC2086  # several ids
    "$program" $file --tokens ${!tokens} --count 4 --scores scores.safetensors >out 2>err || fail "$file: $(cat err)"
    grep -qE '^Continued greedily:( [0-9]+){4}$' out || fail "$file: printed $(cat out)"
    likeliest=$(sed -n 's/^Likeliest.*logits: \([0-9]*\) (.*/\1/p' out)
    first=$(sed -n 's/^Continued greedily: \([0-9]*\) .*/\1/p' out)
    [ "$likeliest" = "$first" ] || fail "$file: the likeliest token is $likeliest but the first one $first"
    check logits "$expected" scores.safetensors "$likeliest"
  done

  # And back: every byte.
  convert --reverse $model.safetensors back.safetensors
  check same "$source/model.safetensors" back.safetensors
  convert --reverse $model.f64.safetensors back.safetensors
  check same "$source/model.safetensors" back.safetensors

  # A file that formwork saved remembers no names; types are then the caller's to say.
  check forget $model.safetensors forgetful.safetensors
  convert --reverse forgetful.safetensors --dtype "$([ $model = gpt2 ] && echo f32 || echo bf16)" back.safetensors
  check same "$source/model.safetensors" back.safetensors

  # The other ways in which such states come: without the prefix, with computed tables, in two files, with a tied head, partly
  # in half precision, without config.json.
  check vary "$source" varied
  convert varied varied.safetensors
  convert --reverse varied.safetensors back.safetensors
  check same varied/parameters.safetensors back.safetensors
  rm varied/config.json
  expect_refusal 'needs --heads' python3 "$convert" varied bare.safetensors
  convert varied --heads 4 --epsilon 1e-5 --rope-base 500000 bare.safetensors
  check same varied.safetensors bare.safetensors
done

# Bad input: one line, exit code 2, nothing written.
python3 "$convert" --help | grep -q -- --reverse || fail "--help of convert_huggingface.py does not list --reverse"
refuses() {
  local expected=$1
  shift
  expect_refusal "$expected" python3 "$convert" "$@" bad.safetensors
  compgen -G 'bad*' >/dev/null && fail "$*: left a file"
}
mkdir empty
head -c 300 gpt2.safetensors >header.safetensors
head -c 20000 gpt2.safetensors >cut.safetensors
for model in gpt2 llama; do check damage "$golden/huggingface/$model" "$model"; done
refuses 'no tensor "transformer.h.1.mlp.c_fc.weight"' gpt2.missing
refuses 'has a tensor "model.layers.0.self_attn.q_norm.weight"' llama.extra
refuses 'tensor "transformer.h.0.attn.c_attn.weight" is (32 x 95); needs (32 x 96)' gpt2.shape
refuses 'tensor "model.layers.1.self_attn.k_proj.weight" is (24 x 32); needs (16 x 32)' llama.shape
refuses 'rope_scaling' llama.scaled
refuses 'activation_function is relu' gpt2.relu
refuses 'n_head is 0' gpt2.headless
refuses 'no model' empty
refuses 'No such file' nowhere.safetensors
refuses 'cut short' header.safetensors
refuses 'cut short' cut.safetensors
refuses 'no safetensors file' "$convert"
refuses 'no embedding' gpt2.safetensors
refuses 'no GPT-2 or Llama' --reverse "$golden/huggingface/gpt2"
expect_refusal 'No such file' python3 "$convert" "$golden/huggingface/gpt2" nowhere/bad.safetensors
expect_refusal 'folder' python3 "$convert" "$golden/huggingface/gpt2" empty

expect_refusal 'tokens' "$program" gpt2.safetensors
expect_refusal 'id 48 is outside' "$program" gpt2.safetensors --tokens 48 --count 0
expect_refusal '16 positions' "$program" gpt2.safetensors --tokens 1 2 --count 16
expect_refusal 'convert_huggingface.py' "$program" "$golden/huggingface/gpt2/model.safetensors" --tokens 1
expect_refusal 'cut short' "$program" header.safetensors --tokens 1
"$program" --help | grep -q -- --scores || fail "--help does not list --scores"
finish
