"""Writes clip.json: what Hugging Face transformers and Pillow make of our generated CLIP checkpoint.

Run from the repository's root, with torch, transformers and pillow installed: python test/golden/clip.py
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
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

SEED = 7
TEXTS = ["a painting in the style of Impressionism", "Mannerism,  the Late\tRenaissance", "It's 1907: Ukiyo-e, café, 한국"]
PICTURES = [(130, 100), (90, 301), (20, 13), (64, 64), (1, 1), (9, 400), (600, 560)]
KERNELS = {"nearest": 0, "lanczos3": 1, "bilinear": 2, "bicubic": 3}


def write_checkpoint(folder):
    script = "import { writeTinyClip } from './services/models/clip/tiny.ts'; writeTinyClip(process.argv[1], { seed: +process.argv[2] })"
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


@torch.inference_mode()
def golden(folder):
    model = CLIPModel.from_pretrained(folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    labels = json.loads(Path("services/models/clip/labels.json").read_text())
    pixels = pixel_values(2, model.config.vision_config.image_size)
    embeddings = unit(model.get_image_features(pixel_values=pixels).pooler_output)

    exact_gelu = json.loads((folder / "config.json").read_text())
    exact_gelu["vision_config"]["hidden_act"] = "gelu"
    gelu_folder = folder.with_name("gelu")
    shutil.copytree(folder, gelu_folder)
    (gelu_folder / "config.json").write_text(json.dumps(exact_gelu))
    gelu_model = CLIPModel.from_pretrained(gelu_folder).eval()

    return {
        "seed": SEED,
        "texts": [{"text": text, "embedding": numbers(text_embeddings(model, tokenizer, [text]))} for text in TEXTS],
        "image_embeddings": numbers(embeddings),
        "gelu_image_embeddings": numbers(unit(gelu_model.get_image_features(pixel_values=pixels).pooler_output)),
        "genre_probabilities": numbers(label_probabilities(model, tokenizer, embeddings, labels["genres"])),
        "style_probabilities": numbers(label_probabilities(model, tokenizer, embeddings, labels["styles"])),
        "pictures": [
            {"width": width, "height": height, "bytes": preprocessed(processor, picture(width, height))}
            for width, height in PICTURES
        ],
        "kernels": {name: encode(picture(37, 23).resize((16, 40), kernel)) for name, kernel in KERNELS.items()},
    }


with tempfile.TemporaryDirectory() as parent:
    checkpoint = Path(parent) / "tiny"
    write_checkpoint(checkpoint)
    values = golden(checkpoint)
Path("test/golden/clip.json").write_text(json.dumps(values, indent=2) + "\n")
