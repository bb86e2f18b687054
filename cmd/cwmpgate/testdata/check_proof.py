"""Checks what cwmpgate audit prove prints, with nothing but the standard library
and openssl: python3 check_proof.py PROOF KEY.PEM"""
import base64, hashlib, json, os, subprocess, sys, tempfile

proof = json.load(open(sys.argv[1]))
sha = lambda b: hashlib.sha256(b).digest()

# The record is the one that the proof is about.
record = json.loads(proof["record"])
assert (record["log"], record["seq"]) == (proof["log"], proof["seq"]), "another record"

# RFC 6962, 2.1: a leaf begins with 0, a node with 1.
node = sha(b"\0" + bytes.fromhex(proof["salt"]) + proof["record"].encode())
assert node == bytes.fromhex(proof["leaf"]), "the leaf is not that of the record"

# RFC 9162, 2.1.3.2: up from the leaf.
at, last = proof["index"], proof["size"] - 1
assert 0 <= at <= last, "no such leaf"
for h in map(bytes.fromhex, proof["hashes"]):
    assert last > 0, "too many hashes"
    if at % 2 or at == last:
        node = sha(b"\1" + h + node)
        while at % 2 == 0 and at:
            at, last = at // 2, last // 2
    else:
        node = sha(b"\1" + node + h)
    at, last = at // 2, last // 2
assert last == 0, "too few hashes"

# The checkpoint: three lines, an empty one, signatures.
text, signatures = proof["checkpoint"].split("\n\n", 1)
origin, size, root = text.split("\n")[:3]
assert origin.endswith("/%s/%d" % (proof["log"], proof["epoch"])), "another tree"
assert int(size) == proof["size"] and base64.b64decode(root) == node, "the root is not that of the checkpoint"

# One of the signatures is the key's: four bytes of a hash, then Ed25519.
def signs(line):
    dash, name, value = line.split(" ")
    with tempfile.TemporaryDirectory() as d:
        for file, b in ("text", (text + "\n").encode()), ("signature", base64.b64decode(value)[4:]):
            with open(os.path.join(d, file), "wb") as f:
                f.write(b)
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", sys.argv[2], "-rawin", "-in", d + "/text",
                               "-sigfile", d + "/signature"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

assert any(signs(line) for line in signatures.strip().split("\n")), "no signature is the key's"
print("record %d is leaf %d of %d" % (proof["seq"], proof["index"], proof["size"]))
