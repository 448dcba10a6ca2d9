"""Writes clip.json, siglip.json and preprocessing.json: what Hugging Face transformers and Pillow make of our generated
checkpoints, and of preprocessor configurations as they are found in the wild.

Run from the repository's root, with torch, transformers, sentencepiece and pillow installed: python test/golden/classifier.py
"""

import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    ConvNextImageProcessorPil,
    DeiTImageProcessorPil,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
    SiglipModel,
    ViTImageProcessorPil,
)

SEED = 7
TEXTS = ["a painting in the style of Impressionism", "Mannerism,  the Late\tRenaissance", "It's 1907: Ukiyo-e, café, 한국"]
PICTURES = [(130, 100), (90, 301), (20, 13), (64, 64), (1, 1), (9, 400), (600, 560)]
KERNELS = {"nearest": 0, "lanczos3": 1, "bilinear": 2, "bicubic": 3}


HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
PREPROCESSORS = [
    (CLIPImageProcessorPil, {"size": 20, "crop_size": 16, "resample": 3, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}),
    (CLIPImageProcessorPil, {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}, "resample": 1, **HALF}),
    (ViTImageProcessorPil, {"size": 16, **HALF}),
    (ViTImageProcessorPil, {"size": {"height": 16, "width": 16}, "resample": 0, "rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}),
    (ViTImageProcessorPil, {"size": {"height": 16, "width": 16}, "resample": 2, "rescale_factor": 0.00392156862745098, "do_normalize": False}),
    (DeiTImageProcessorPil, {"size": {"height": 20, "width": 20}, "crop_size": {"height": 16, "width": 16}, "do_center_crop": True, "resample": 3, **HALF}),
    (DeiTImageProcessorPil, {"size": {"height": 16, "width": 16}, "do_center_crop": False, "do_rescale": False, "image_mean": [127.5, 127.5, 127.5], "image_std": [127.5, 127.5, 127.5]}),
    (ConvNextImageProcessorPil, {"size": {"shortest_edge": 16}, "crop_pct": 0.875, "resample": 3, **HALF}),
    (SiglipImageProcessorPil, {"size": {"height": 16, "width": 16}, **HALF}),
]


def write_checkpoint(kind, folder):
    name = {"clip": "Clip", "siglip": "Siglip"}[kind]
    script = f"import {{ writeTiny{name} as write }} from './services/models/classifier/tiny-{kind}.ts'; write(process.argv[1], {{ seed: +process.argv[2] }})"
    subprocess.run(["npx", "node", "--input-type=module", "-e", script, str(folder), str(SEED)], check=True)


def pixel_values(batch, side):
    """A fixed sequence from -2 to 2."""
    return torch.tensor([i * 7919 % 1009 / 252 - 2 for i in range(batch * 3 * side * side)]).reshape(batch, 3, side, side)


def picture(width, height):
    """Gradients that wrap around: smooth parts and hard edges."""
    x, y, c = np.meshgrid(np.arange(width), np.arange(height), np.arange(3), indexing="xy")
    return Image.fromarray(((x * 5 + y * 3 + x * y // 16 + c * 80) % 256).astype(np.uint8))


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def text_embeddings(model, tokenizer, texts):
    if isinstance(model, SiglipModel):
        ids = tokenizer([text.lower() for text in texts], padding="max_length", max_length=64, return_tensors="pt").input_ids
        return unit(model.get_text_features(input_ids=ids).pooler_output)
    return unit(model.get_text_features(**tokenizer(texts, padding=True, return_tensors="pt")).pooler_output)


def label_probabilities(model, tokenizer, image_embeddings, label_set):
    labels = []
    for label in label_set["labels"]:
        sentences = [phrasing.replace("{}", label["text"]) for phrasing in label_set["phrasings"]]
        labels.append(unit(text_embeddings(model, tokenizer, sentences).mean(dim=0)))
    return (model.logit_scale.exp() * image_embeddings @ torch.stack(labels).T).softmax(dim=-1)


def preprocessed(processor, image):
    """The bytes [side, side, 3] that the processor normalises."""
    values = processor(image, return_tensors="np").pixel_values[0].transpose(1, 2, 0)
    exact = (values * processor.image_std + processor.image_mean) * 255
    rounded = exact.round()
    assert np.abs(exact - rounded).max() < 1e-3
    return encode(rounded)


def encode(values):
    return base64.b64encode(np.asarray(values).astype(np.uint8).tobytes()).decode()


def numbers(tensor):
    """Base64 of little-endian float32."""
    return base64.b64encode(tensor.numpy().astype("<f4").tobytes()).decode()


def towers(model, tokenizer, processor, pictures):
    labels = json.loads(Path("services/models/classifier/labels.json").read_text())
    pixels = pixel_values(2, model.config.vision_config.image_size)
    embeddings = unit(model.get_image_features(pixel_values=pixels).pooler_output)
    return {
        "seed": SEED,
        "texts": [{"text": text, "embedding": numbers(text_embeddings(model, tokenizer, [text]))} for text in TEXTS],
        "image_embeddings": numbers(embeddings),
        "genre_probabilities": numbers(label_probabilities(model, tokenizer, embeddings, labels["genres"])),
        "style_probabilities": numbers(label_probabilities(model, tokenizer, embeddings, labels["styles"])),
        "pictures": [
            {"width": width, "height": height, "bytes": preprocessed(processor, picture(width, height))}
            for width, height in pictures
        ],
    }


def clip(folder):
    model = CLIPModel.from_pretrained(folder).eval()
    processor = CLIPImageProcessorPil.from_pretrained(folder)

    exact_gelu = json.loads((folder / "config.json").read_text())
    exact_gelu["vision_config"]["hidden_act"] = "gelu"
    gelu_folder = folder.with_name("gelu")
    shutil.copytree(folder, gelu_folder)
    (gelu_folder / "config.json").write_text(json.dumps(exact_gelu))
    gelu_model = CLIPModel.from_pretrained(gelu_folder).eval()
    pixels = pixel_values(2, model.config.vision_config.image_size)
    return {
        **towers(model, CLIPTokenizer.from_pretrained(folder), processor, PICTURES),
        "gelu_image_embeddings": numbers(unit(gelu_model.get_image_features(pixel_values=pixels).pooler_output)),
        "kernels": {name: encode(picture(37, 23).resize((16, 40), kernel)) for name, kernel in KERNELS.items()},
    }


def siglip(folder):
    model = SiglipModel.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return {
        **towers(model, tokenizer, SiglipImageProcessorPil.from_pretrained(folder), PICTURES[:3]),
        "token_ids": tokenizer([text.lower() for text in TEXTS], padding="max_length", max_length=64).input_ids,
    }


def preprocessing():
    return [
        {
            "config": {"image_processor_type": processor.__name__, **config},
            "pixel_values": numbers(torch.tensor(processor(**config)(picture(50, 40), return_tensors="np").pixel_values[0])),
        }
        for processor, config in PREPROCESSORS
    ]


def write(name, values):
    Path(f"test/golden/{name}.json").write_text(json.dumps(values, indent=2) + "\n")


with tempfile.TemporaryDirectory() as parent, torch.inference_mode():
    for kind, golden in {"clip": clip, "siglip": siglip}.items():
        checkpoint = Path(parent) / kind
        write_checkpoint(kind, checkpoint)
        write(kind, golden(checkpoint))
write("preprocessing", preprocessing())
