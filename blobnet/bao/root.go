package bao

import "lukechampine.com/blake3"

// Root is the hash by which parts of a blob are proved: what a ref to it calls tree.
func Root(blob []byte) [32]byte { return blake3.Sum256(blob) }
