"""Writes musicgen.json: what Hugging Face transformers makes of the MusicGen checkpoints in musicgen-checkpoints.ts.

Run from the repository's root, with torch and transformers installed: python test/golden/musicgen.py
Written with transformers 5.23.0, torch 2.15.0.
"""

import base64
import json
import re
import subprocess
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer, EncodecModel, MusicgenForConditionalGeneration

PROMPTS = {
    "mono": ["slow, tender piano", "A Baroque march: bright trumpets, 120 bpm & heavy drums (über-fast, 빠르게)"],
    "unguided": ["slow, tender piano", "", "fast jazz for bass, drums and trumpet"],
    "stereo": ["restless electronic pad", "warm strings and a solo cello, restless rhythm, " * 12],
    "stereo unguided": ["warm strings and a solo cello, restless rhythm, " * 20],
    "16 kHz": ["a", "solemn organ"],
}
CLIP_SEEDS = [0, 1, 2**32 - 1]
STEPS = 64
LOGIT_STEPS = [0, 1, 2, 40, 63]
LOGIT_STRIDE = 64
# Prime to the widths and to the samples of a frame, so that no place in them is left out.
STATE_STRIDE = 5
PCM_STRIDE = 37
SHORT_PCM_STRIDE = 7
SHORT_FRAMES = [1, 3, 8]
AUDIO_VARIANTS = [{"pad_mode": "constant"}, {"pad_mode": "replicate"}, {"use_causal_conv": True, "trim_right_ratio": 0.7}]
# What is nearer to another choice than this could be decided by rounding.
LOGIT_MARGIN = 1e-4
PROBABILITY_MARGIN = 1e-6


def run_node(script, *arguments):
    command = ["npx", "node", "--input-type=module", "-e", script, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def write_checkpoint(folder, name):
    run_node(
        "import { writeGoldenCheckpoint } from './test/golden/musicgen-checkpoints.ts'; writeGoldenCheckpoint(...process.argv.slice(1))",
        folder,
        name,
    )


def uniforms(seed, count):
    script = (
        "import { createUniform } from './services/consumer/musicgen/random.ts'; const next = createUniform(+process.argv[1]); "
        "console.log(JSON.stringify(Array.from({ length: +process.argv[2] }, next)))"
    )
    return json.loads(run_node(script, seed, count))


def load(folder):
    model, info = MusicgenForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    faults = {key: value for key, value in info.items() if value}
    assert not faults, f"the checkpoint is not laid out as transformers expects: {faults}"
    return model.eval()


def floats(tensor):
    return base64.b64encode(tensor.detach().contiguous().numpy().astype("<f4").tobytes()).decode()


class Recorder:
    """Keeps the codes [prompts, codebooks, frames] that reach EnCodec: stereo comes as left, then right."""

    def __init__(self, model):
        self.model, self.decode, self.seen = model, model.audio_encoder.decode, []

    def __enter__(self):
        self.model.audio_encoder.decode = lambda codes, **kwargs: (self.seen.append(codes[0]), self.decode(codes, **kwargs))[1]
        return self

    def __exit__(self, *_):
        self.model.audio_encoder.decode = self.decode

    def codes(self):
        return torch.stack(self.seen, dim=2).flatten(1, 2)


def generate(model, inputs, guidance_scale, **options):
    """The codes, the scores of every step [steps, prompts, codebooks, codebook size] and the sound."""
    with Recorder(model) as recorder:
        result = model.generate(
            **inputs,
            guidance_scale=guidance_scale,
            max_new_tokens=STEPS,
            output_scores=True,
            return_dict_in_generate=True,
            **options,
        )
    prompts = len(inputs.input_ids)
    scores = torch.stack(result.scores).reshape(STEPS, prompts, model.config.decoder.num_codebooks, -1)
    return recorder.codes(), scores, result.sequences


def sample(model, inputs, guidance_scale, **options):
    """The codes of transformers' own sampling, but for the draw: the first code at which the cumulative probability
    passes the number that is drawn for the step, clip and codebook."""
    codebooks = model.config.decoder.num_codebooks
    draws = [uniforms(seed, STEPS * codebooks) for seed in CLIP_SEEDS[: len(inputs.input_ids)]]
    draws = torch.tensor(draws).reshape(-1, STEPS, codebooks).transpose(0, 1).reshape(STEPS, -1, 1)
    steps = iter(draws.double())

    def draw(probabilities, num_samples):
        cumulative, uniform = probabilities.double().cumsum(-1), next(steps)
        assert (cumulative - uniform).abs().min() > PROBABILITY_MARGIN, "rounding could decide a draw: take another seed"
        return (cumulative <= uniform).sum(-1, keepdim=True)

    multinomial, torch.multinomial = torch.multinomial, draw
    try:
        return generate(model, inputs, guidance_scale, do_sample=True, **options)[0]
    finally:
        torch.multinomial = multinomial


def case(folder, name):
    write_checkpoint(folder, name)
    model, tokenizer = load(folder), AutoTokenizer.from_pretrained(folder)
    prompts, settings = PROMPTS[name], model.generation_config
    guidance_scale = settings.guidance_scale
    inputs = tokenizer(prompts, padding=True, return_tensors="pt")
    codes, scores, sound = generate(model, inputs, guidance_scale, do_sample=False)
    first, second = scores.topk(2).values.unbind(-1)
    assert (first - second).min() > LOGIT_MARGIN, f"{name}: rounding could decide a step: take another seed"
    assert len(set(codes[0, 0].tolist())) > 10, f"{name}: the codes hardly change: the checkpoint would prove little"
    if guidance_scale == 1:
        assert torch.equal(codes, generate(model, inputs, None, do_sample=False)[0])
    return model, {
        "prompts": prompts,
        "prompt_ids": [tokenizer(prompt).input_ids for prompt in prompts],
        "hidden_states": floats(model.text_encoder(**inputs).last_hidden_state.flatten()[::STATE_STRIDE]),
        "logits": floats(scores[LOGIT_STEPS][..., ::LOGIT_STRIDE]),
        "codes": codes.tolist(),
        "pcm": [floats(clip.flatten()[::PCM_STRIDE]) for clip in sound],
        "sampled": sample(model, inputs, guidance_scale, top_k=settings.top_k, temperature=settings.temperature).tolist(),
    }


def short_pcm(audio_encoder, codes):
    pcm = audio_encoder.decode(codes[None], audio_scales=[None] * len(codes)).audio_values
    return floats(pcm.flatten()[::SHORT_PCM_STRIDE])


def audio_variant(audio_encoder, changes, codes):
    variant = type(audio_encoder.config)(**{**audio_encoder.config.to_dict(), **changes})
    model = EncodecModel(variant).eval()
    model.load_state_dict(audio_encoder.state_dict())
    return {"changes": changes, "pcm": short_pcm(model, codes)}


@torch.no_grad()
def main():
    cases = {}
    for name in PROMPTS:
        with tempfile.TemporaryDirectory() as folder:
            model, cases[name] = case(folder, name)
        if name == "mono":
            audio_encoder, codes = model.audio_encoder, torch.tensor(cases[name]["codes"])[:1]
    golden = {
        "clip_seeds": CLIP_SEEDS,
        "steps": STEPS,
        "logit_steps": LOGIT_STEPS,
        "logit_stride": LOGIT_STRIDE,
        "state_stride": STATE_STRIDE,
        "pcm_stride": PCM_STRIDE,
        "short_pcm_stride": SHORT_PCM_STRIDE,
        "cases": cases,
        "short_pcm": [{"frames": n, "pcm": short_pcm(audio_encoder, codes[..., :n])} for n in SHORT_FRAMES],
        "audio_variants": [audio_variant(audio_encoder, changes, codes[..., :4]) for changes in AUDIO_VARIANTS],
    }
    text = json.dumps(golden, indent=1, ensure_ascii=False)
    numbers_on_one_line = re.sub(r"\[[\s\d,]+\]", lambda found: " ".join(found[0].split()), text)
    Path(__file__).with_suffix(".json").write_text(numbers_on_one_line + "\n")


main()
