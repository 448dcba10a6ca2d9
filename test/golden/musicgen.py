"""Writes musicgen.json: what Hugging Face transformers makes of our generated MusicGen checkpoint.

Run from the repository's root, with torch and transformers installed: python test/golden/musicgen.py
"""

import base64
import json
import subprocess
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer, EncodecModel, MusicgenForConditionalGeneration

SEED = 7
PROMPTS = ["slow, tender piano", "A Baroque march: bright trumpets, 120 bpm & heavy drums (über-fast, 빠르게)"]
LONG_PROMPT = "warm strings and a solo cello, restless rhythm, " * 20
STEPS = 64
LOGIT_STEPS = [0, 1, 2, 40, 63]
LOGIT_STRIDE = 64
SHORT_FRAMES = [1, 3, 8]
AUDIO_VARIANTS = [{"pad_mode": "constant"}, {"pad_mode": "replicate"}, {"use_causal_conv": True, "trim_right_ratio": 0.7}]


def write_checkpoint(folder):
    script = "import { writeTinyMusicgen } from './services/models/musicgen/tiny.ts'; writeTinyMusicgen(process.argv[1], { seed: +process.argv[2] })"
    subprocess.run(["npx", "node", "--input-type=module", "-e", script, str(folder), str(SEED)], check=True)


def load(folder):
    model, info = MusicgenForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    faults = {key: value for key, value in info.items() if value}
    assert not faults, f"the checkpoint is not laid out as transformers expects: {faults}"
    return model.eval()


def floats(tensor):
    return base64.b64encode(tensor.detach().contiguous().numpy().astype("<f4").tobytes()).decode()


def hidden_states(model, tokenizer, prompts):
    return model.text_encoder(**tokenizer(prompts, padding=True, return_tensors="pt")).last_hidden_state


def generate_greedily(model, tokenizer):
    """The codes [prompts, codebooks, frames] that reach EnCodec, and the guided logits of each step."""
    seen = []
    decode = model.audio_encoder.decode

    def record(codes, **kwargs):
        seen.append(codes[0])
        return decode(codes, **kwargs)

    model.audio_encoder.decode = record
    result = model.generate(
        **tokenizer(PROMPTS, padding=True, return_tensors="pt"),
        do_sample=False,
        guidance_scale=3.0,
        max_new_tokens=STEPS,
        output_scores=True,
        return_dict_in_generate=True,
    )
    model.audio_encoder.decode = decode
    codebooks = model.config.decoder.num_codebooks
    logits = [result.scores[step].reshape(len(PROMPTS), codebooks, -1) for step in LOGIT_STEPS]
    return seen[0], torch.stack(logits)[..., ::LOGIT_STRIDE]


def pcm(audio_encoder, codes):
    return audio_encoder.decode(codes[None], audio_scales=[None] * len(codes)).audio_values


def audio_variant(folder, config, changes, codes):
    variant = type(config)(**{**config.to_dict(), **changes})
    model = EncodecModel(variant).eval()
    weights = load(folder).audio_encoder.state_dict()
    model.load_state_dict(weights)
    return {"changes": changes, "pcm": floats(pcm(model, codes))}


@torch.no_grad()
def main():
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(folder)
        model = load(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        codes, logits = generate_greedily(model, tokenizer)
        long_states = hidden_states(model, tokenizer, [LONG_PROMPT])
        golden = {
            "seed": SEED,
            "prompts": PROMPTS,
            "prompt_ids": [tokenizer(prompt).input_ids for prompt in PROMPTS],
            "hidden_states": floats(hidden_states(model, tokenizer, PROMPTS)),
            "long_prompt": LONG_PROMPT,
            "long_stride": 20,
            "long_hidden_states": floats(long_states[:, ::20]),
            "steps": STEPS,
            "logit_steps": LOGIT_STEPS,
            "logit_stride": LOGIT_STRIDE,
            "logits": floats(logits),
            "codes": codes.tolist(),
            "pcm": [{"frames": n, "pcm": floats(pcm(model.audio_encoder, codes[:1, :, :n]))} for n in SHORT_FRAMES],
            "audio_variants": [
                audio_variant(folder, model.config.audio_encoder, changes, codes[:1, :, :4]) for changes in AUDIO_VARIANTS
            ],
        }
        assert len(set(codes[0, 0].tolist())) > 10, "the codes hardly change: the checkpoint would prove little"
        Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


main()
