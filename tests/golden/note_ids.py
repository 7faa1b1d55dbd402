#!/usr/bin/env python3
"""Ids of notes, computed apart from common/cohort/notes.c from the rule written there.

usage: note_ids.py > note_ids.txt
"""
import re

MASK = (1 << 64) - 1


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & MASK
    return h


def mix(h):
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & MASK
    h = (h ^ h >> 27) * 0x94D049BB133111EB & MASK
    return h ^ h >> 31


def ids(text, vocabulary, ngrams, seed):
    words = re.findall(rb"[0-9A-Za-z\x80-\xff]+", text.encode())
    words = [bytes(c + 32 if 65 <= c <= 90 else c for c in word) for word in words]
    for i in range(len(words)):
        for k in range(1, min(ngrams, i + 1) + 1):
            gram = b"".join(b"\0" + word for word in words[i - k + 1:i + 1])
            yield mix(fnv(seed.to_bytes(8, "little") + bytes([k]) + gram)) % vocabulary


TEXTS = ["Sepsis, pulmonary", "BP 120/80; HR: 99.5", "Fieber seit 3 Tagen, Übelkeit — kein Husten", "...", "a A a"]
for vocabulary, ngrams, seed in ((512, 1, 0), (4096, 2, 0), (65521, 4, 2**64 - 1)):
    for text in TEXTS:
        print(f"{vocabulary} {ngrams} {seed}|{text}|{' '.join(map(str, ids(text, vocabulary, ngrams, seed)))}")
