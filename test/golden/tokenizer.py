"""Writes tokenizer.json: the ids that Hugging Face's tokenizers (Rust) give 200 strings with our generated tokenizer.json.

Run from the repository's root, with transformers installed: python test/golden/tokenizer.py
With the path of another tokenizer.json, such as T5's own, and of a file to write: python test/golden/tokenizer.py T5 OUT
Written with transformers 5.23.0, tokenizers 0.23.3.
"""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers import PreTrainedTokenizerFast

WORDS = "slow gentle warm dark piano violin cello trumpet jazz baroque waltz tempo rhythm in and of with the".split()
FIXED = [
    # Nothing, and nothing but space.
    "", " ", "  ", "\t", "\n", "\r\n", " \t\n ", "\u00a0", "\u2003\u2003", "\u3000", "\u200b", "\ufeff", "\u2028", "\u2029", "\u0085", "\u1680",
    # Space around and between words.
    " slow piano", "slow piano ", "  slow   piano  ", "slow\tpiano", "slow\npiano", "slow\r\n\r\npiano", "slow\u00a0piano",
    "slow\u3000piano", "slow \u2009 piano", "slow\u200bpiano", "slow\u200dpiano", "\ufeffslow piano", "slow\u2028piano",
    "slow\u0085piano", "slow" + 40 * " " + "piano", "slow" + 5 * "\n" + "piano", "s l o w", "▁slow▁piano", "▁", "▁▁", " ▁ ",
    # Words known and unknown, in any case.
    "piano", "Piano", "PIANO", "pianos", "pianopiano", "piano-forte", "xylophone", "supercalifragilisticexpialidocious",
    "slow, tender piano", "A Baroque march: bright trumpets, 120 bpm & heavy drums", "bossa nova à la João Gilberto",
    # Punctuation, numbers, addresses.
    ".", "...", "…", "?!", "«piano»", "“slow” ‘piano’", "(piano) [violin] {cello}", "piano/violin\\cello", "a_b__c", "#1 @2 $3 %4 ^5 &6 *7",
    "--- piano ---", "—–‒‑-", "!!!!!!!!!!!!!!!!!!!!", "'tis o'clock", "don’t", "~`|<>=+", "¿qué? ¡sí!", "、。・「」", "!？，：；",
    "0", "0123456789", "120 bpm", "3.14159", "1,000,000", "-273.15 °C", "½ ¼ ¾", "x² + y³", "№ 5", "Ⅳ Ⅸ ⅻ", "①②③", "１２３ＡＢＣ", "٠١٢٣٤", "१२३", "1e-6", "4/4 6/8",
    "https://example.com/a?b=c&d=%20#e", "http://localhost:8080/", "mail@example.org", "ftp://user:pass@host/~file.tar.gz", "www.example.co.uk", "C:\\music\\slow.wav",
    # Scripts.
    "느린 피아노", "빠르게, 아주 빠르게!", "ᄂᆞ랏말ᄊᆞ미", "느린", "ㄱㄴㄷ ㅏㅑㅓ", "遅いピアノ", "ｽﾛｰ ﾋﾟｱﾉ", "ゆっくりとした曲", "缓慢的钢琴", "緩慢的鋼琴",
    "медленное фортепиано", "αργό πιάνο", "ΣΊΣΥΦΟΣ ς", "بيانو بطيء", "‏פסנתר איטי‎", "धीमा पियानो", "เปียโนช้าๆ", "மெதுவான பியானோ", "դանդաղ դաշնամուր", "ნელი ფორტეპიანო",
    "ቀስ ያለ ፒያኖ", "dương cầm chậm rãi", "türkçe: İstanbul ığdır", "Größe, Straße, ẞ", "Æsop œuvre ﬁne ﬂow ﬀ ﬃ ſ", "ĳ Ǆ ǆ ŉ", "slow 느린 遅い медленно 🎻 بطيء",
    # Combining marks.
    "e\u0301", "é", "A\u030a", "\u00c5", "\u212b", "o\u0308\u0304", "a\u0301\u0301\u0301\u0301", "\u0301", " \u0301piano", "q\u0323\u0307", "q\u0307\u0323", "ﬁ\u0301", "Z̷̧̛͉a̸͖l̵̰g̴̣o̶", "ก\u0e33", "क्ष", "\u1100\u1161\u11a8", "각\u11a8",
    # Emoji.
    "🎻", "🎻🎹🎺", "🎻 slow 🎹", "👩‍🎤", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇰🇷🇩🇪", "1️⃣", "❤️", "☺", "🫠", "♪♫♬", "𝄞 𝅘𝅥𝅮", "😀" * 50,
    # Control characters, private use, beyond the basic plane, no characters at all.
    "\u0000", "a\u0000b", "\u0001\u0002\u0003", "\u001b[31mred\u001b[0m", "\u007f", "\u0080\u0081", "slow\u0008piano", "\u00ad", "so\u00adft", "\u200e\u200f\u202a\u202c",
    "\u2060\u2061", "\ufff9\ufffa\ufffb", "\ufffd", "\ufffe", "\uffff", "\ue000", "\U000f0000", "\U0010ffff", "𝓈𝓁ℴ𝓌 𝕡𝕚𝕒𝕟𝕠", "𐍈𐌰", "🄰🅱", "㍿ ㎏ ㋿", "ﷺ", "\u2126 \u212a", "\ufe0f", "\U000e0061",
    # What looks like tokens.
    "</s>", "<pad>", "<unk>", "slow</s>piano", " </s> ", "<s>", "</s></s>", "< /s>", "<extra_id_0>", "slow <extra_id_99> piano", "<0x0A>",
]  # fmt: skip
REPEATED = [("largo ", 5000), ("slow gentle piano, ", 1667), ("느린 ", 5000), ("🎻", 5000), ("x", 5000), (" ", 5000), ("e\u0301 ", 2500)]
COUNT = 200
LISTED_IDS = 100


def mixed(count):
    """Strings of words, spaces, marks and letters of all scripts, put together by chance."""
    chance = random.Random(7)
    pieces = [*WORDS, *" \t\n  .,;:!?-'\"()", "  ", "é", "e\u0301", "ﬁ", "느린", "遅", "ア", "ｱ", "ж", "ß", "🎻", "👍🏽", "①", "½", "\u200b", "\u0000", "\u00a0", "\u3000", "</s>", "▁"]
    return ["".join(chance.choices(pieces, k=chance.randint(3, 30))) for _ in range(count)]


def tokenizer_file(folder):
    path = Path(folder) / "tokenizer.json"
    script = "import { tinyTokenizer } from './services/models/musicgen/tiny-tokenizer.ts'; console.log(JSON.stringify(tinyTokenizer()))"
    path.write_bytes(subprocess.run(["npx", "node", "--input-type=module", "-e", script], check=True, capture_output=True).stdout)
    return path


def main(path=None, out=None):
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path or tokenizer_file(folder)))
    texts = [(text, 1) for text in FIXED] + REPEATED
    texts += [(text, 1) for text in mixed(COUNT - len(texts))]
    assert len(texts) == COUNT == len(set(texts)), (len(texts), len(set(texts)))
    entries = []
    for text, times in texts:
        ids = tokenizer(text * times).input_ids
        digest = {"count": len(ids), "sha256": hashlib.sha256(json.dumps(ids, separators=(",", ":")).encode()).hexdigest()}
        entries.append({"text": text, "times": times, **({"ids": ids} if len(ids) <= LISTED_IDS else digest)})
    lines = ",\n".join(" " + json.dumps(entry) for entry in entries)
    Path(out or Path(__file__).with_suffix(".json")).write_text(f"[\n{lines}\n]\n")


main(*sys.argv[1:])
