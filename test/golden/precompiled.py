"""Writes precompiled.json: what Hugging Face's tokenizers (Rust) makes of the strings in tokenizer.json with T5's way of
normalising: sentencepiece's nmt_nfkc, cut down to the characters of these strings.

Run from the repository's root: python test/golden/precompiled.py
Written with sentencepiece 0.2.3, protobuf, tokenizers 0.23.3.
"""

import base64
import io
import json
import struct
import tempfile
from pathlib import Path

from sentencepiece import SentencePieceTrainer
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers.normalizers import Precompiled


def charsmap(**rules):
    """The normaliser of a model that is trained with these rules; the model itself is not wanted."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["slow piano and warm strings"]), model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2, **rules
    )
    return ModelProto.FromString(model.getvalue()).normalizer_spec.precompiled_charsmap


def rules(blob):
    """Pairs of a text and what it becomes, from the double array (darts-clone) and the texts after it."""
    (size,) = struct.unpack_from("<I", blob)
    units = struct.unpack_from(f"<{size // 4}I", blob, 4)
    texts = blob[4 + size :]

    def walk(position, prefix):
        for byte in range(1, 256):
            at = position ^ byte
            if at >= len(units) or units[at] & 0x800000FF != byte:
                continue
            key = prefix + bytes([byte])
            below = at ^ (units[at] >> 10 << ((units[at] & 0x200) >> 6))
            if units[at] >> 8 & 1:
                start = units[below] & 0x7FFFFFFF
                yield key.decode(), texts[start : texts.index(b"\0", start)].decode()
            yield from walk(below, key)

    yield from walk(units[0] >> 10 << ((units[0] & 0x200) >> 6), b"")


def main():
    here = Path(__file__)
    texts = [entry["text"] for entry in json.loads(here.with_name("tokenizer.json").read_text())]
    known = set("".join(texts))
    full = charsmap(normalization_rule_name="nmt_nfkc")
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        for source, target in rules(full):
            if known.issuperset(source):
                file.write("\t".join(" ".join(f"{ord(char):X}" for char in text) for text in (source, target)) + "\n")
        file.flush()
        small = charsmap(normalization_rule_tsv=file.name)
    whole, cut = Precompiled(full), Precompiled(small)
    normalised = [cut.normalize_str(text) for text in texts]
    assert normalised == [whole.normalize_str(text) for text in texts]
    lines = ",\n".join(f"  {json.dumps(pair)}" for pair in zip(texts, normalised))
    encoded = base64.b64encode(small).decode()
    here.with_suffix(".json").write_text(f'{{\n "charsmap": "{encoded}",\n "strings": [\n{lines}\n ]\n}}\n')


main()
